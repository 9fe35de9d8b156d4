"""Kim et al. 2021, "Comparing Kullback-Leibler Divergence and Mean Squared Error Loss" (arXiv 2105.08919).

mean (z_s − z_t)² + hard_weight·CE(z_s, y)

Of the squared errors the mean over classes is taken, where the paper has their sum.
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Needs, Shapes, StudentSettings, Weight

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class LogitMse(StudentSettings):
    """Kim et al. 2021: the squared error of the logits, and `hard_weight`·CE."""

    recipe: Literal["logit_mse"]
    hard_weight: Weight = 0.0

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits."""
        return Needs(logits=True)

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The squared error, and the hard labels' loss."""
        from distill.recipes.terms.logits import hard_labels, logit_term

        return logit_term(), hard_labels(self.hard_weight)
