"""Attention of a live model: where its projections are, and its scores during a forward pass, with gradients.

with capture_attention(model, [3]) as attention:
    outputs = model(**batch)
attention[3]                              # (batch, heads, seq, seq): Q·Kᵀ/√d of layer 3, before mask and softmax

`sdpa` attention returns no maps; `eager` returns them after the softmax and, in train mode, after dropout.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from transformers import PreTrainedModel

from distill.core.errors import UserError
from distill.models.families import family_of, layer_stack, supporting
from distill.models.positions import (
    disentangled,
    disentangled_share,
    disentangled_vectors,
    distance_biases,
    rotary_frequencies,
    rotated,
    spread,
)

Projection = Literal["query", "key", "value"]


@dataclass(frozen=True)
class Attention:
    """A layer's projections, and how they are cut into heads."""

    query: Any
    key: Any
    value: Any
    """Linear layers, or a packed teacher's."""
    heads: int
    frequencies: Tensor | None = None
    """Of rotary positions."""
    biases: Callable[[int], Tensor] | None = None
    """By the longest row, (heads, distances), as `distance_biases` has them."""
    vectors: Callable[[int], Tensor | None] | None = None
    """By the longest row, (2, heads, distances, size), as `disentangled_vectors` has them."""
    share: float = 1.0
    """What scores are multiplied with beside 1/√d."""

    def part(self, projection: Projection, output: Tensor) -> Tensor:
        """A projection, of what its linear layer gives: all of it, or a third."""
        return _third(projection, output) if self.query is self.key else output


def _third(projection: Projection, output: Tensor) -> Tensor:
    return output.chunk(3, dim=-1)[get_args(Projection).index(projection)]


def attention_modules(model: PreTrainedModel) -> list[Attention]:
    """The attention of each layer, from the first."""
    model_type = model.config.model_type
    names = family_of(model_type).attention
    if names is None:
        raise UserError(
            f"attention of '{model_type}' models cannot be compared: their scores are not known to be Q·Kᵀ/√d of two linear "
            f"layers, or what positions do to them; choose one of {supporting('attention')}, "
            "or drop the attention terms"
        )
    found = []
    for number, layer in enumerate(layer_stack(model)[1], 1):
        module = layer.get_submodule(names.module)
        query, key, value = (getattr(module, part) for part in (names.query, names.key, names.value))
        heads = int(getattr(module, names.heads, None) or getattr(model.config, names.heads))
        frequencies = rotary_frequencies(model, number) if names.positions == "rotary" else None
        biases = partial(distance_biases, model) if names.positions == "bias" else None
        own = Attention(query, key, value, heads, frequencies, biases)
        if names.positions == "disentangled":
            own = replace(own, vectors=partial(disentangled_vectors, model, number), share=disentangled_share(model))
        found.append(own)
    return found


def attention_of(model: PreTrainedModel, layer: int) -> Attention:
    """The attention of one layer, counted from 1."""
    modules = attention_modules(model)
    if not 1 <= layer <= len(modules):
        raise UserError(f"invalid attention layer {layer}: expected 1 to {len(modules)}, the layers of the model")
    return modules[layer - 1]


class CapturedAttention(Mapping[int, Tensor]):
    """By layer, counted from 1: its scores Q·Kᵀ/√d in the last forward pass, before mask and softmax, differentiable.

    At padding they are whatever the model has there. `outputs` are the projections themselves, (batch, seq, width).
    """

    def __init__(self, layers: Mapping[int, Attention]) -> None:
        """Nothing is kept yet."""
        self.layers = layers
        self.outputs: dict[tuple[int, Projection], Tensor] = {}

    def __getitem__(self, layer: int) -> Float32[Tensor, "batch heads seq seq"]:
        attention = self.layers[layer]
        queries, keys = self.outputs[layer, "query"].float(), self.outputs[layer, "key"].float()
        length = queries.shape[1]
        if attention.frequencies is not None:
            places = torch.arange(length, device=queries.device).expand(queries.shape[:2])
            queries, keys = (turned(states, places, attention.heads, attention.frequencies) for states in (queries, keys))
        scores = _products(queries, keys, attention.heads)
        if attention.vectors is not None and (vectors := attention.vectors(length)) is not None:
            scores = scores + disentangled(_cut(queries, attention.heads), _cut(keys, attention.heads), vectors.float())
        return scores * attention.share if attention.biases is None else scores + spread(attention.biases(length), length)

    def __iter__(self) -> Iterator[int]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


@contextmanager
def capture_attention(model: PreTrainedModel, layers: Sequence[int], *, values: bool = False) -> Iterator[CapturedAttention]:
    """Keep queries and keys (and `values`) of these layers, counted from 1, during forward passes, in train or eval mode.

    Those of the last pass stay readable afterwards. Without layers, the model may be of any family.
    """
    captured = CapturedAttention({layer: attention_of(model, layer) for layer in layers})

    def begin(layer: int, _module: nn.Module, _inputs: Any) -> None:
        for projection in get_args(Projection):
            captured.outputs.pop((layer, projection), None)

    def keep(layer: int, projection: Projection, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        # DeBERTa projects its tokens first, then its distances.
        captured.outputs.setdefault((layer, projection), captured.layers[layer].part(projection, output))

    with ExitStack() as hooks:
        for layer, attention in captured.layers.items():
            hooks.enter_context(layer_stack(model)[1][layer - 1].register_forward_pre_hook(partial(begin, layer)))
            for projection in ("query", "key", "value") if values else ("query", "key"):
                hook = partial(keep, layer, projection)
                hooks.enter_context(getattr(attention, projection).register_forward_hook(hook))
        yield captured


def turned(
    states: Float[Tensor, "*batch width"], positions: Int64[Tensor, " *batch"], heads: int, frequencies: Float[Tensor, " half"]
) -> Float[Tensor, "*batch width"]:
    """Queries or keys with rotary positions, not yet cut into heads."""
    return rotated(states.view(*states.shape[:-1], heads, -1), positions, frequencies).flatten(-2)


def attention_relation(states: Float[Tensor, "batch seq width"], heads: int) -> Float32[Tensor, "batch heads seq seq"]:
    """Scores XXᵀ/√d of queries, keys or values with themselves, cut into any number of heads.

    Wang et al. 2020 (arXiv 2002.10957), eq. 6: softmax(VVᵀ/√d); Wang et al. 2021 (arXiv 2012.15828), section 3.1: QQ, KK, VV.
    """
    width = states.shape[-1]
    if heads < 1 or width % heads:
        raise UserError(f"relation heads: {heads} do not divide a width of {width}; choose a divisor of it")
    return _products(states, states, heads)


def ragged_products(
    left: Float32[Tensor, "tokens width"],
    right: Float32[Tensor, "tokens width"],
    heads: int,
    lengths: Int64[np.ndarray, " batch"],
) -> Float32[Tensor, "batch heads seq seq"]:
    """Left·rightᵀ/√d a row and head, of rows of these lengths that stand one after the other; 0 at padding."""
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


def _cut(states: Tensor, heads: int) -> Tensor:
    return states.float().view(*states.shape[:2], heads, -1).transpose(1, 2)


def _products(left: Tensor, right: Tensor, heads: int) -> Tensor:
    with torch.autocast(left.device.type, enabled=False):  # which would compute the product in bf16
        queries, keys = _cut(left, heads), _cut(right, heads)
        return torch.matmul(queries * queries.shape[-1] ** -0.5, keys.transpose(-1, -2))
