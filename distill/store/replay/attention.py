"""A layer's attention and its projections, computed again from the cached hidden state below it and small frozen matrices.

`attention_weights` and `projection_weights` take them from a live teacher; `tensors()` and `from_tensors()` are their form in
`heads.safetensors`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.mobilebert.modeling_mobilebert import NoNorm

from distill.core.arrays import Array
from distill.core.devices import has_fast_bf16
from distill.core.errors import UserError
from distill.models.attention import Projection, attention_of, ragged_products, turned
from distill.models.families import family_of, layer_stack
from distill.models.positions import disentangled, ragged_positions, spread
from distill.store.codecs.vectors import Codec, Planes
from distill.store.replay.frozen_weights import FrozenMatrices, Lengths, copied, linear


@dataclass(frozen=True, eq=False)
class ProjectionWeights(FrozenMatrices):
    """A linear projection of the hidden state below a layer: its queries, its keys or its values.

    MobileBERT's reads it through a bottleneck, whose NoNorm is part of its matrix. `norm` is the LayerNorm of a bottleneck, or
    that of ModernBERT, which reads the hidden state through one.
    """

    weight: Float32[Tensor, "outputs inner"]
    bias: Float32[Tensor, " outputs"]
    bottleneck_weight: Float32[Tensor, "inner hidden"] | None
    bottleneck_bias: Float32[Tensor, " inner"] | None
    norm_weight: Float32[Tensor, " inner"] | None
    norm_bias: Float32[Tensor, " inner"] | None
    norm_epsilon: float | None

    def problem(self) -> str | None:
        """Half a bottleneck."""
        norm = (self.norm_weight, self.norm_bias, self.norm_epsilon)
        parts = [part is not None for part in (self.bottleneck_weight, self.bottleneck_bias, *norm)]
        if parts[0] != parts[1] or len({*parts[2:]}) > 1:
            return "the parts of a bottleneck, and of its LayerNorm, go together"
        return None

    def replay(self, vectors: Float32[Tensor, "tokens hidden"], lengths: Lengths) -> Float32[Tensor, "..."]:
        """The projection of hidden states, (tokens, outputs), not yet cut into heads."""
        return self._arranged(self._product(self._bottlenecked(vectors)), lengths)

    def replay_stored(self, planes: Planes, codec: Codec, lengths: Lengths) -> Float32[Tensor, "..."]:
        """The same. Where the machine multiplies bf16 matrices in hardware, int8 states are not decoded.

        Wx + b is s·(v (W diag(deviation))ᵀ) + W mean + b with the integers v, which bf16 has exactly, and a weight that it rounds
        by 2⁻⁹.
        """
        if codec.name != "int8" or self.bottleneck_weight is not None or self.norm_weight is not None or not has_fast_bf16():
            return super().replay_stored(planes, codec, lengths)
        values, scales = planes["values"], planes["scales"].float()
        self._require(values.shape[1])
        weight, bias = self._standardized(codec.statistics["mean"], codec.statistics["deviation"])
        products = functional.linear(values.bfloat16(), weight).float()
        return self._arranged(torch.addcmul(bias, products, scales, out=products), lengths)

    def _arranged(self, products: Tensor, lengths: Array) -> Tensor:
        return products

    @cached_property
    def _product(self) -> Any:
        return linear(self.weight, self.bias)

    @cached_property
    def _bottleneck(self) -> Any:
        assert self.bottleneck_weight is not None
        return linear(self.bottleneck_weight, self.bottleneck_bias)

    def _require(self, width: int) -> None:
        expected = (self.weight if self.bottleneck_weight is None else self.bottleneck_weight).shape[1]
        if width != expected:
            raise UserError(f"states are {width} wide, expected {expected}; run the targets stage again")

    def _bottlenecked(self, hidden: Tensor) -> Tensor:
        self._require(hidden.shape[1])
        inner: Tensor = hidden if self.bottleneck_weight is None else self._bottleneck(hidden)
        if self.norm_weight is None or self.norm_epsilon is None:
            return inner
        return functional.layer_norm(inner, inner.shape[1:], self.norm_weight, self.norm_bias, self.norm_epsilon)

    def _standardized(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """The projection of standardized states: its weight in bf16, and its bias. Made once for a codec's statistics."""
        known = self.__dict__.get("_folded")
        if known is None or known[0] is not mean or known[1] is not deviation:
            known = (mean, deviation, (self.weight * deviation).bfloat16(), self.bias + self.weight @ mean)
            self.__dict__["_folded"] = known
        return known[2], known[3]


