"""Hinton, Vinyals & Dean 2015, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531), eq. 2–4.

α·CE(z_s, y) + (1 − α)·T²·KL(softmax(z_t/T) ‖ softmax(z_s/T))
"""

from distill.losses.logits import soft_target_kl
from distill.params.students import Hinton
from distill.recipes.base import Shapes, Term, hard_labels
from distill.targets.schema import LOGITS


def terms(settings: Hinton, shapes: Shapes) -> tuple[Term, ...]:
    """Hard labels with weight α, soft targets with 1 − α."""
    temperature = settings.temperature
    return (
        hard_labels(settings.alpha),
        Term(
            "soft_targets",
            1 - settings.alpha,
            lambda step: soft_target_kl(step.logits, step.teacher_logits, temperature),
            reads=(LOGITS,),
        ),
    )
