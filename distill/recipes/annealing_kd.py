"""Jafari et al. 2021, "Annealing Knowledge Distillation" (arXiv 2104.07163), algorithm 1.

mean (z_s − φ(T)·z_t)²      φ(T) = 1 − (T − 1)/max_temperature,  T = max_temperature … 1, equally many steps each

That is its first phase; the second, cross-entropy with the labels alone, is a student of the recipe `supervised` that is
initialized `from: data/students/` this one.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from distill.params.students import Shapes
from distill.recipes.terms.shared import LogitStudentSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class AnnealingKd(LogitStudentSettings):
    """Jafari et al. 2021, the first phase: the squared error from the teacher's logits, which grow from a fraction to their size.

    It reads no labels. The student that follows takes the recipe `supervised`, and a data set whose rows have labels.
    """

    recipe: Literal["annealing_kd"]
    max_temperature: Annotated[int, Field(ge=1)] = 7
    """In how many steps the logits grow: from 1/`max_temperature` of their size to all of it. 1 is `logit_mse`."""

    @property
    def label_weight(self) -> float:
        """It reads no labels."""
        return 0.0

    def share(self, progress: float) -> float:
        """φ(T): what the teacher's logits are multiplied by when this share of all steps is done, 0 ≤ progress < 1."""
        return (int(progress * self.max_temperature) + 1) / self.max_temperature

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The squared error from the annealed logits."""
        from distill.recipes.terms.logits import logit_term

        return (logit_term(lambda step: self.share(step.progress)),)
