"""Principal axes: students of fewer dimensions get embeddings, or targets, along those that keep the most."""

import torch
from jaxtyping import Float
from torch import Tensor


def principal_axes(vectors: Float[Tensor, "rows size"], count: int) -> Float[Tensor, "size count"]:
    """The orthonormal axes that keep most of the vectors' squared lengths, and so of their products, in fp64.

    The most important is the last. An axis has two directions: it is that whose numbers have no negative sum.
    """
    exact = vectors.double()
    axes: Tensor = torch.linalg.eigh(exact.T @ exact).eigenvectors[:, max(0, vectors.shape[1] - count) :]
    return axes * torch.where(axes.sum(dim=0) < 0, -1.0, 1.0)
