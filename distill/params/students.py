"""`students`: how each is born, from which targets it learns, and by which recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from distill.errors import UserError
from distill.params.base import Strict, nearest, read_yaml, require_sections, validate, with_defaults
from distill.params.training import TrainingSettings

Weight = Annotated[float, Field(ge=0)]
Temperature = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Needs:
    """What a student reads of its teacher while it is trained: layer numbers of the teacher, sorted."""

    logits: bool = False
    hidden: tuple[int, ...] = ()
    """Hidden states at all tokens: 0 is the embedding output, i the output of layer i."""
    cls: tuple[int, ...] = ()
    """Hidden states at the first token alone."""
    attention: tuple[int, ...] = ()
    """Scores of layers, counted from 1."""


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

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """What the recipe's terms read, those of weight 0 left out.

        Raises:
            UserError: the recipe cannot pair the layers of a student and a teacher of these depths.
        """
        return Needs()

    @property
    def reads_hidden(self) -> bool:
        """Whether the recipe reads more than logits from the store."""
        return False

    @property
    def trains_head(self) -> bool:
        """Whether the logits are learnt. If not, the validation score says nothing of training, and the last epoch is kept."""
        return True


class Supervised(StudentSettings):
    """Hard labels alone: the baseline of every distilled student. Targets are read when it is evaluated only."""

    recipe: Literal["supervised"]


class Hinton(StudentSettings):
    """Hinton, Vinyals & Dean 2015: `alpha`·CE + (1−`alpha`)·T²·KL."""

    recipe: Literal["hinton"]
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The weight of the hard labels."""
    temperature: Temperature = 4.0

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits."""
        return Needs(logits=self.alpha < 1)


class DistilBert(StudentSettings):
    """Sanh et al. 2019, for a task: soft_weight·T²·KL + hard_weight·CE + cosine_weight·(1−cos of the last hidden states)."""

    recipe: Literal["distilbert"]
    temperature: Temperature = 2.0
    soft_weight: Weight = 5.0
    hard_weight: Weight = 2.0
    cosine_weight: Weight = 1.0

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits and the last hidden state."""
        return Needs(logits=self.soft_weight > 0, hidden=(teacher_layers,) if self.cosine_weight else ())

    @property
    def reads_hidden(self) -> bool:
        """The cosine term reads the last hidden state."""
        return self.cosine_weight > 0

    @model_validator(mode="after")
    def _some_term(self) -> "DistilBert":
        if self.soft_weight == self.hard_weight == self.cosine_weight == 0:
            raise ValueError("soft_weight, hard_weight, cosine_weight: all are 0, nothing would be learnt")
        return self


INTERMEDIATE_KEYS = ("attention_weight", "hidden_weight", "embedding_weight", "layer_map")
PREDICTION_KEYS = ("soft_weight", "hard_weight", "temperature")


class TinyBert(StudentSettings):
    """Jiao et al. 2020, in two stages, each a student of its own: the second is born `from: data/students/` the first.

    `intermediate` fits attention scores, hidden states and embedding output; the head is not trained, so the last epoch is kept
    and `patience` does nothing. `prediction` fits the logits. Published: intermediate with `learning_rate: 5e-5`,
    `schedule: constant`, `batch_size: 32`, 10 to 20 epochs; prediction with `learning_rate: 3e-5`, `schedule: linear`,
    `warmup: 0.1`, 3 epochs.
    """

    recipe: Literal["tinybert"]
    stage: Literal["intermediate", "prediction"]
    layer_map: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, min_length=1)
    """Intermediate: the teacher's layer for each of the student's, counted from 1; by default evenly, g(i) = i·N/M."""
    attention_weight: Weight = 1.0
    hidden_weight: Weight = 1.0
    embedding_weight: Weight = 1.0
    soft_weight: Weight = 1.0
    """Prediction: of the soft cross-entropy."""
    hard_weight: Weight = 0.0
    """Prediction: of the hard labels."""
    temperature: Temperature = 1.0

    @property
    def trains_head(self) -> bool:
        """The intermediate stage trains no head."""
        return self.stage == "prediction"

    @property
    def reads_hidden(self) -> bool:
        """The intermediate stage reads hidden states and attention."""
        return self.stage == "intermediate"

    def layer_pairs(self, student_layers: int, teacher_layers: int) -> tuple[tuple[int, int], ...]:
        """The student's layers and the teacher's that each learns from, counted from 1.

        Raises:
            UserError: the depths do not divide, or the map does not fit them.
        """
        if self.layer_map is None:
            if teacher_layers % student_layers:
                raise UserError(
                    f"tinybert: {student_layers} layers of a student do not spread evenly over the teacher's {teacher_layers}; "
                    f"give layer_map: {student_layers} of the teacher's layers, counted from 1"
                )
            step = teacher_layers // student_layers
            return tuple((layer, layer * step) for layer in range(1, student_layers + 1))
        if len(self.layer_map) != student_layers or max(self.layer_map) > teacher_layers:
            raise UserError(
                f"tinybert: layer_map: got {list(self.layer_map)}, expected {student_layers} numbers, one for each of the "
                f"student's layers, from 1 to the teacher's {teacher_layers}"
            )
        return tuple(enumerate(self.layer_map, start=1))

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Scores and hidden states of the mapped layers, and the embedding output; or logits."""
        if self.stage == "prediction":
            return Needs(logits=self.soft_weight > 0)
        mapped = tuple(sorted({teacher for _, teacher in self.layer_pairs(student_layers, teacher_layers)}))
        hidden = ((0,) if self.embedding_weight else ()) + (mapped if self.hidden_weight else ())
        return Needs(hidden=hidden, attention=mapped if self.attention_weight else ())

    @model_validator(mode="after")
    def _one_stage(self) -> "TinyBert":
        own, other = (INTERMEDIATE_KEYS, PREDICTION_KEYS)[:: 1 if self.stage == "intermediate" else -1]
        foreign = sorted(self.model_fields_set & set(other))
        if foreign:
            raise ValueError(f"{', '.join(foreign)}: not of stage {self.stage}, which takes {', '.join(own)}")
        weights = [key for key in own if key.endswith("_weight")]
        if not any(getattr(self, key) for key in weights):
            raise ValueError(f"{', '.join(weights)}: all are 0, nothing would be learnt")
        return self


RECIPES: dict[str, type[StudentSettings]] = {
    "supervised": Supervised,
    "hinton": Hinton,
    "distilbert": DistilBert,
    "tinybert": TinyBert,
}


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
