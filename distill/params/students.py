"""What all students have in common: what they read of their teacher, and the settings that all recipes share."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from distill.params.inits import InitSettings
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
    relations: tuple[int, ...] = ()
    """Queries, keys and values of layers, counted from 1."""


@dataclass(frozen=True)
class Shapes:
    """What a recipe has to know of student and teacher to pair them."""

    student_layers: int
    student_width: int
    teacher_layers: int
    teacher_width: int | None
    """None if the store keeps no hidden states."""
    student_heads: int | None = None
    teacher_heads: int | None = None
    """None if the store keeps no attention."""
    teacher_scores: bool = True
    """False if the store keeps attention as probabilities: scores up to a constant a query."""


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

    @property
    def earlier_share(self) -> float | None:
        """If layers learn one after the other, the share of the learning rate that is left to those that had their turn."""
        return None

    def terms(self, shapes: Shapes) -> tuple[Any, ...]:
        """The summands of the recipe's loss: `Term`s of distill/recipes/base.py, which this module must not import.

        A recipe imports what needs torch inside this method, so that params.yaml is read and checked without it.

        Raises:
            UserError: a term cannot compare this student with this teacher.
        """
        raise NotImplementedError


class AnyStudent(StudentSettings):
    """A student of whatever recipe, without the recipe's own settings: for stages that an edit of a recipe must not rerun."""

    model_config = ConfigDict(extra="ignore")
