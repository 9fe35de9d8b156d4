"""Ren et al. 2021, "RocketQAv2" (arXiv 2110.07367), with the probabilities of Cao et al. 2007 (ListNet): listwise distillation.

T²·KL(softmax(t/T) ‖ softmax(s/T)) over the passages of a query + hard_weight·BCE(s, y)
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Needs, Shapes, StudentSettings, Temperature, Weight

if TYPE_CHECKING:
    from torch import Tensor

    from distill.recipes.terms import Term


class Listwise(StudentSettings):
    """Ren et al. 2021, ranking: T²·KL between the softmax over a query's passages, and `hard_weight`·BCE."""

    recipe: Literal["listwise"]
    temperature: Temperature = 1.0
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
        """Listwise soft targets, and hard labels."""
        from distill.losses.ranking import listwise_kl
        from distill.recipes.terms import hard_labels, ranking_term

        def divergence(student: "Tensor", teacher: "Tensor", labels: "Tensor", groups: "Tensor") -> "Tensor":
            return listwise_kl(student, teacher, groups, self.temperature)

        return ranking_term("listwise", 1.0, divergence), hard_labels(self.hard_weight)
