"""Losses over a vocabulary, a few lines at a time, from the states that an output embedding multiplies.

The logits of a batch of 4,096 tokens over 50,257 words take 823 MB, and a loss between a student's and a teacher's makes several
tensors of that size. Here logits, losses and their gradient are computed for some lines, reduced to what the states and the
embedding get of it, and forgotten.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

CHUNK_BYTES = 2**24
"""Most bytes of logits that are held at once."""

LineLosses = Callable[[Tensor, slice], Tensor]
"""(logits of some lines (n, vocabulary), which lines these are) → their losses, (n, losses)"""


def means_in_chunks(
    losses: LineLosses,
    weights: Float[Tensor, " losses"],
    states: Float[Tensor, "lines hidden"],
    embedding: Float[Tensor, "vocabulary hidden"],
    bias: Float[Tensor, " vocabulary"] | None = None,
    softcap: float | None = None,
) -> Float[Tensor, " losses"]:
    """The means over lines of several losses of states·embeddingᵀ + bias; with a `softcap` c, of c·tanh(that / c).

    The gradient is computed at once, that of Σ weights·means: these may go into a total with such weights alone, or multiples.
    """
    means: Tensor = _Means.apply(losses, weights, softcap, states, embedding, bias)  # type: ignore[no-untyped-call]
    return means


class _Means(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        losses: LineLosses,
        weights: Tensor,
        softcap: float | None,
        states: Tensor,
        embedding: Tensor,
        bias: Tensor | None,
    ) -> Tensor:
        count, lines = len(states), max(1, CHUNK_BYTES // (embedding.shape[0] * states.element_size()))
        sums, for_states, for_embedding = states.new_zeros(len(weights)), torch.zeros_like(states), torch.zeros_like(embedding)
        for_bias = None if bias is None else torch.zeros_like(bias)
        for start in range(0, count, lines):
            part = slice(start, min(start + lines, count))
            product = functional.linear(states[part], embedding, bias)
            found, slope = _slope(losses, weights / count, softcap, product, part)
            sums += found
            torch.mm(slope, embedding, out=for_states[part])
            for_embedding.addmm_(slope.T, states[part])
            if for_bias is not None:
                for_bias += slope.sum(dim=0)
        ctx.save_for_backward(weights, for_states, for_embedding, for_bias)
        return sums / count

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> Any:
        weights, *gradients = ctx.saved_tensors
        factor = above[0].sum() / weights.sum()
        alike = (above[0] - factor * weights).abs() <= 1e-4 * (factor * weights).abs()
        torch._assert_async(alike.all(), "losses in chunks are weighted otherwise than their gradient was computed for")
        return None, None, None, *(None if gradient is None else factor * gradient for gradient in gradients)


def _slope(
    losses: LineLosses, weights: Tensor, softcap: float | None, product: Tensor, part: slice
) -> tuple[Float[Tensor, " losses"], Float[Tensor, "n vocabulary"]]:
    """The sums of some lines' losses, and the gradient of their weighted sum."""
    with torch.enable_grad():
        product.requires_grad_()
        logits = product if softcap is None else softcap * torch.tanh(product / softcap)
        found = losses(logits, part)
        (slope,) = torch.autograd.grad((found * weights).sum(), product)
    return found.detach().sum(dim=0), slope
