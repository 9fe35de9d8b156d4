"""Jiao et al. 2020, "TinyBERT" (arXiv 1909.10351), eq. 5–11.

intermediate: Σ MSE(A_s,i ; A_t,g(i)) + Σ MSE(H_s,i·W ; H_t,g(i)) + MSE(E_s·W ; E_t)      i = 1 … student layers
prediction:   −softmax(z_t/T)·log softmax(z_s/T)

A are the attention scores before the softmax, H and E hidden states and embedding output. As in the paper's code, one linear
map W with bias from the student's width to the teacher's serves all layers, also where the widths are equal. It is made anew
for each run (between equal widths as the identity, where the paper's code draws it: a student of copied layers would be torn from
them), trained with the student, and no part of it. General distillation is the intermediate stage on a corpus whose rows
need no label and no masking.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from distill.core.errors import UserError
from distill.params.students import Needs, Shapes, Weight
from distill.recipes.terms.shared import TwoStageSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term

KEYS = {
    "intermediate": ("attention_weight", "hidden_weight", "embedding_weight", "layer_map"),
    "prediction": ("soft_weight", "hard_weight", "temperature"),
}
"""The settings of each stage."""


class TinyBert(TwoStageSettings):
    """Jiao et al. 2020, in two stages, each a student of its own: the second starts `from: data/students/` the first.

    `intermediate` fits attention scores, hidden states and embedding output; the head is not trained, so the last epoch is kept
    and `patience` does nothing. `prediction` fits the logits. Published: intermediate with `learning_rate: 5e-5`,
    `schedule: constant`, `batch_size: 32`, 10 to 20 epochs; prediction with `learning_rate: 3e-5`, `schedule: linear`,
    `warmup: 0.1`, 3 epochs.
    """

    settings_of: ClassVar = {"stage": KEYS}
    recipe: Literal["tinybert"]
    stage: Literal["intermediate", "prediction"]
    attention_weight: Weight = 1.0
    """Intermediate: of scores, whose error is many times that of states; 0 suits copied layers (docs/choosing.md)."""
    hidden_weight: Weight = 1.0
    embedding_weight: Weight = 1.0
    soft_weight: Weight = 1.0
    """Prediction: of the soft cross-entropy."""
    hard_weight: Weight = 0.0
    """Prediction: of the hard labels."""

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Scores and hidden states of the mapped layers, and the embedding output; or logits."""
        if self.stage == "prediction":
            return Needs(logits=self.soft_weight > 0)
        mapped = tuple(sorted({teacher for _, teacher in self.layer_pairs(student_layers, teacher_layers)}))
        hidden = ((0,) if self.embedding_weight else ()) + (mapped if self.hidden_weight else ())
        return Needs(hidden=hidden, attention=mapped if self.attention_weight else ())

    def require_comparable(self, shapes: Shapes) -> None:
        """The intermediate stage compares scores before the softmax head by head."""
        if self.stage == "prediction" or not self.attention_weight:
            return
        shapes.require_equal_heads("tinybert: the attention term compares scores", "attention_weight: 0")
        if not shapes.teacher_scores:
            raise UserError(
                "tinybert: the attention term compares scores before the softmax, the target set keeps probabilities, which do "
                "not tell them; set attention_as: replay, scores-u8 or scores-fp16 in targets, or attention_weight: 0"
            )

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The terms of the chosen stage."""
        from distill.losses.attention import score_mse
        from distill.losses.hidden_states import hidden_mse
        from distill.losses.logits import soft_cross_entropy
        from distill.recipes.terms.layers import attention_term, hidden_term, linear_map
        from distill.recipes.terms.logits import hard_labels, soft_targets

        if self.stage == "prediction":
            soft = soft_targets(self.soft_weight, self.temperature, soft_cross_entropy, "soft_cross_entropy")
            return soft, hard_labels(self.hard_weight)
        pairs = self.layer_pairs(shapes.student_layers, shapes.teacher_layers)
        projection = linear_map(shapes.student_width, shapes.teacher_width or shapes.student_width)
        return (
            attention_term(self.attention_weight, pairs, score_mse, over="pairs"),
            hidden_term("hidden", self.hidden_weight, pairs, hidden_mse, projection),
            hidden_term("embedding", self.embedding_weight, [(0, 0)], hidden_mse, projection),
        )
