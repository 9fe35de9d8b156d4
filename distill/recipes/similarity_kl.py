"""Passalis & Tefas 2018, "Learning Deep Representations with Probabilistic Knowledge Transfer" (arXiv 1803.10837), eq. 4–6.

mean_i KL(p_t(· | i) ‖ p_s(· | i)),   p(j | i) = softmax_j≠i cos(e_i, e_j)/T over the other texts of a batch

The kernel is that of Fang et al. 2021, "SEED" (arXiv 2101.04731), eq. 4. The student's vectors may be of any width. With `sizes`,
the mean over whole vectors and their first numbers, each compared with the teacher's whole ones.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from distill.params.students import Shapes, Temperature
from distill.recipes.terms.shared import VectorStudentSettings

if TYPE_CHECKING:
    from torch import Tensor

    from distill.recipes.terms.terms import Term


class SimilarityKl(VectorStudentSettings):
    """Passalis & Tefas 2018: the KL of how alike a text is to the others of its batch; vectors of any width."""

    recipe: Literal["similarity_kl"]
    temperature: Temperature = 0.05
    """Of the cosines."""

    @model_validator(mode="after")
    def _rows_to_compare(self) -> "SimilarityKl":
        if self.batch_size == 1:
            raise ValueError("batch_size: the rows of a batch are compared with each other, of 1 nothing is learnt; raise it")
        return self

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The KL term."""
        from distill.losses.embeddings import nested, similarity_kl
        from distill.recipes.terms.logits import vector_term

        def loss(student: "Tensor", teacher: "Tensor") -> "Tensor":
            return similarity_kl(student, teacher, self.temperature)

        return (vector_term("similarity_kl", nested(loss, self.sizes, whole_teacher=True)),)
