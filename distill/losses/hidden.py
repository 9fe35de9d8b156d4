"""Losses between hidden states. Pure functions of tensors over real tokens; padding never enters."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def cosine_distance(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """1 − cos(h_s, h_t), averaged over tokens. Sanh et al. 2019 (arXiv 1910.01108), section 3: the term L_cos."""
    return (1 - functional.cosine_similarity(student.float(), teacher.float(), dim=-1)).mean()


def hidden_mse(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """Squared difference, averaged over tokens and channels. Jiao et al. 2020 (arXiv 1909.10351), eq. 8 and 9."""
    return functional.mse_loss(student.float(), teacher.float())


def normalized_mse(student: Float[Tensor, "rows hidden"], teacher: Float[Tensor, "rows hidden"]) -> Float[Tensor, ""]:
    """Squared difference of vectors of length 1, averaged over rows and channels.

    Sun et al. 2019 (arXiv 1908.09355), eq. 6, which sums; their code takes this mean, for which their β of 10 to 1000 is meant.
    """
    return functional.mse_loss(functional.normalize(student.float(), dim=-1), functional.normalize(teacher.float(), dim=-1))
