"""`students.NAME.init`: how a student is born."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from distill.params.base import Strict, nearest
from distill.presets import PRESETS


def _resolved(value: object) -> object:
    """A preset's name, or a mapping that names one, as the settings that it stands for."""
    settings = {"preset": value} if isinstance(value, str) else value
    if not isinstance(settings, dict) or "preset" not in settings:
        return settings
    name = settings["preset"]
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"no preset {name!r}{nearest(str(name), PRESETS)}")
    return {**PRESETS[name], **{key: setting for key, setting in settings.items() if key != "preset"}}


Architecture = Annotated[
    dict[str, Any],
    BeforeValidator(_resolved, json_schema_input_type=Literal[tuple(PRESETS)] | dict[str, Any]),
]
"""Once validated, the settings of a transformers config; a preset is written out."""


class InitSettings(Strict):
    """The newborn student: one of `layers`, `depth`, `architecture`, or none to start from a whole checkpoint."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field(alias="from", pattern=r"^data/(teachers|students|inits|prepared)/[A-Za-z0-9_][A-Za-z0-9_-]*$")
    """data/teachers/NAME or data/students/NAME (copy its layers), data/inits/NAME (the same newborn as that student's),
    or data/prepared/NAME (a random student needs no more than the tokenizer and the labels)."""
    layers: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """The layers to copy, counted from 0."""
    depth: Annotated[int, Field(gt=0)] | None = None
    """How many layers to copy, evenly spaced, the first and the last among them."""
    family: Literal["distilbert"] | None = Field(default=None, alias="as")
    """Put the copied layers of a BERT into another family's modules: DistilBERT has no token types and no pooler."""
    architecture: Architecture | None = None
    """A random student: the name of a preset, or any keys of its transformers config: `model_type` (default bert), or `preset`,
    and what differs from it."""
    copy_embeddings: bool = False
    """Give a random student the embeddings of `from`, which must be of its family; a narrower student gets them along their
    principal axes."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of random weights. All of a student's `seeds` start from the same newborn."""

    @model_validator(mode="after")
    def _one_way(self) -> "InitSettings":
        if sum(way is not None for way in (self.layers, self.depth, self.architecture)) > 1:
            raise ValueError("expected one of: layers, depth, architecture")
        bare = self.source.startswith("data/prepared/")
        if bare and self.architecture is None:
            raise ValueError("a prepared data set has no layers to copy; give architecture, or from: data/teachers/NAME")
        if self.family is not None and self.architecture is not None:
            raise ValueError("`as` is for copied layers, architecture for a random student; remove one")
        if self.copy_embeddings and self.architecture is None:
            raise ValueError(
                "copy_embeddings is for a random student; give architecture, or remove it: copied layers bring theirs"
            )
        if self.copy_embeddings and bare:
            raise ValueError("copy_embeddings: a prepared data set has no embeddings; give from: data/teachers/NAME")
        return self

    @model_validator(mode="after")
    def _whole_heads(self) -> "InitSettings":
        settings = self.architecture or {}
        width, heads = settings.get("hidden_size"), settings.get("num_attention_heads")
        bottleneck = settings.get("model_type") == "mobilebert"
        if isinstance(width, int) and isinstance(heads, int) and heads > 0 and width % heads and not bottleneck:
            raise ValueError(f"architecture: hidden_size {width} is no multiple of num_attention_heads {heads}")
        return self
