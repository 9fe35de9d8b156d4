"""Hard labels alone: the baseline that every distilled student is compared with."""

from distill.params.students import Supervised
from distill.recipes.base import Shapes, Term, hard_labels


def terms(settings: Supervised, shapes: Shapes) -> tuple[Term, ...]:
    """CE(z_s, y)."""
    return (hard_labels(1.0),)
