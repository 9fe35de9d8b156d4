"""What a recipe is: a sum of weighted terms, and what they read from the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor, nn

from distill.targets.schema import LOGITS, attention_output, hidden_output
from distill.tasks import cross_entropy


@dataclass(frozen=True)
class Step:
    """What a term may look at: the student's outputs and the teacher's targets of one batch."""

    logits: Float[Tensor, "batch classes"]
    labels: Int[Tensor, " batch"]
    targets: Mapping[str, Tensor]
    """By output: `logits` (batch, classes), `hidden-NN` (tokens, hidden), `attention-NN` (batch, heads, seq, seq)."""
    hidden: Sequence[Float[Tensor, "batch seq width"]] = ()
    """The student's hidden states, 0 = embedding output; empty if no term asks for them."""
    attention: Mapping[int, Float[Tensor, "batch heads seq seq"]] = field(default_factory=dict)
    """The student's scores before mask and softmax, by layer, counted from 1; those that terms ask for."""
    attention_mask: Int[Tensor, "batch seq"] | None = None
    """None if nothing is padded."""

    def real(self, layer: int) -> Float[Tensor, "tokens width"]:
        """The student's hidden state of a layer at real tokens, in the store's order."""
        states = self.hidden[layer]
        if self.attention_mask is None:
            return states.flatten(0, 1)
        return states[self.attention_mask.bool()]

    @property
    def teacher_logits(self) -> Float[Tensor, "batch classes"]:
        """The teacher's logits."""
        return self.targets[LOGITS]

    def teacher_hidden(self, layer: int) -> Float[Tensor, "tokens hidden"]:
        """The teacher's hidden state of a layer at real tokens."""
        return self.targets[hidden_output(layer)]

    def teacher_attention(self, layer: int) -> Float[Tensor, "batch heads seq seq"]:
        """The teacher's scores of a layer, counted from 1; anything at padding."""
        return self.targets[attention_output(layer)]


@dataclass(frozen=True)
class Term:
    """A weighted summand of a recipe's loss."""

    name: str
    weight: float
    loss: Callable[[Step], Float[Tensor, ""]]
    reads: tuple[str, ...] = ()
    """The store's outputs that it needs."""
    reads_student_hidden: bool = False
    reads_student_attention: tuple[int, ...] = ()
    """The student's layers, counted from 1, whose scores it needs."""
    trains: nn.Module | None = None
    """A module of its own, such as a projection, that is trained with the student and not saved in it; terms may share one."""


@dataclass(frozen=True)
class Shapes:
    """What a recipe has to know of student and teacher to choose its layers."""

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


def hard_labels(weight: float) -> Term:
    """Cross-entropy with the labels; transfer rows are skipped."""
    return Term("hard_labels", weight, lambda step: cross_entropy(step.logits, step.labels))


def total(terms: Sequence[Term], step: Step) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The weighted sum, and each term unweighted. A recipe keeps no term of weight 0."""
    values = {term.name: term.loss(step) for term in terms}
    loss = sum((term.weight * values[term.name] for term in terms), step.logits.new_zeros(()))
    return loss, values
