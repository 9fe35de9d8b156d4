"""Losses between logits. Means are over rows."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def soft_target_kl(
    student: Float[Tensor, "rows classes"], teacher: Float[Tensor, "rows classes"], temperature: float
) -> Float[Tensor, ""]:
    """T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)), summed over classes, averaged over rows.

    Hinton, Vinyals & Dean 2015 (arXiv 1503.02531), section 2: the factor T² keeps the gradients' size when T changes.
    """
    divergence = functional.kl_div(
        functional.log_softmax(student.float() / temperature, dim=-1),
        functional.log_softmax(teacher.float() / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2


def soft_cross_entropy(
    student: Float[Tensor, "rows classes"], teacher: Float[Tensor, "rows classes"], temperature: float
) -> Float[Tensor, ""]:
    """−Σ softmax(z_t/T)·log softmax(z_s/T) over classes, averaged over rows; at its least the teacher's entropy, not 0.

    Jiao et al. 2020 (arXiv 1909.10351), eq. 10, which has no factor T².
    """
    return functional.cross_entropy(student.float() / temperature, functional.softmax(teacher.float() / temperature, dim=-1))


def logit_mse(
    student: Float[Tensor, "rows classes"], teacher: Float[Tensor, "rows classes"], counted: Bool[Tensor, "rows classes"]
) -> Float[Tensor, ""]:
    """(z_s − z_t)², averaged over the classes of each row that are `counted`, and over rows.

    Kim et al. 2021 (arXiv 2105.08919), who sum over classes. T²·KL for T → ∞ is half of it, of logits whose mean over classes is
    taken off first; this one compares logits as they are.
    """
    errors = (student.float() - teacher.float()).square() * counted
    return (errors.sum(dim=1) / counted.sum(dim=1)).mean()
