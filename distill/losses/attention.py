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
