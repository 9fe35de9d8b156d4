"""What a recipe is: a sum of weighted terms, and what they read from the store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from distill.attention import CapturedAttention, Projection, attention_relation
from distill.params.students import Shapes, StudentSettings
from distill.recipes import soft
from distill.targets.schema import LOGITS, attention_output, cls_output, hidden_output
from distill.tasks.base import Task
from distill.tasks.token import real

HARD_LABELS = "hard_labels"
"""The name of the term that sample weights apply to."""
RELATION_OUTPUTS = {"query": "queries", "key": "keys", "value": "values"}
INITIAL_DEVIATION = 0.02
"""Of a linear map's entries between different widths; its bias begins at 0."""


@dataclass(frozen=True)
class Step:
    """What a term may look at: the student's outputs and the teacher's targets of one batch."""

    task: Task
    logits: Float[Tensor, "vectors classes"]
    """The student's, aligned with the teacher's: of rows, real tokens, masked positions, or starts and ends of answers."""
    labels: Num[Tensor, " vectors"]
    targets: Mapping[str, Tensor]
    """By output, as the store gathers it: `hidden-NN` (tokens, hidden), `attention-NN` (batch, heads, seq, seq) …"""
    mask: Int[Tensor, "batch seq"]
    """1 at real tokens."""
    padded: bool = True
    """Whether any token is padding."""
    hidden: Sequence[Float[Tensor, "batch seq width"]] = ()
    """The student's hidden states, 0 = embedding output; empty if no term asks for them."""
    attention: Mapping[int, Float[Tensor, "batch heads seq seq"]] = field(default_factory=dict)
    """The student's scores before mask and softmax, by layer, counted from 1; those that terms ask for."""
    turn: int | None = None
    """The number of the layer, from 0, that alone learns now; None if all do."""
    weights: Float[Tensor, " vectors"] | None = None
    """Of the labels; None if all weigh the same."""

    @property
    def attention_mask(self) -> Int[Tensor, "batch seq"] | None:
        """1 at real tokens; None if nothing is padded."""
        return self.mask if self.padded else None

    @property
    def teacher_logits(self) -> Float[Tensor, "vectors classes"]:
        """The teacher's logits, aligned as the student's."""
        return self.task.comparable(self.targets[LOGITS], self.mask)

    def real(self, layer: int) -> Float[Tensor, "tokens width"]:
        """The student's hidden state of a layer at real tokens, in the store's order."""
        return real(self.hidden[layer], self.attention_mask)

    def first(self, layer: int) -> Float[Tensor, "batch width"]:
        """The student's hidden state of a layer at the first token."""
        return self.hidden[layer][:, 0]

    def teacher_hidden(self, layer: int) -> Float[Tensor, "tokens hidden"]:
        """The teacher's hidden state of a layer at real tokens."""
        return self.targets[hidden_output(layer)]

    def teacher_first(self, layer: int) -> Float[Tensor, "batch hidden"]:
        """The teacher's hidden state of a layer at the first token."""
        return self.targets[cls_output(layer)]

    def teacher_attention(self, layer: int) -> Float[Tensor, "batch heads seq seq"]:
        """The teacher's scores of a layer, counted from 1; anything at padding."""
        return self.targets[attention_output(layer)]

    def relations(
        self, layer: int, teacher_layer: int, projection: Projection, heads: int
    ) -> tuple[Float[Tensor, "batch heads seq seq"], Float[Tensor, "batch heads seq seq"]]:
        """Scores of queries, keys or values with themselves, the student's and the teacher's; anything at padding."""
        assert isinstance(self.attention, CapturedAttention)
        own, states = self.attention.outputs[layer, projection], self.targets[relation_output(projection, teacher_layer)]
        theirs = states.new_zeros((*self.mask.shape, states.shape[1]))
        theirs[self.mask.bool()] = states
        return attention_relation(own, heads), attention_relation(theirs, heads)


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
    """The student's layers, counted from 1, whose scores or relations it needs."""
    trains: nn.Module | None = None
    """A module of its own, such as a projection, that is trained with the student and not saved in it; terms may share one."""


def relation_output(projection: Projection, layer: int) -> str:
    """The store's name of a layer's queries, keys or values: `values-03`; layers are counted from 1."""
    return f"{RELATION_OUTPUTS[projection]}-{layer:02d}"


def hard_labels(weight: float) -> Term:
    """The task's loss against the labels: cross-entropy, or squared error, the mean by weight; what has no label is skipped."""
    return Term(HARD_LABELS, weight, lambda step: step.task.hard(step.logits, step.labels, step.weights))


def soft_targets(weight: float, temperature: float) -> Term:
    """T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)); for regression the squared difference, which knows no temperature."""
    return Term(
        "soft_targets",
        weight,
        lambda step: soft.soft_targets(step.task, step.logits, step.teacher_logits, temperature),
        reads=(LOGITS,),
    )


def soft_cross_entropy(weight: float, temperature: float) -> Term:
    """−softmax(z_t/T)·log softmax(z_s/T), without a factor T²; for regression the squared difference."""
    return Term(
        "soft_cross_entropy",
        weight,
        lambda step: soft.soft_cross_entropy(step.task, step.logits, step.teacher_logits, temperature),
        reads=(LOGITS,),
    )


def summed(
    pairs: Sequence[tuple[int, int]], loss: Callable[[Step, int, int], Float[Tensor, ""]]
) -> Callable[[Step], Float[Tensor, ""]]:
    """A loss over pairs of the student's layer and the teacher's that it learns from."""
    return lambda step: torch.stack([loss(step, student, teacher) for student, teacher in pairs]).sum()


def linear_map(student_width: int, teacher_width: int) -> nn.Linear:
    """A linear map with bias from the student's states to the teacher's.

    Between equal widths it begins as the identity, which leaves a student of copied layers where it is; else at random, from
    torch's current random state.
    """
    projection = nn.Linear(student_width, teacher_width)
    if student_width == teacher_width:
        nn.init.eye_(projection.weight)
    else:
        nn.init.normal_(projection.weight, std=INITIAL_DEVIATION)
    nn.init.zeros_(projection.bias)
    return projection


def terms_of(settings: StudentSettings, shapes: Shapes) -> tuple[Term, ...]:
    """The terms of a student's recipe, those of weight 0 left out.

    Raises:
        UserError: a term cannot compare this student with this teacher.
    """
    settings.require_comparable(shapes)
    return tuple(term for term in settings.terms(shapes) if term.weight > 0)


def total(terms: Sequence[Term], step: Step) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The weighted sum, and each term unweighted. A recipe keeps no term of weight 0."""
    values = {term.name: term.loss(step) for term in terms}
    loss = sum((term.weight * values[term.name] for term in terms), step.logits.new_zeros(()))
    return loss, values
