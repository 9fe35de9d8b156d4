"""What all students have in common: what they read of their teacher, and the settings that all recipes share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from distill.errors import UserError
from distill.params.base import Strict
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
    """What a recipe has to know of student and teacher to pair them; None is what the store does not keep."""

    student_layers: int
    student_width: int
    teacher_layers: int
    teacher_width: int | None
    student_heads: int | None = None
    teacher_heads: int | None = None
    teacher_scores: bool = True
    """False if the store keeps attention as probabilities: scores up to a constant a query."""

    def require_equal_heads(self, what: str, remedy: str) -> None:
        """Refuse what compares attention head by head, where the student has not as many heads as the teacher.

        Raises:
            UserError: both numbers, and the remedy.
        """
        own, theirs = self.student_heads, self.teacher_heads
        if None not in (own, theirs) and own != theirs:
            raise UserError(
                f"{what} head by head, the student has {own} heads a layer, the teacher {theirs}; set {remedy}, or give the "
                f"student num_attention_heads: {theirs}"
            )


class SampleWeight(Strict):
    """What a training row weighs in the loss against the labels, by what the audit of the target set says of its label.

    The loss is a mean by weight, so that rows of weight 0 are left out of it; what a student learns from its teacher's outputs
    it learns from all rows alike. docs/benchmark.md tells suspect from hard.
    """

    suspect: Weight = 1.0
    """Rows whose label the teacher contradicts with confidence: likely label errors."""
    hard: Weight = 1.0
    """Rows whose label has less than half of the teacher's probability."""


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
    sample_weight: SampleWeight | None = None
    """Weights of doubtful rows; by default all weigh the same."""

    @model_validator(mode="after")
    def _seeds_differ(self) -> "StudentSettings":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: expected each seed once")
        return self

    def require_own(self, part: str, own: Sequence[str], foreign: Iterable[str]) -> None:
        """Refuse settings that are not of the stage or version that was chosen.

        Args:
            part: `stage prediction`, say.
            own: The settings that it takes.
            foreign: Those that it does not.

        Raises:
            ValueError: some of the foreign ones were given; or all of its weights are 0.
        """
        if given := sorted(self.model_fields_set & set(foreign)):
            raise ValueError(f"{', '.join(given)}: not of {part}, which takes {', '.join(own)}")
        weights = [key for key in own if key.endswith("_weight")]
        if weights and not any(getattr(self, key) for key in weights):
            raise ValueError(f"{', '.join(weights)}: all are 0, nothing would be learnt")

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """What the recipe's terms read, those of weight 0 left out.

        Raises:
            UserError: the recipe cannot pair the layers of a student and a teacher of these depths.
        """
        return Needs()

    def require_comparable(self, shapes: Shapes) -> None:
        """Refuse a student that a term cannot compare with its teacher, whatever their depths.

        Raises:
            UserError: which term, what does not fit, and what to change.
        """

    @property
    def reads_hidden(self) -> bool:
        """Whether the recipe reads more than logits from the store."""
        return False

    @property
    def trains_head(self) -> bool:
        """Whether the logits are learnt. If not, the validation score says nothing of training, and the last epoch is kept."""
        return True

    @property
    def label_weight(self) -> float:
        """The weight of the labels in the loss: 0 says that rows, whose labels may be doubtful, cannot be weighted by them."""
        return 1.0 if self.trains_head else 0.0

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
