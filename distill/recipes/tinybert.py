"""Jiao et al. 2020, "TinyBERT" (arXiv 1909.10351), eq. 5–11.

intermediate: Σ MSE(A_s,i ; A_t,g(i)) + Σ MSE(H_s,i·W ; H_t,g(i)) + MSE(E_s·W ; E_t)      i = 1 … student layers
prediction:   −softmax(z_t/T)·log softmax(z_s/T)

A are the attention scores before the softmax, H and E hidden states and embedding output. As in the paper's code, one linear
map W with bias from the student's width to the teacher's serves all layers, also where the widths are equal. It is drawn anew
for each run, trained with the student, and no part of it.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from distill.errors import UserError
from distill.losses.attention import score_mse
from distill.losses.hidden import hidden_mse
from distill.losses.logits import soft_cross_entropy
from distill.params.students import TinyBert
from distill.recipes.base import Shapes, Step, Term, hard_labels
from distill.targets.schema import LOGITS, attention_output, hidden_output

Pairs = Sequence[tuple[int, int]]
"""The student's layers and the teacher's that each learns from."""
INITIAL_DEVIATION = 0.02
"""Of W's entries; its bias begins at 0."""


def terms(settings: TinyBert, shapes: Shapes) -> tuple[Term, ...]:
    """The terms of the chosen stage.

    Raises:
        UserError: layers or heads cannot be paired.
    """
    if settings.stage == "prediction":
        temperature = settings.temperature
        return (
            Term(
                "soft_cross_entropy",
                settings.soft_weight,
                lambda step: soft_cross_entropy(step.logits, step.teacher_logits, temperature),
                reads=(LOGITS,),
            ),
            hard_labels(settings.hard_weight),
        )
    pairs = settings.layer_pairs(shapes.student_layers, shapes.teacher_layers)
    projection = _projection(shapes.student_width, shapes.teacher_width or shapes.student_width)
    return (
        _attention(settings.attention_weight, pairs, shapes),
        _states("hidden", settings.hidden_weight, pairs, projection),
        _states("embedding", settings.embedding_weight, ((0, 0),), projection),
    )


def _attention(weight: float, pairs: Pairs, shapes: Shapes) -> Term:
    own, theirs = shapes.student_heads, shapes.teacher_heads
    if weight and theirs not in (None, own):
        raise UserError(
            f"tinybert: the attention term compares scores head by head, the student has {own} heads a layer, the teacher "
            f"{theirs}; set attention_weight: 0, or give the student num_attention_heads: {theirs}"
        )
    if weight and not shapes.teacher_scores:
        raise UserError(
            "tinybert: the attention term compares scores before the softmax, the target set keeps probabilities, which do not "
            "tell them; set attention_as: replay, scores-u8 or scores-fp16 in targets, or attention_weight: 0"
        )

    def loss(step: Step) -> Float[Tensor, ""]:
        parts = [score_mse(step.attention[s], step.teacher_attention(t), step.attention_mask) for s, t in pairs]
        return sum(parts[1:], parts[0])

    return Term(
        "attention",
        weight,
        loss,
        reads=tuple(attention_output(teacher) for _, teacher in pairs),
        reads_student_attention=tuple(student for student, _ in pairs),
    )


def _states(name: str, weight: float, pairs: Pairs, projection: nn.Module) -> Term:
    def loss(step: Step) -> Float[Tensor, ""]:
        parts = [hidden_mse(projection(step.real(s).float()), step.teacher_hidden(t)) for s, t in pairs]
        return sum(parts[1:], parts[0])

    return Term(
        name,
        weight,
        loss,
        reads=tuple(hidden_output(teacher) for _, teacher in pairs),
        reads_student_hidden=True,
        trains=projection,
    )


def _projection(student_width: int, teacher_width: int) -> nn.Linear:
    projection = nn.Linear(student_width, teacher_width)
    nn.init.normal_(projection.weight, std=INITIAL_DEVIATION)
    nn.init.zeros_(projection.bias)
    return projection
