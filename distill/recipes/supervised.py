"""Hard labels alone: the baseline that every distilled student is compared with."""

from typing import TYPE_CHECKING, Literal

from distill.params.students import Shapes, StudentSettings

if TYPE_CHECKING:
    from distill.recipes.terms.terms import Term


class Supervised(StudentSettings):
    """Hard labels alone: the baseline of every distilled student. Targets are read when it is evaluated only."""

    recipe: Literal["supervised"]

    def terms(self, shapes: Shapes) -> "tuple[Term, ...]":
        """The task's loss against the labels."""
        from distill.recipes.terms.logits import hard_labels

        return (hard_labels(1.0),)
