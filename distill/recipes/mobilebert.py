"""Sun et al. 2020, "MobileBERT" (arXiv 2004.02984), section 3.3 and 3.4, with the weights of its training code; for any task.

transfer: for layers l = 1 … student layers, one after the other
          100·MSE(N(H_s,l·W) ; N(H_t,g(l))) + 5000·MSE(μ) + 5·|σ²_s − σ²_t| + 1·KL(A_t,g(l) ‖ A_s,l)
distill:  α·CE(z_s, y) + (1 − α)·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T))

H are hidden states; N makes their mean μ 0 and their variance σ² 1 over channels (eq. 1, decomposed); A the attention
distributions of each head (eq. 2); on masked-lm data, `distill` is eq. 3 without the next sentence. W is there if the teacher
is not as wide as the student: a linear map with bias, trained with the student and no part of it. Each layer is trained for
equally many steps, over which `schedule` and `warmup` run anew. The student's embeddings are the teacher's: `init: {from: the
teacher, architecture: mobilebert, copy_embeddings: true}`.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from distill.params.students import Fraction, Needs, Shapes, Weight
from distill.recipes.terms.shared import TwoStageSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term

STATES = ("feature_weight", "mean_weight", "variance_weight")

KEYS = {
    "transfer": (*STATES, "attention_weight", "layer_map", "order", "earlier_rate"),
    "distill": ("alpha", "temperature"),
}
"""The settings of each stage."""


class MobileBert(TwoStageSettings):
    """Sun et al. 2020, in two stages, each a student of its own: the second starts `from: data/students/` the first.

    `transfer` fits the student's layers one by one; embeddings and head do not move, the last epoch is kept and `patience` does
    nothing. `distill` fits the logits. Published, on the masked-lm task: transfer with 10,000 steps a layer,
    `learning_rate: 4.5e-3`, `schedule: constant`, batches of 4,096 and LAMB; an Adam's learning rate is some 1e-4 to 1e-3.
    """

    settings_of: ClassVar = {"stage": KEYS}
    recipe: Literal["mobilebert"]
    stage: Literal["transfer", "distill"]
    order: Literal["progressive", "joint"] = "progressive"
    """Transfer: one layer after the other, or all at once: then nothing is frozen."""
    earlier_rate: Fraction = 0.1
    """Transfer: the learning rate of earlier layers, as a share of that of the layer being trained: 0 freezes them. The training
    code's is 0.1 (0.3 against 3 times a background rate)."""
    feature_weight: Weight = 100.0
    """Transfer: of the normalized feature maps."""
    mean_weight: Weight = 5000.0
    variance_weight: Weight = 5.0
    alpha: Fraction = 0.5
    """Distill: the weight of the hard labels."""

    @property
    def label_weight(self) -> float:
        """Transfer knows no labels."""
        return 0.0 if self.only_intermediate else self.alpha

    @property
    def earlier_layers_lr_scale(self) -> float | None:
        """Transfer goes layer by layer, unless the order is joint."""
        return self.earlier_rate if self.stage == "transfer" and self.order == "progressive" else None

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Hidden states and scores of the mapped layers; or logits."""
        if self.stage == "distill":
            return Needs(logits=self.alpha < 1)
        mapped = tuple(sorted({teacher for _, teacher in self.layer_pairs(student_layers, teacher_layers)}))
        states = any(getattr(self, key) for key in STATES)
        return Needs(hidden=mapped if states else (), attention=mapped if self.attention_weight else ())

    def require_comparable(self, shapes: Shapes) -> None:
        """Transfer compares attention distributions head by head."""
        if self.stage == "transfer" and self.attention_weight:
            shapes.require_equal_heads("mobilebert: the attention term compares distributions", "attention_weight: 0")

    @model_validator(mode="after")
    def _one_order(self) -> "MobileBert":
        if self.order == "joint" and "earlier_rate" in self.model_fields_set:
            raise ValueError("earlier_rate is of the progressive order; remove it, or order: joint")
        return self

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The terms of the chosen stage."""
        from distill.losses.attention import attention_kl
        from distill.losses.hidden_states import feature_map_mse, mean_mse, variance_gap
        from distill.recipes.terms.layers import attention_term, hidden_term, width_map
        from distill.recipes.terms.logits import hard_labels, soft_targets

        if self.stage == "distill":
            return hard_labels(self.alpha), soft_targets(1 - self.alpha, self.temperature)
        pairs = self.layer_pairs(shapes.student_layers, shapes.teacher_layers)
        projection = width_map(shapes)
        return (
            hidden_term("feature_maps", self.feature_weight, pairs, feature_map_mse, projection),
            hidden_term("means", self.mean_weight, pairs, mean_mse, projection),
            hidden_term("variances", self.variance_weight, pairs, variance_gap, projection),
            attention_term(self.attention_weight, pairs, attention_kl),
        )
