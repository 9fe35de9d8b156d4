"""Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), eq. 2–4.

α·CE(z_s, y) + (1 − α)·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T))
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Fraction, Needs, Shapes, StudentSettings, Temperature

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class Hinton(StudentSettings):
    """Hinton, Vinyals & Dean 2015: `alpha`·CE + (1−`alpha`)·T²·KL."""

    recipe: Literal["hinton"]
    alpha: Fraction = 0.5
    """The weight of the hard labels."""
    temperature: Temperature = 4.0

    @property
    def label_weight(self) -> float:
        """α."""
        return self.alpha

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits."""
        return Needs(logits=self.alpha < 1)

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """Hard labels with weight α, soft targets with 1 − α."""
        from distill.recipes.terms.logits import hard_labels, soft_targets

        return hard_labels(self.alpha), soft_targets(1 - self.alpha, self.temperature)
