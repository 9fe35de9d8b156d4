"""Losses against the teacher's logits, whatever the task."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from distill.losses import logits
from distill.tasks.base import Task


def soft_targets(
    task: Task, student: Float[Tensor, "n classes"], teacher: Float[Tensor, "n classes"], temperature: float
) -> Float[Tensor, ""]:
    """T²·KL; of regression the mean squared error, which is a KL between normal distributions of one width."""
    if task.continuous:
        return functional.mse_loss(student.float(), teacher.float())
    return logits.soft_target_kl(student, teacher, temperature)


def soft_cross_entropy(
    task: Task, student: Float[Tensor, "n classes"], teacher: Float[Tensor, "n classes"], temperature: float
) -> Float[Tensor, ""]:
    """Cross-entropy with the teacher's distribution, without T²; of regression the mean squared error."""
    if task.continuous:
        return functional.mse_loss(student.float(), teacher.float())
    return logits.soft_cross_entropy(student, teacher, temperature)
