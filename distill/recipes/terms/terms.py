"""What a recipe is: a sum of weighted terms, and what they read from the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn

from distill.data.averaging import Kind
from distill.params.students import Shapes, StudentSettings
from distill.store.output_names import LOGITS
from distill.tasks.base import Task


@dataclass(frozen=True)
class LastStates:
    """The student's last hidden states where tokens are to be predicted; what makes logits of them, and of the teacher's."""

    states: Float[Tensor, "vectors hidden"]
    embedding: Float[Tensor, "classes hidden"]
    bias: Float[Tensor, " classes"] | None
    softcap: float | None
    teacher_logits: Callable[[Tensor], Tensor]
    """Of the teacher's states of some of these tokens."""


@dataclass(frozen=True)
class Step:
    """What a term may look at: the student's outputs and the teacher's targets of one batch."""

    task: Task
    logits: Float[Tensor, "vectors classes"]
    """The student's, aligned with the teacher's: of rows, real tokens, masked positions, or starts and ends of answers; of no
    classes where terms make them of `last` themselves."""
    labels: Num[Tensor, " vectors"]
    targets: Mapping[str, Tensor]
    """By output, as the store gathers it: `hidden-NN` (real tokens, hidden), `attention-NN` (batch, heads, seq, seq) …"""
    mask: Int[Tensor, "batch seq"]
    """1 at real tokens."""
    padded: bool = True
    """Whether any token is padding."""
    hidden: Sequence[Float[Tensor, "batch seq width"]] = ()
    """The student's hidden states, 0 = embedding output; empty if no term asks for them."""
    attention: Mapping[int, Float[Tensor, "batch heads seq seq"]] = field(default_factory=dict)
    """The student's scores before mask and softmax, by layer, counted from 1; those that terms ask for."""
    current_layer: int | None = None
    """The layer, from 0, that is being trained; None if all are."""
    progress: float = 0.0
    """The share of all optimizer steps that is done, 0 ≤ p < 1."""
    groups: Int[Tensor, " vectors"] | None = None
    """Ranking: which group each row is of, whose rows are all here; None of other tasks."""
    weights: Float[Tensor, " vectors"] | None = None
    """Of the labels; None if all weigh the same."""
    gaps: bool = False
    """Whether the teacher's logits may have lines of NaN, where nobody gave any."""
    answered: Bool[Tensor, " lines"] | None = None
    """The lines of the whole batch that this step is of; None if of all."""
    last: LastStates | None = None
    """If terms read the states that an output embedding multiplies, in place of logits."""
    shares: Mapping[Kind, Float[Tensor, ""]] = field(default_factory=dict)
    """What a mean over the batch is multiplied by (distill/data/averaging.py); empty where the batch is all there is."""

    @property
    def attention_mask(self) -> Int[Tensor, "batch seq"] | None:
        """1 at real tokens; None if nothing is padded."""
        return self.mask if self.padded else None

    @property
    def teacher_logits(self) -> Float[Tensor, "vectors classes"]:
        """The teacher's logits, aligned as the student's."""
        lines = self.task.comparable(self.targets[LOGITS], self.mask)
        return lines if self.answered is None else lines[self.answered]

    def with_answers(self) -> "Step":
        """The same of the lines alone that have logits of the teacher."""
        there = self.teacher_logits.isfinite().all(dim=1)
        groups, weights = (None if part is None else part[there] for part in (self.groups, self.weights))
        logits, labels = self.logits[there], self.labels[there]
        return replace(self, logits=logits, labels=labels, groups=groups, weights=weights, answered=there)


@dataclass(frozen=True)
class Term:
    """A weighted summand of a recipe's loss."""

    name: str
    weight: float
    loss: Callable[[Step], Float[Tensor, ""]]
    over: Kind | None = None
    """What the loss is a mean over; None if over lines of logits, whatever these are of the task."""
    reads: tuple[str, ...] = ()
    """The store's outputs that it needs."""
    reads_student_hidden: bool = False
    reads_last_states: bool = False
    """Whether it makes logits itself, of `Step.last`; then the student's head does not run, and all other terms do so too."""
    reads_student_attention: tuple[int, ...] = ()
    """The student's layers, counted from 1, whose scores or relations it needs."""
    trains: nn.Module | None = None
    """A module of its own, such as a projection, that is trained with the student and not saved in it; terms may share one."""


def terms_of(settings: StudentSettings, shapes: Shapes) -> tuple[Term, ...]:
    """The terms of a student's recipe, those of weight 0 left out."""
    settings.require_comparable(shapes)
    return tuple(term for term in settings.terms(shapes) if term.weight > 0)


def total(terms: Sequence[Term], step: Step) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The weighted sum, and each term unweighted, as the batch's part of its step. A recipe keeps no term of weight 0."""
    answered = step.with_answers() if step.gaps else step
    values = {
        term.name: _value(term, answered if LOGITS in term.reads else step)
        * step.shares.get(term.over or step.task.averaged_over, 1.0)
        for term in terms
    }
    loss = sum((term.weight * values[term.name] for term in terms), step.logits.new_zeros(()))
    return loss, values


def _value(term: Term, step: Step) -> Float[Tensor, ""]:
    """A term's mean; 0 of no lines."""
    return term.loss(step) if len(step.logits) else step.logits.sum() * 0.0
