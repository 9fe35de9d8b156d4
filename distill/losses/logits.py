"""Losses between logits, and against a teacher's distributions that are kept in part. Means are over rows."""

import torch
from jaxtyping import Bool, Float, Int64
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


def topk_kl(
    student: Float[Tensor, "rows vocabulary"],
    ids: Int64[Tensor, "rows k"],
    teacher_log_probabilities: Float[Tensor, "rows events"],
) -> Float[Tensor, ""]:
    """KL(teacher ‖ student) between k + 1 events: the teacher's k likeliest tokens, and any other (the last column).

    A lower bound of the KL between the full distributions. At the temperature 1 only: the mass of "any other" is not known at
    another one, and treating what was kept as the whole can turn the gradient around.
    """
    logits = student.float()
    normalizer = logits.logsumexp(dim=1, keepdim=True)
    others = logits.scatter(1, ids, -torch.inf).logsumexp(dim=1, keepdim=True)
    events = torch.cat([logits.gather(1, ids), others], dim=1) - normalizer
    return functional.kl_div(events, teacher_log_probabilities.float(), reduction="batchmean", log_target=True)


def sampled_cross_entropy(student: Float[Tensor, "rows vocabulary"], draws: Int64[Tensor, "rows draws"]) -> Float[Tensor, ""]:
    """−Σ_i w_i·log softmax(student)_i, where w_i is the share of the teacher's draws that fell on token i.

    E[w] is the teacher's distribution, so the expected gradient is that of the full KL(teacher ‖ student); the value differs from
    it by the teacher's entropy. Anshumann et al. 2025 (arXiv 2503.16870).
    """
    return -functional.log_softmax(student.float(), dim=1).gather(1, draws).mean()
