"""Terms between the layers of student and teacher: hidden states, attention scores, relations."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from distill.data.averaging import Kind
from distill.models.attention import CapturedAttention, Projection, attention_relation
from distill.params.students import Shapes
from distill.recipes.terms.terms import Step, Term
from distill.store.output_names import (
    PROJECTIONS,
    attention_output,
    cls_output,
    hidden_output,
    projection_outputs,
)
from distill.tasks.base import real_tokens

Pairs = Sequence[tuple[int, int]]
"""The student's layers and the teacher's that each learns from."""
AttentionLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(student's scores, teacher's scores, attention mask) → the loss"""


def hidden_term(
    name: str,
    weight: float,
    pairs: Pairs,
    loss: Callable[[Tensor, Tensor], Tensor],
    projection: nn.Module | None = None,
    *,
    first_token: bool = False,
) -> Term:
    """A loss between hidden states, the student's mapped by the projection if any; layer 0 is the embeddings.

    They are those at real tokens, (tokens, width), or at the first token, (batch, width).
    """
    output = cls_output if first_token else hidden_output

    def compare(step: Step, student: int, teacher: int) -> Tensor:
        hidden = step.hidden[student]
        states = (hidden[:, 0] if first_token else real_tokens(hidden, step.attention_mask)).float()
        return loss(states if projection is None else projection(states), step.targets[output(teacher)])

    reads = tuple(output(teacher) for _, teacher in pairs)
    over: Kind = "rows" if first_token else "tokens"
    return Term(name, weight, summed(pairs, compare), over, reads, reads_student_hidden=True, trains=projection)


def attention_term(weight: float, pairs: Pairs, loss: AttentionLoss, over: Kind = "tokens") -> Term:
    """A loss between attention scores before mask and softmax, head by head: a mean over queries, or over pairs of tokens."""
    return Term(
        "attention",
        weight,
        summed(pairs, lambda step, s, t: loss(step.attention[s], step.targets[attention_output(t)], step.attention_mask)),
        over,
        reads=tuple(attention_output(teacher) for _, teacher in pairs),
        reads_student_attention=tuple(student for student, _ in pairs),
    )


def relation_term(projection: Projection, weight: float, pair: tuple[int, int], heads: int, loss: AttentionLoss) -> Term:
    """A loss between scores XXᵀ/√d of queries, keys or values with themselves, cut into so many heads."""
    layer, teacher_layer = pair
    output = dict(zip(PROJECTIONS.values(), projection_outputs(teacher_layer), strict=True))[projection]

    def compare(step: Step) -> Tensor:
        assert isinstance(step.attention, CapturedAttention)
        states, teacher_states = step.attention.outputs[layer, projection], step.targets[output]
        padded = teacher_states.new_zeros((*step.mask.shape, teacher_states.shape[1]))
        padded[step.mask.bool()] = teacher_states
        return loss(attention_relation(states, heads), attention_relation(padded, heads), step.attention_mask)

    return Term(f"{projection}_relation", weight, compare, "tokens", (output,), reads_student_attention=(layer,))


def summed(pairs: Pairs, loss: Callable[[Step, int, int], Float[Tensor, ""]]) -> Callable[[Step], Float[Tensor, ""]]:
    """A loss over pairs of layers; where one layer is trained after the other, over the pair of the current one."""

    def total(step: Step) -> Tensor:
        current = pairs if step.current_layer is None else [pairs[step.current_layer]]
        return torch.stack([loss(step, student, teacher) for student, teacher in current]).sum()

    return total


def width_map(shapes: Shapes) -> nn.Linear | None:
    """A linear map from the student's width to the teacher's; None if they are equal, or the teacher's is not known."""
    width = shapes.teacher_width
    return None if width is None or width == shapes.student_width else linear_map(shapes.student_width, width)


def linear_map(student_width: int, teacher_width: int) -> nn.Linear:
    """A linear map with bias from the student's states to the teacher's.

    Between equal widths it begins as the identity, which leaves a student of copied layers where it is; else with normal entries
    of deviation 0.02, from torch's current random state.
    """
    projection = nn.Linear(student_width, teacher_width)
    if student_width == teacher_width:
        nn.init.eye_(projection.weight)
    else:
        nn.init.normal_(projection.weight, std=0.02)
    nn.init.zeros_(projection.bias)
    return projection
