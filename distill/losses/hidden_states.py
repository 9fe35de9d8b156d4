"""Distances between hidden states, which MobileBERT's paper calls feature maps. Pure functions of tensors."""

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


def feature_map_mse(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """Squared difference of layer-normalized vectors, without learnt scale and shift, averaged over tokens and channels.

    With `mean_mse` and `variance_gap`: Sun et al. 2020 (arXiv 2004.02984), eq. 1, decomposed as in section 3.3.
    """
    width = student.shape[-1:]
    return functional.mse_loss(functional.layer_norm(student.float(), width), functional.layer_norm(teacher.float(), width))


def mean_mse(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """Squared difference of the vectors' means over channels, averaged over tokens."""
    return functional.mse_loss(student.float().mean(dim=-1), teacher.float().mean(dim=-1))


def variance_gap(student: Float[Tensor, "tokens hidden"], teacher: Float[Tensor, "tokens hidden"]) -> Float[Tensor, ""]:
    """Absolute difference of the vectors' variances over channels (of the population), averaged over tokens."""
    return functional.l1_loss(student.float().var(dim=-1, correction=0), teacher.float().var(dim=-1, correction=0))
