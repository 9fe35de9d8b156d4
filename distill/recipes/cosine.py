"""Zhang et al. 2024, "Jasper and Stella: distillation of SOTA embedding models" (arXiv 2412.19048), the cosine loss.

mean 1 − cos(e_s, e_t)

e are vectors of texts. With `sizes`, the mean of that over whole vectors and their first numbers.
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Shapes
from distill.recipes.terms.shared import AlignedStudentSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class Cosine(AlignedStudentSettings):
    """Zhang et al. 2024: 1 − cos of the student's vector and the teacher's."""

    recipe: Literal["cosine"]

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The cosine term."""
        from distill.losses.hidden_states import cosine_distance
        from distill.recipes.terms.logits import aligned_vectors

        return (aligned_vectors("cosine", cosine_distance, shapes, self.sizes, pca=self.projection == "pca"),)
