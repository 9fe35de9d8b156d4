"""Reimers & Gurevych 2020, "Making Monolingual Sentence Embeddings Multilingual …" (arXiv 2004.09813), eq. 1, of one language.

mean (e_s − e_t)²

e are vectors of texts. With `sizes`, the mean of that over whole vectors and their first numbers.
"""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Shapes
from distill.recipes.terms.shared import AlignedStudentSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class EmbeddingMse(AlignedStudentSettings):
    """Reimers & Gurevych 2020: the squared error of the vectors."""

    recipe: Literal["embedding_mse"]

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The squared error."""
        from distill.losses.hidden_states import hidden_mse
        from distill.recipes.terms.logits import aligned_vectors

        return (aligned_vectors("embedding_mse", hidden_mse, shapes, self.sizes, pca=self.projection == "pca"),)
