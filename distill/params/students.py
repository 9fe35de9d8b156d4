"""`students` of params.yaml: the settings that all recipes share, and what a student reads of its teacher."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, model_validator

from distill.core.errors import UserError
from distill.core.settings import EachOnce, Positive, Seed
from distill.core.validation import Strict
from distill.params.inits import InitSettings
from distill.params.task_specs import TaskSpec
from distill.params.training import TrainingSettings

Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(gt=0)]
LayerNumber = Annotated[int, Field(ge=1)]
HeadCount = Annotated[int, Field(ge=1)]
LayerMap = Annotated[tuple[LayerNumber, ...] | None, Field(min_length=1)]
"""The teacher's layer for each of the student's."""


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
    student_size: int | None = None
    """How many numbers a text's vector has, of sentence embedding."""
    teacher_size: int | None = None
    teacher_vectors: Callable[[], Any] | None = None
    """Gives vectors of training rows, (rows, teacher's size) fp32, from which a projection is made."""
    teacher_state_width: int | None = None
    """The width of what the output embedding of a language model multiplies."""
    logits_as: str = "replay"
    """What is kept of a decoder's distributions on training rows: all, by states, or as `top-k` or `draws` a part."""

    def require_equal_heads(self, what: str, remedy: str) -> None:
        """Refuse what compares attention head by head, where the student has not as many heads as the teacher."""
        student, teacher = self.student_heads, self.teacher_heads
        if None not in (student, teacher) and student != teacher:
            raise UserError(
                f"{what} head by head, the student has {student} heads a layer, the teacher {teacher}; set {remedy}, or give the "
                f"student num_attention_heads: {teacher}"
            )


class SampleWeight(Strict):
    """What a training row weighs in the loss against the labels, by what the audit of the target set says of its label.

    The loss is a mean by weight over all labels, so that rows of weight 0 are left out of it; what a student learns from its
    teacher's outputs it learns from all rows alike. docs/benchmark.md tells suspect from hard.
    """

    suspect: Weight = 1.0
    """Rows whose label the teacher contradicts with confidence: likely label errors."""
    hard: Weight = 1.0
    """Rows whose label has less than half of the teacher's probability."""


class StudentSettings(TrainingSettings):
    """What all recipes share."""

    settings_of: ClassVar[Mapping[str, Mapping[Any, Sequence[str]]]] = {}
    """By a choice, such as `stage`: the settings that each of its values takes."""
    tasks: ClassVar[tuple[str, ...]] = ()
    """The tasks that the recipe is for; by default all."""
    recipe: str
    dataset: str
    targets: str = Field(pattern=r"^[A-Za-z0-9_-]+(/logits)?$")
    """A target set, or `SET/logits` if logits suffice: then neither a change of the hidden layers reruns the student,
    nor are they downloaded."""
    init: InitSettings
    seeds: Annotated[tuple[Seed, ...], EachOnce] = Field(default=(1,), min_length=1)
    """One training run each; the best on the validation split is the student, all are measured."""
    sample_weight: SampleWeight | None = None
    """Weights of doubtful rows; by default all weigh the same."""

    hardest_of: Positive = 1
    """Each step looks at so many times `batch_size` rows, and learns from the `batch_size` whose answers are farthest from the
    teacher's (Glitter, arXiv 2203.09391), which costs a forward pass of the student. An epoch has so many times fewer steps."""

    of_vectors: ClassVar[bool] = False
    """Whether the recipe is of sentence embedding, whose teachers and students give vectors in place of logits."""

    of_groups: ClassVar[bool] = False
    """Whether the recipe compares passages of a query, which ranking alone has."""

    @model_validator(mode="after")
    def _of_what_was_chosen(self) -> "StudentSettings":
        """Refuse settings that are not of the `stage`, say, that was chosen, and weights all 0."""
        for choice, keys in self.settings_of.items():
            chosen = getattr(self, choice)
            taken = keys[chosen]
            if given := sorted(self.model_fields_set & {key for each in keys.values() for key in each} - {*taken}):
                raise ValueError(f"{', '.join(given)}: not of {choice} {chosen}, which takes {', '.join(taken)}")
            weights = [key for key in taken if key.endswith("_weight")]
            if weights and not any(getattr(self, key) for key in weights):
                raise ValueError(f"{', '.join(weights)}: all are 0, nothing would be learnt")
        return self

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """What the recipe's terms read, those of weight 0 left out."""
        return Needs()

    def require_comparable(self, shapes: Shapes) -> None:
        """Refuse a student that a term cannot compare with its teacher, whatever their depths."""

    def not_in_part(self) -> str | None:
        """Why a part of a decoder's distributions does not do for the recipe, and the setting that would; None if it does."""
        if not self.trains_head or not (self.reads_hidden or self.needs(1, 1).logits):
            return None
        return f"recipe: {self.recipe} compares whole distributions; set recipe: divergence"

    def no_weights(self, spec: TaskSpec, *, learns_labels: bool) -> str | None:
        """Why rows of a task cannot have a `sample_weight` here; None if they can."""
        if not learns_labels:
            return f"weighs the loss against the labels, which {self.recipe} here does not learn from; set it to null"
        return f"{spec.not_audited}; set it to null" if spec.not_audited else None

    def no_hardest(self, spec: TaskSpec, *, reads_logits: bool) -> str | None:
        """Why `hardest_of` cannot tell which rows of a task the student is worst at; None if it can."""
        if reason := spec.not_compared_by_row:
            return f"{reason}; set it to 1"
        if reads_logits:
            return None
        return (
            f"compares a student's answers with the teacher's, {self.recipe} here reads no logits; set it to 1, or take a recipe "
            "that does, such as hinton"
        )

    def no_bi_encoder(self, *, reads_states: bool) -> str | None:
        """Why a bi-encoder cannot be the student; None if it can."""
        if not reads_states:
            return None
        read = "reads hidden states of query and passage together, a bi-encoder reads them apart"
        return f"{self.recipe} {read}; take margin_mse, listwise or hinton"

    @property
    def target_set(self) -> str:
        """The entry of `targets`, `given` or `ensembles`, whatever part of it is read."""
        return self.targets.removesuffix("/logits")

    @property
    def only_intermediate(self) -> bool:
        """Whether hidden states and attention alone are learnt, no head: another student goes on from this one."""
        return False

    @property
    def reads_hidden(self) -> bool:
        """Whether the recipe reads more than logits from the store."""
        return self.only_intermediate

    @property
    def reads_first_token(self) -> bool:
        """Whether it compares states of the first token, which stands for a row."""
        return False

    @property
    def trains_head(self) -> bool:
        """Whether the logits are learnt. If not, the validation score says nothing of training, and the last epoch is kept."""
        return not self.only_intermediate

    @property
    def label_weight(self) -> float:
        """The weight of the labels in the loss, `hard_weight` of recipes that have it.

        0 says that rows, whose labels may be doubtful, cannot be weighted by them.
        """
        return float(getattr(self, "hard_weight", 1)) if self.trains_head else 0.0

    @property
    def earlier_layers_lr_scale(self) -> float | None:
        """If layers are trained one after the other: the share of the learning rate that earlier ones keep."""
        return None

    def terms(self, shapes: Shapes) -> tuple[Any, ...]:
        """The summands of the recipe's loss: `Term`s of distill/recipes/terms/, which this module must not import.

        A recipe imports what needs torch inside this method, so that params.yaml is read and checked without it.
        """
        raise NotImplementedError


class AnyStudent(StudentSettings):
    """A student of whatever recipe, without the recipe's own settings: for stages that an edit of a recipe must not rerun."""

    model_config = ConfigDict(extra="ignore")
