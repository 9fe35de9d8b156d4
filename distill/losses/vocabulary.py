"""Losses against distributions over a vocabulary kept in part. Pure functions of tensors; means are over positions."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional


def topk_kl(
    student: Float[Tensor, "positions vocabulary"],
    ids: Int64[Tensor, "positions k"],
    teacher_log_probabilities: Float[Tensor, "positions events"],
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


def sampled_cross_entropy(
    student: Float[Tensor, "positions vocabulary"], draws: Int64[Tensor, "positions draws"]
) -> Float[Tensor, ""]:
    """−Σ_i w_i·log softmax(student)_i, where w_i is the share of the teacher's draws that fell on token i.

    E[w] is the teacher's distribution, so the expected gradient is that of the full KL(teacher ‖ student); the value differs from
    it by the teacher's entropy. Anshumann et al. 2025 (arXiv 2503.16870).
    """
    return -functional.log_softmax(student.float(), dim=1).gather(1, draws).mean()
