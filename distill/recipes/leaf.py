"""Vujanic & Rueckstiess 2025, "LEAF: Knowledge Distillation of Text Embedding Models …" (arXiv 2509.12539).

mean ‖e_s − e_t‖₂

e_s = W·pooled + b has the teacher's width: W is the student's own linear layer (`vector_size`), kept in the model, so that texts
that the teacher has embedded can be searched by the student. Matryoshka sizes and robustness to rounding come with a teacher that
has them. No labels, no negatives; small batches do.
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Shapes
from distill.recipes.terms.shared import AlignedStudentSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class Leaf(AlignedStudentSettings):
    """Vujanic & Rueckstiess 2025: the distance of the student's vector from the teacher's."""

    recipe: Literal["leaf"]

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The distance."""
        from distill.losses.embeddings import distance
        from distill.recipes.terms.logits import aligned_vectors

        return (aligned_vectors("distance", distance, shapes, self.sizes, pca=self.projection == "pca"),)
