"""Ren et al. 2021, "RocketQAv2" (arXiv 2110.07367), with the probabilities of Cao et al. 2007 (ListNet): listwise distillation.

T²·KL(softmax(t/T) ‖ softmax(s/T)) over the passages of a query + hard_weight·BCE(s, y)
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Shapes, Temperature
from distill.recipes.terms.shared import RankingStudentSettings

if TYPE_CHECKING:
    from torch import Tensor

    from distill.recipes.terms.terms import Term


class Listwise(RankingStudentSettings):
    """Ren et al. 2021, ranking: T²·KL between the softmax over a query's passages, and `hard_weight`·BCE."""

    recipe: Literal["listwise"]
    temperature: Temperature = 1.0

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """Listwise soft targets, and hard labels."""
        from distill.losses.ranking import listwise_kl
        from distill.recipes.terms.logits import hard_labels, ranking_term

        def divergence(student: "Tensor", teacher: "Tensor", labels: "Tensor", groups: "Tensor") -> "Tensor":
            return listwise_kl(student, teacher, groups, self.temperature)

        return ranking_term("listwise", 1.0, divergence), hard_labels(self.hard_weight)
