"""Losses between attention scores. Pure functions of tensors; padding never enters."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def score_mse(
    student_scores: Float[Tensor, "batch heads seq seq"],
    teacher_scores: Float[Tensor, "batch heads seq seq"],
    attention_mask: Int[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, ""]:
    """Squared difference of QKᵀ/√d before mask and softmax, averaged over heads and pairs of a real query and a real key.

    Jiao et al. 2020 (arXiv 1909.10351), eq. 7. `attention_mask` is 1 at real tokens; None if nothing is padded.
    """
    if attention_mask is None:
        return functional.mse_loss(student_scores.float(), teacher_scores.float())
    real = attention_mask.bool()
    pairs = real[:, None, :, None] & real[:, None, None, :]
    difference = torch.where(pairs, student_scores.float() - teacher_scores.float(), 0.0).flatten()
    return difference.dot(difference) / (attention_mask.sum(dim=1).square().sum() * student_scores.shape[1])


def attention_kl(
    student_scores: Float[Tensor, "batch heads seq seq"],
    teacher_scores: Float[Tensor, "batch heads seq seq"],
    attention_mask: Int[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, ""]:
    """KL(softmax(teacher) ‖ softmax(student)) over real keys, averaged over heads and real queries of the batch.

    Of scores QKᵀ/√d: Wang et al. 2020 (arXiv 2002.10957), eq. 5. Of relations VVᵀ/√d: eq. 7; of QQᵀ/√d and KKᵀ/√d too: Wang et
    al. 2021 (arXiv 2012.15828), eq. 3. `attention_mask` is 1 at real tokens; None if nothing is padded.
    """
    if attention_mask is None:
        attention_mask = student_scores.new_ones(student_scores.shape[0], student_scores.shape[-1], dtype=torch.int64)
    queries, keys = attention_mask.bool()[:, None, :, None], attention_mask.bool()[:, None, None, :]
    student, teacher = (
        scores.float().masked_fill(~keys, -torch.inf).masked_fill(~queries, 0.0).log_softmax(dim=-1)
        for scores in (student_scores, teacher_scores)
    )
    divergence = torch.where(queries & keys, teacher.exp() * (teacher - student), 0.0).sum()
    return divergence / (attention_mask.sum() * student_scores.shape[1])
