"""Hofstätter et al. 2020, "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation".

arXiv 2010.02666, Margin-MSE:
mean over pairs of ((s⁺ − s⁻) − (t⁺ − t⁻))² + hard_weight·BCE(s, y)
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Needs, Shapes, StudentSettings, Weight

if TYPE_CHECKING:
    from distill.recipes.terms import Term


class MarginMse(StudentSettings):
    """Hofstätter et al. 2020, ranking: the squared error of the margins between passages of a query, and `hard_weight`·BCE.

    What all scores of a query have in common is not compared, so the student may score on a scale with another zero.
    """

    recipe: Literal["margin_mse"]
    hard_weight: Weight = 0.0

    @property
    def of_groups(self) -> bool:
        """It compares passages of a query."""
        return True

    @property
    def label_weight(self) -> float:
        """That of the hard labels."""
        return self.hard_weight

    def needs(self, student_layers: int, teacher_layers: int) -> Needs:
        """Logits."""
        return Needs(logits=True)

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """Margins, and hard labels."""
        from distill.losses.ranking import margin_mse
        from distill.recipes.terms import hard_labels, ranking_term

        return ranking_term("margins", 1.0, margin_mse), hard_labels(self.hard_weight)
