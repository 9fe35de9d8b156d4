"""Sun et al. 2019, "Patient Knowledge Distillation" (arXiv 1908.09355), eq. 5–7, with its code's mean over channels.

(1 − α)·CE(z_s, y) + α·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)) + β·mean_i MSE(h_s,i / ‖h_s,i‖ ; h_t,g(i) / ‖h_t,g(i)‖)

h are hidden states at the first token, i = 1 … M − 1 of a student of M layers; the last layer is taught by the logits. With N
layers of the teacher, g(i) = i·N/M (`skip`) or i + N − M (`last`). The paper searched α in 0.2, 0.5, 0.7, T in 5, 10, 20 and
β in 10, 100, 500, 1000, for students initialized with the teacher's first layers. Where widths differ, a linear map from the
student's width to the teacher's serves all layers: it is drawn anew for each run, trained with the student, and no part of it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from distill.core.errors import UserError
from distill.params.students import Fraction, LayerMap, Needs, Shapes, StudentSettings, Temperature, Weight

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class Pkd(StudentSettings):
    """Sun et al. 2019: (1−`alpha`)·CE + `alpha`·T²·KL + `beta`·MSE of normalized [CLS] states of layers 1 to M−1."""

    recipe: Literal["pkd"]
    alpha: Fraction = 0.5
    """The weight of the soft targets."""
    beta: Weight = 100.0
    temperature: Temperature = 10.0
    strategy: Literal["skip", "last"] = "skip"
    """The teacher's layers: every N/M-th, or the last ones; the very last is left out."""
    layer_map: LayerMap = None
    """In place of a strategy: the teacher's layer for each of the student's but the last, counted from 1."""

    @property
    def label_weight(self) -> float:
        """1 − α."""
        return 1 - self.alpha

    @property
    def reads_hidden(self) -> bool:
        """The patient term reads states at the first token."""
        return self.beta > 0

    @property
    def reads_first_token(self) -> bool:
        """The patient term does."""
        return self.beta > 0

    def layer_pairs(self, student_layers: int, teacher_layers: int) -> tuple[tuple[int, int], ...]:
        """The student's layers and the teacher's that each learns from, counted from 1."""
        taught = range(1, student_layers)
        if not taught:
            raise UserError("pkd: a student of one layer has none before its last to teach; set beta: 0, or give it more layers")
        if self.layer_map is not None:
            if len(self.layer_map) != len(taught) or max(self.layer_map) > teacher_layers:
                raise UserError(
                    f"pkd: layer_map: got {list(self.layer_map)}, expected {len(taught)} numbers, one for each of the student's "
                    f"layers but the last, from 1 to the teacher's {teacher_layers}"
                )
            return tuple(zip(taught, self.layer_map, strict=True))
        skips = self.strategy == "skip"
        if student_layers > teacher_layers or (skips and teacher_layers % student_layers):
            raise UserError(
                f"pkd: strategy {self.strategy}: {student_layers} layers of a student do not go with the teacher's "
                f"{teacher_layers}; give layer_map: {len(taught)} of the teacher's layers, counted from 1"
            )
        step = teacher_layers // student_layers
        return tuple((layer, layer * step if skips else layer + teacher_layers - student_layers) for layer in taught)

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits, and first tokens' states of the mapped layers."""
        pairs = self.layer_pairs(student_layers, teacher_layers) if self.beta else ()
        return Needs(logits=self.alpha > 0, cls=tuple(sorted({teacher for _, teacher in pairs})))

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """Hard labels, soft targets, and the patient term."""
        from distill.losses.hidden_states import normalized_mse
        from distill.recipes.terms.layers import hidden_term, width_map
        from distill.recipes.terms.logits import hard_labels, soft_targets

        terms = (hard_labels(1 - self.alpha), soft_targets(self.alpha, self.temperature))
        if not self.beta:
            return terms
        pairs = self.layer_pairs(shapes.student_layers, shapes.teacher_layers)
        patience = hidden_term("patience", self.beta, pairs, normalized_mse, width_map(shapes), first_token=True)
        return (*terms, replace(patience, loss=lambda step: patience.loss(step) / len(pairs)))

    @model_validator(mode="after")
    def _one_way(self) -> "Pkd":
        if self.layer_map is not None and "strategy" in self.model_fields_set:
            raise ValueError("expected one of: strategy, layer_map")
        return self