@dataclass(frozen=True, eq=False)
class AttentionWeights(ProjectionWeights):
    """A layer's queries and keys, W_q above W_k in one projection."""

    heads: int
    frequencies: Float32[Tensor, " half"] | None = None
    """Of rotary positions."""
    biases: Float32[Tensor, "heads distances"] | None = None
    """What positions add, as `distance_biases` has it."""
    vectors: Float32[Tensor, "2 heads distances size"] | None = None
    """What positions are multiplied with, as `disentangled_vectors` has it."""
    share: float | None = None
    """What scores are multiplied with beside 1/√d."""

    def problem(self) -> str | None:
        """Heads that do not divide the projections; half a bottleneck."""
        projected, odd = divmod(len(self.bias), 2)
        if odd or self.heads < 1 or projected % self.heads:
            return f"{len(self.bias)} rows of queries and keys cannot be {self.heads} heads"
        return super().problem()

    def _arranged(self, products: Tensor, lengths: Array) -> Float32[Tensor, "batch heads seq seq"]:
        """Q·Kᵀ/√d before mask and softmax; 0 at padding."""
        queries, keys = products.chunk(2, dim=1)
        if self.frequencies is not None:
            places = ragged_positions(lengths, products.device)
            queries, keys = (turned(states, places, self.heads, self.frequencies) for states in (queries, keys))
        scores = ragged_products(queries, keys, self.heads, lengths)
        if self.biases is not None:
            for row, length in zip(scores, lengths.tolist(), strict=True):
                row[:, :length, :length] += spread(self.biases, length)
        if self.vectors is not None:
            parts = (torch.split(states, lengths.tolist()) for states in (queries, keys))
            for row, *both in zip(scores, *parts, strict=True):
                own_queries, own_keys = (states.view(len(states), self.heads, -1).transpose(0, 1) for states in both)
                row[:, : len(both[0]), : len(both[0])] += disentangled(own_queries, own_keys, self.vectors)
        return scores if self.share is None else scores * self.share


def attention_weights(model: PreTrainedModel, layer: int) -> AttentionWeights:
    """The query and key projections of a layer, counted from 1."""
    query, key = (projection_weights(model, layer, projection) for projection in ("query", "key"))
    rest: dict[str, Any] = {name: value for name, value in vars(query).items() if name not in ("weight", "bias")}
    both: dict[str, Any] = {"weight": torch.cat([query.weight, key.weight]), "bias": torch.cat([query.bias, key.bias])}
    own, longest = attention_of(model, layer), model.config.max_position_embeddings
    vectors = own.vectors and own.vectors(longest)
    return AttentionWeights(
        heads=own.heads,
        frequencies=None if own.frequencies is None else copied(own.frequencies),
        biases=None if own.biases is None else copied(own.biases(longest)),
        vectors=None if vectors is None else copied(vectors),
        share=None if own.vectors is None else own.share,
        **both,
        **rest,
    )


def projection_weights(model: PreTrainedModel, layer: int, projection: Projection) -> ProjectionWeights:
    """One of a layer's projections; layers are counted from 1."""
    own = attention_of(model, layer)
    dense = getattr(own, projection)
    weight = own.part(projection, dense.weight.T).T
    bias = weight.new_zeros(len(weight)) if dense.bias is None else own.part(projection, dense.bias)
    block: Any = layer_stack(model)[1][layer - 1]
    config, bottleneck = model.config, None
    if config.model_type == "mobilebert" and config.use_bottleneck:
        if config.use_bottleneck_attention:
            bottleneck = block.bottleneck.input
        elif config.key_query_shared_bottleneck and projection != "value":
            bottleneck = block.bottleneck.attention
    parts, names = _bottleneck_parts(bottleneck), family_of(config.model_type).attention
    name = names and names.norm
    if name is not None and not isinstance(norm := block.get_submodule(name), nn.Identity):
        shift = torch.zeros_like(norm.weight) if norm.bias is None else norm.bias
        parts |= {"norm_weight": copied(norm.weight), "norm_bias": copied(shift), "norm_epsilon": float(norm.eps)}
    return ProjectionWeights(weight=copied(weight).contiguous(), bias=copied(bias), **parts)


def _bottleneck_parts(bottleneck: Any) -> dict[str, Any]:
    names = ("bottleneck_weight", "bottleneck_bias", "norm_weight", "norm_bias", "norm_epsilon")
    parts: dict[str, Any] = dict.fromkeys(names)
    if bottleneck is None:
        return parts
    weight, bias, norm = copied(bottleneck.dense.weight), copied(bottleneck.dense.bias), bottleneck.LayerNorm
    scale, shift = copied(norm.weight), copied(norm.bias)
    if isinstance(norm, NoNorm):
        return parts | {"bottleneck_weight": weight * scale[:, None], "bottleneck_bias": bias * scale + shift}
    return dict(zip(names, (weight, bias, scale, shift, float(norm.eps)), strict=True))
