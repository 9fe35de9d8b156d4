"""Attention of a live model: where its projections are, and its scores during a forward pass, with gradients.

with capture_attention(model, [3]) as attention:
    outputs = model(**batch)
attention[3]                              # (batch, heads, seq, seq): Q·Kᵀ/√d of layer 3, before mask and softmax

`sdpa` attention returns no maps; `eager` returns them after the softmax and, in train mode, after dropout.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from transformers import PreTrainedModel

from distill.errors import UserError

Projection = Literal["query", "key", "value"]
BERT_LIKE = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "mobilebert")
"""Families whose layers hold a `BertSelfAttention`, by another name."""
FAMILIES = (*BERT_LIKE, "distilbert")
"""Those whose scores are a product of two linear projections, with no positions in between."""


@dataclass(frozen=True)
class Attention:
    """A layer's projections, and how they are cut into heads."""

    query: Any
    key: Any
    value: Any
    """Linear layers, or a packed teacher's."""
    heads: int
    head_size: int


def encoder_layers(model: PreTrainedModel) -> list[Any]:
    """The layers of an encoder whose attention can be captured and replayed.

    Raises:
        UserError: the family's attention is of another kind.
    """
    family = model.config.model_type
    if family not in FAMILIES:
        raise UserError(
            f"attention of '{family}' models cannot be compared: their scores are not known to be Q·Kᵀ/√d of two linear layers "
            f"(rotary, relative or disentangled positions); choose one of {', '.join(FAMILIES)}, or drop the attention terms"
        )
    base = model.base_model
    return list(base.transformer.layer if family == "distilbert" else base.encoder.layer)


def attention_modules(model: PreTrainedModel) -> list[Attention]:
    """The attention of each layer, from the first.

    Raises:
        UserError: the family's attention is of another kind.
    """
    found = []
    for layer in encoder_layers(model):
        if model.config.model_type == "distilbert":
            own = layer.attention
            found.append(Attention(own.q_lin, own.k_lin, own.v_lin, own.n_heads, own.attention_head_size))
        else:
            own = layer.attention.self
            found.append(Attention(own.query, own.key, own.value, own.num_attention_heads, own.attention_head_size))
    return found


def attention_of(model: PreTrainedModel, layer: int) -> Attention:
    """The attention of one layer, counted from 1.

    Raises:
        UserError: there is no such layer, or the family's attention is of another kind.
    """
    modules = attention_modules(model)
    if not 1 <= layer <= len(modules):
        raise UserError(f"invalid attention layer {layer}: expected 1 to {len(modules)}, the layers of the model")
    return modules[layer - 1]


class CapturedAttention(Mapping[int, Tensor]):
    """What hooks have kept of the last forward pass: by layer, counted from 1, its scores."""

    def __init__(self, layers: Mapping[int, Attention]) -> None:
        """Nothing is kept yet."""
        self.layers = layers
        self.outputs: dict[tuple[int, Projection], Tensor] = {}

    def __getitem__(self, layer: int) -> Tensor:
        return self.scores(layer)

    def __iter__(self) -> Iterator[int]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def scores(self, layer: int) -> Float32[Tensor, "batch heads seq seq"]:
        """Q·Kᵀ/√d before mask and softmax, differentiable; at padding, whatever the model has there."""
        own = self.layers[layer]
        return _products(self.outputs[layer, "query"], self.outputs[layer, "key"], own.heads)

    def relation(self, layer: int, projection: Projection, heads: int) -> Float32[Tensor, "batch heads seq seq"]:
        """Scores of a projection with itself; see `attention_relation`."""
        return attention_relation(self.outputs[layer, projection], heads)


@contextmanager
def capture_attention(model: PreTrainedModel, layers: Sequence[int], *, values: bool = False) -> Iterator[CapturedAttention]:
    """Keep the projections of these layers, counted from 1, during forward passes; the last pass's stay readable afterwards.

    Args:
        model: Teacher or student, in train or eval mode, under autocast or not.
        layers: May be empty: then nothing is asked of the model.
        values: Keep value projections too.

    Raises:
        UserError: there is no such layer, or the family's attention is of another kind.
    """
    captured = CapturedAttention({layer: attention_of(model, layer) for layer in layers})
    projections: tuple[Projection, ...] = ("query", "key", "value") if values else ("query", "key")

    def keep(layer: int, projection: Projection) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            captured.outputs[layer, projection] = output

        return hook

    handles = [
        getattr(own, projection).register_forward_hook(keep(layer, projection))
        for layer, own in captured.layers.items()
        for projection in projections
    ]
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def attention_relation(states: Float[Tensor, "batch seq width"], heads: int) -> Float32[Tensor, "batch heads seq seq"]:
    """Scores XXᵀ/√d of queries, keys or values with themselves, cut into any number of heads.

    Wang et al. 2020 (arXiv 2002.10957), eq. 6: softmax(VVᵀ/√d); Wang et al. 2021 (arXiv 2012.15828), section 3.1: QQ, KK, VV.

    Raises:
        UserError: the width is no multiple of the heads.
    """
    require_heads(states.shape[-1], heads)
    return _products(states, states, heads)


def require_heads(width: int, heads: int) -> None:
    """Refuse to cut vectors into heads of unequal size.

    Raises:
        UserError: the width is no multiple of the heads.
    """
    if heads < 1 or width % heads:
        raise UserError(f"relation heads: {heads} do not divide a width of {width}; choose a divisor of it")


def ragged_products(
    left: Float32[Tensor, "tokens width"],
    right: Float32[Tensor, "tokens width"],
    heads: int,
    lengths: Int64[np.ndarray, " batch"],
) -> Float32[Tensor, "batch heads seq seq"]:
    """Left·rightᵀ/√d a row and head, of rows of these lengths that stand one after the other; 0 at padding.

    Raises:
        UserError: there are more or fewer tokens than the lengths say.
    """
    sizes, stops = lengths.tolist(), np.cumsum(lengths).tolist()
    if len(left) != sum(sizes):
        raise UserError(f"got {len(left)} states, the lengths are of {sum(sizes)}; run the targets stage again")
    longest = max(sizes, default=0)
    products = left.new_zeros((len(sizes), heads, longest, longest))
    size_a_head = left.shape[1] // heads
    left = (left * size_a_head**-0.5).view(-1, heads, size_a_head).transpose(0, 1)
    right = right.view(-1, heads, size_a_head).permute(1, 2, 0)
    for row, size, stop in zip(products, sizes, stops, strict=True):
        row[:, :size, :size] = left[:, stop - size : stop] @ right[:, :, stop - size : stop]
    return products


def _products(left: Tensor, right: Tensor, heads: int) -> Tensor:
    def cut(states: Tensor) -> Tensor:
        return states.float().view(*states.shape[:2], heads, -1).transpose(1, 2)

    with torch.autocast(left.device.type, enabled=False):  # which would compute the product in bf16
        queries, keys = cut(left), cut(right)
        return torch.matmul(queries * queries.shape[-1] ** -0.5, keys.transpose(-1, -2))
