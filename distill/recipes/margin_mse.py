"""Hofstätter et al. 2020, "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation".

arXiv 2010.02666, Margin-MSE:
mean over pairs of ((s⁺ − s⁻) − (t⁺ − t⁻))² + hard_weight·BCE(s, y)
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Shapes
from distill.recipes.terms.shared import RankingStudentSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class MarginMse(RankingStudentSettings):
    """Hofstätter et al. 2020, ranking: the squared error of the margins between passages of a query, and `hard_weight`·BCE.

    What all scores of a query have in common is not compared, so the student may score on a scale with another zero.
    """

    recipe: Literal["margin_mse"]

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """Margins, and hard labels."""
        from distill.losses.ranking import margin_mse
        from distill.recipes.terms.logits import hard_labels, ranking_term

        return ranking_term("margins", 1.0, margin_mse), hard_labels(self.hard_weight)
