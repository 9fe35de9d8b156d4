"""`students`: how each is born, from which targets it learns, and by which recipe."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from distill.errors import UserError
from distill.params.base import Strict, nearest, read_yaml, require_sections, validate, with_defaults
from distill.params.training import TrainingSettings

Weight = Annotated[float, Field(ge=0)]
Temperature = Annotated[float, Field(gt=0)]


class InitSettings(Strict):
    """The newborn student: exactly one of `layers`, `depth`, `architecture`, or none to start from a whole checkpoint."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field(alias="from", pattern=r"^data/(teachers|students|inits|prepared)/[A-Za-z0-9_][A-Za-z0-9_-]*$")
    """data/teachers/NAME or data/students/NAME (copy its layers), data/inits/NAME (the same newborn as that student's),
    or data/prepared/NAME (a random student needs no more than the tokenizer and the labels)."""
    layers: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """The layers to copy, counted from 0."""
    depth: Annotated[int, Field(gt=0)] | None = None
    """How many layers to copy, evenly spaced, the first and the last among them."""
    architecture: dict[str, Any] | None = None
    """A random student: `model_type` (default bert) and any keys of its transformers config."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of random weights. All of a student's `seeds` start from the same newborn."""

    @model_validator(mode="after")
    def _one_way(self) -> "InitSettings":
        if sum(way is not None for way in (self.layers, self.depth, self.architecture)) > 1:
            raise ValueError("expected one of: layers, depth, architecture")
        if self.source.startswith("data/prepared/") and self.architecture is None:
            raise ValueError("a prepared data set has no layers to copy; give architecture, or from: data/teachers/NAME")
        return self


class StudentSettings(TrainingSettings):
    """What all recipes share."""

    recipe: str
    dataset: str
    targets: str = Field(pattern=r"^[A-Za-z0-9_-]+(/logits)?$")
    """A target set, or `SET/logits` if logits suffice: then neither a change of the hidden layers reruns the student,
    nor are they downloaded."""
    init: InitSettings
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(1,), min_length=1)
    """One training run each; the best on the validation split is the student, all are measured."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> "StudentSettings":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: expected each seed once")
        return self

    @property
    def reads_hidden(self) -> bool:
        """Whether the recipe reads hidden states from the store."""
        return False


class Supervised(StudentSettings):
    """Hard labels alone: the baseline of every distilled student. Targets are read when it is evaluated only."""

    recipe: Literal["supervised"]


class Hinton(StudentSettings):
    """Hinton, Vinyals & Dean 2015: `alpha`·CE + (1−`alpha`)·T²·KL."""

    recipe: Literal["hinton"]
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The weight of the hard labels."""
    temperature: Temperature = 4.0


class DistilBert(StudentSettings):
    """Sanh et al. 2019, for a task: soft_weight·T²·KL + hard_weight·CE + cosine_weight·(1−cos of the last hidden states)."""

    recipe: Literal["distilbert"]
    temperature: Temperature = 2.0
    soft_weight: Weight = 5.0
    hard_weight: Weight = 2.0
    cosine_weight: Weight = 1.0

    @property
    def reads_hidden(self) -> bool:
        """The cosine term reads the last hidden state."""
        return self.cosine_weight > 0

    @model_validator(mode="after")
    def _some_term(self) -> "DistilBert":
        if self.soft_weight == self.hard_weight == self.cosine_weight == 0:
            raise ValueError("soft_weight, hard_weight, cosine_weight: all are 0, nothing would be learnt")
        return self


RECIPES: dict[str, type[StudentSettings]] = {"supervised": Supervised, "hinton": Hinton, "distilbert": DistilBert}


def load_student(path: Path, name: str) -> StudentSettings:
    """Read one student, as its recipe's settings.

    Raises:
        UserError: the file, the entry or a setting is not usable.
    """
    content = read_yaml(path)
    require_sections(content, str(path))
    return read_student(content, path, name)


def read_student(content: dict[str, Any], path: Path, name: str) -> StudentSettings:
    """One student of a file that has been read, as its recipe's settings.

    Raises:
        UserError: there is no such entry or recipe, or a setting is not usable.
    """
    where = f"{path}: students.{name}"
    if name not in content["students"]:
        raise UserError(f"{where}: no such entry{nearest(name, content['students'])}")
    entry = with_defaults(content, "students", name)
    recipe = entry.get("recipe")
    if not isinstance(recipe, str) or recipe not in RECIPES:
        raise UserError(f"{where}.recipe: got {recipe!r}, no such recipe{nearest(str(recipe), RECIPES)}")
    return validate(RECIPES[recipe], entry, where)
