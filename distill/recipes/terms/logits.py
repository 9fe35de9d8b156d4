"""Terms between the answers of student and teacher, and against labels: logits, vectors of texts, scores of passages."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from distill.losses.embeddings import VectorLoss, nested
from distill.losses.logits import logit_mse, soft_target_kl
from distill.models.principal_axes import principal_axes
from distill.params.students import Shapes
from distill.recipes.terms.terms import Step, Term
from distill.store.output_names import (
    LOGITS,
)
from distill.tasks.base import HARD_LABELS, NO_LOGIT

LogitsLoss = Callable[[Tensor, Tensor, float], Tensor]
"""(student's logits, teacher's logits, temperature) → the loss"""
RankingLoss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(student's scores, teacher's scores, labels, groups), (rows,) each → the loss"""


def hard_labels(weight: float) -> Term:
    """The task's loss against the labels: cross-entropy, or squared error, the mean by weight; what has no label is skipped."""
    return Term(HARD_LABELS, weight, lambda step: step.task.label_loss(step.logits, step.labels, step.weights), over="labels")


def soft_targets(weight: float, temperature: float, loss: LogitsLoss = soft_target_kl, name: str = "soft_targets") -> Term:
    """A loss against the teacher's logits; where these are numbers the squared error, a KL between normals of one width."""

    def compare(step: Step) -> Tensor:
        if step.task.continuous:
            return functional.mse_loss(step.logits.float(), step.teacher_logits.float())
        return loss(step.logits, step.teacher_logits, temperature)

    return Term(name, weight, compare, reads=(LOGITS,))


def logit_term(share: Callable[[Step], float] = lambda _: 1.0) -> Term:
    """The squared error of the student's logits from a share of the teacher's; padding is no class of a window."""

    def compare(step: Step) -> Tensor:
        teacher = step.teacher_logits
        return logit_mse(step.logits, share(step) * teacher, teacher > NO_LOGIT)

    return Term("logits", 1.0, compare, reads=(LOGITS,))


def vector_term(name: str, loss: VectorLoss, axes: Tensor | None = None) -> Term:
    """A loss between vectors of texts, the teacher's along `axes`, (teacher's size, student's size), if there are any."""

    def compare(step: Step) -> Tensor:
        vectors = step.teacher_logits
        return loss(step.logits, vectors if axes is None else vectors @ axes.to(vectors.device))

    return Term(name, 1.0, compare, "rows", reads=(LOGITS,))


def aligned_vectors(name: str, loss: VectorLoss, shapes: Shapes, sizes: Sequence[int], *, pca: bool) -> Term:
    """A loss between vectors number by number, by `sizes` too; with `pca`, the teacher's are along their principal axes.

    Their first numbers are then the most important ones, as `sizes` needs them.
    """
    axes = None
    if pca and shapes.teacher_vectors:
        axes = principal_axes(shapes.teacher_vectors(), shapes.student_size or 0).flip(1).float()
    return vector_term(name, nested(loss, sizes), axes)


def ranking_term(name: str, weight: float, loss: RankingLoss) -> Term:
    """A loss between the scores of the passages of each query, the mean over queries."""

    def compare(step: Step) -> Tensor:
        if step.groups is None:
            raise ValueError(f"{name}: compares passages of a query; rows of {step.task.name} are in no groups")
        return loss(step.logits[:, 0], step.teacher_logits[:, 0], step.labels, step.groups)

    return Term(name, weight, compare, over="groups", reads=(LOGITS,))
