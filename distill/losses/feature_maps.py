"""Losses between feature maps, in parts that a scale does not mix. Pure functions of tensors over real tokens.

Sun et al. 2020 (arXiv 2004.02984), eq. 1, decomposed as in their code: what remains of a token's vector once it has mean 0 and
variance 1 over its channels, and its mean, and its variance.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def feature_map_mse(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """Squared difference of layer-normalized vectors, without learnt scale and shift, averaged over tokens and channels."""
    width = student.shape[-1:]
    return functional.mse_loss(functional.layer_norm(student.float(), width), functional.layer_norm(teacher.float(), width))


def mean_mse(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """Squared difference of the vectors' means over channels, averaged over tokens."""
    return functional.mse_loss(student.float().mean(dim=-1), teacher.float().mean(dim=-1))


def variance_gap(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """Absolute difference of the vectors' variances over channels (of the population), averaged over tokens."""
    own, theirs = (states.float().var(dim=-1, correction=0) for states in (student, teacher))
    return functional.l1_loss(own, theirs)
