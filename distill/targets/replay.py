"""What the teacher computed beyond its cached hidden states, computed again from them and a few small frozen matrices.

`attention_heads` and `embedding_heads` take the matrices from a live teacher; `tensors()` and `from_tensors()` are their form in
`heads.safetensors`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, Float32, Int, Int8, Int64
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.mobilebert.modeling_mobilebert import NoNorm

from distill.attention import FAMILIES, Projection, attention_of, encoder_layers, ragged_products, require_heads
from distill.devices import bf16_helps
from distill.errors import UserError
from distill.targets.frozen import Frozen, copied, linear

Lengths = Int64[np.ndarray, " batch"]
Array = np.ndarray[Any, np.dtype[Any]]
ROBERTA = ("roberta", "xlm-roberta", "camembert")


@dataclass(frozen=True, eq=False)
class AttentionHeads(Frozen):
    """A layer's query, key and value projections: they read the hidden state below the layer.

    MobileBERT's read it through a bottleneck: queries and keys, and with `value_bottleneck` = 1 values too. A bottleneck's NoNorm
    is part of its matrix; its LayerNorm, if it has one, is `norm`.
    """

    heads: int
    weight: Float32[Tensor, "both inner"]
    """W_q above W_k."""
    bias: Float32[Tensor, " both"]
    value_weight: Float32[Tensor, "projected value_inner"]
    value_bias: Float32[Tensor, " projected"]
    value_bottleneck: int
    bottleneck_weight: Float32[Tensor, "inner hidden"] | None
    bottleneck_bias: Float32[Tensor, " inner"] | None
    norm_weight: Float32[Tensor, " inner"] | None
    norm_bias: Float32[Tensor, " inner"] | None
    norm_epsilon: float | None

    def problem(self) -> str | None:
        """Heads that do not divide the projections; half a bottleneck."""
        projected, odd = divmod(len(self.bias), 2)
        if odd or self.heads < 1 or projected % self.heads:
            return f"{len(self.bias)} rows of queries and keys cannot be {self.heads} heads"
        norm = (self.norm_weight, self.norm_bias, self.norm_epsilon)
        parts = [part is not None for part in (self.bottleneck_weight, self.bottleneck_bias, *norm)]
        if parts[0] != parts[1] or len({*parts[2:]}) > 1 or (parts[2] and not parts[0]) or self.value_bottleneck > parts[0]:
            return "the parts of a bottleneck, and of its LayerNorm, go together"
        return None

    def scores(self, hidden: Float32[Tensor, "tokens hidden"], lengths: Lengths) -> Float32[Tensor, "batch heads seq seq"]:
        """Q·Kᵀ/√d before mask and softmax, of rows of these lengths that stand one after the other; 0 at padding."""
        queries, keys = self._query_key(self._bottlenecked(hidden)).chunk(2, dim=1)
        return ragged_products(queries, keys, self.heads, lengths)

    def scores_from_int8(
        self,
        values: Int8[Tensor, "tokens hidden"],
        scales: Float16[Tensor, "tokens 1"],
        mean: Float32[Tensor, " hidden"],
        deviation: Float32[Tensor, " hidden"],
        lengths: Lengths,
    ) -> Float32[Tensor, "batch heads seq seq"]:
        """Scores of the hidden states that codec int8 keeps.

        Where the machine multiplies bf16 matrices in hardware, states are not decoded: Q and K are s·(v (W diag(deviation))ᵀ)
        + W mean + b with the integers v, which bf16 has exactly, and a weight that it rounds by 2⁻⁹.
        """
        self._require(values.shape[1])
        if self.bottleneck_weight is not None or not bf16_helps():
            return self.scores(torch.addcmul(mean, values * scales.float(), deviation), lengths)
        weight, bias = self._standardized(mean, deviation)
        products = functional.linear(values.bfloat16(), weight).float()
        queries, keys = torch.addcmul(bias, products, scales.float(), out=products).chunk(2, dim=1)
        return ragged_products(queries, keys, self.heads, lengths)

    def projected(self, hidden: Float32[Tensor, "tokens hidden"], projection: Projection) -> Float32[Tensor, "tokens projected"]:
        """Queries, keys or values, not yet cut into heads."""
        inner = self._bottlenecked(hidden)
        if projection == "value":
            values: Tensor = self._value(inner if self.value_bottleneck else hidden)
            return values
        both: tuple[Tensor, Tensor] = self._query_key(inner).chunk(2, dim=1)
        return both[projection == "key"]

    def relation(
        self, hidden: Float32[Tensor, "tokens hidden"], projection: Projection, heads: int, lengths: Lengths
    ) -> Float32[Tensor, "batch heads seq seq"]:
        """Scores of a projection with itself, as `distill.attention.attention_relation`; 0 at padding.

        Raises:
            UserError: the width of the projection is no multiple of the heads.
        """
        require_heads(len(self.value_bias), heads)
        states = self.projected(hidden, projection)
        return ragged_products(states, states, heads, lengths)

    @cached_property
    def _query_key(self) -> Any:
        return linear(self.weight, self.bias)

    @cached_property
    def _value(self) -> Any:
        return linear(self.value_weight, self.value_bias)

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
        if self.bottleneck_weight is None:
            return hidden
        inner: Tensor = self._bottleneck(hidden)
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


def attention_heads(model: PreTrainedModel, layer: int) -> AttentionHeads:
    """The projections of a layer, counted from 1.

    Raises:
        UserError: there is no such layer, or the family's attention is of another kind.
    """
    own, block = attention_of(model, layer), encoder_layers(model)[layer - 1]
    config, bottleneck = model.config, None
    if config.model_type == "mobilebert" and config.use_bottleneck:
        if config.use_bottleneck_attention:
            bottleneck = block.bottleneck.input
        elif config.key_query_shared_bottleneck:
            bottleneck = block.bottleneck.attention
    return AttentionHeads(
        heads=own.heads,
        weight=torch.cat([copied(own.query.weight), copied(own.key.weight)]),
        bias=torch.cat([copied(own.query.bias), copied(own.key.bias)]),
        value_weight=copied(own.value.weight),
        value_bias=copied(own.value.bias),
        value_bottleneck=int(bottleneck is not None and config.use_bottleneck_attention),
        **_bottleneck_parts(bottleneck),
    )


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


@dataclass(frozen=True, eq=False)
class EmbeddingHeads(Frozen):
    """The rows of the embedding tables that a set's tokens use.

    BERT's heirs: LayerNorm(word + type + position), DistilBERT without types, ELECTRA with a projection afterwards. MobileBERT
    maps the words of a token and its neighbours by one matrix before the sum and has no LayerNorm. Beyond a row's end its
    neighbour is 0, as in a batch without padding; in a padded batch MobileBERT itself reads there what its table has for [PAD].
    """

    ids: Int64[Tensor, " used"]
    """Token ids, sorted."""
    words: Float32[Tensor, "used narrow"]
    positions: Float32[Tensor, "longest inner"]
    """From a row's first token on."""
    types: Float32[Tensor, "types inner"] | None
    norm_weight: Float32[Tensor, " inner"]
    norm_bias: Float32[Tensor, " inner"]
    norm_epsilon: float | None
    """None: no LayerNorm, only its weight and bias (NoNorm)."""
    words_weight: Float32[Tensor, "inner neighbours"] | None
    words_bias: Float32[Tensor, " inner"] | None
    states_weight: Float32[Tensor, "hidden inner"] | None
    states_bias: Float32[Tensor, " hidden"] | None

    def problem(self) -> str | None:
        """Half a linear layer, or one that reads something other than words."""
        layers = (self.words_weight, self.words_bias), (self.states_weight, self.states_bias)
        if any((weight is None) != (bias is None) for weight, bias in layers):
            return "a weight and its bias go together"
        narrow, inner = self.words.shape[1], len(self.norm_weight)
        reads = inner if self.words_weight is None else self.words_weight.shape[1]
        if reads not in ((narrow,) if self.words_weight is None else (narrow, 3 * narrow)):
            return f"words are {narrow} wide, {reads} numbers are read"
        return None

    def states(
        self, input_ids: Int[Tensor, " tokens"], token_type_ids: Int[Tensor, " tokens"] | None, lengths: Lengths
    ) -> Float32[Tensor, "tokens hidden"]:
        """Hidden state 0 of rows of these lengths that stand one after the other.

        Raises:
            UserError: a token id, type or position is none of those that were kept.
        """
        starts = torch.from_numpy(np.repeat(np.cumsum(lengths) - lengths, lengths)).to(input_ids.device)
        positions = torch.arange(len(input_ids), device=input_ids.device) - starts
        words = self._words(input_ids)
        if self.words_weight is not None:
            words = functional.linear(self._with_neighbours(words, positions), self.words_weight, self.words_bias)
        states = words + self._rows("positions", positions)
        if self.types is not None:
            states += self.types[0] if token_type_ids is None else self._rows("types", token_type_ids)
        if self.norm_epsilon is None:
            states = torch.addcmul(self.norm_bias, states, self.norm_weight)
        else:
            states = functional.layer_norm(states, states.shape[1:], self.norm_weight, self.norm_bias, self.norm_epsilon)
        return states if self.states_weight is None else functional.linear(states, self.states_weight, self.states_bias)

    def _words(self, input_ids: Tensor) -> Tensor:
        places = torch.searchsorted(self.ids, input_ids).clamp_max_(len(self.ids) - 1)
        known = self.ids[places] == input_ids
        if not known.all():
            token = int(input_ids[~known][0])
            raise UserError(
                f"token {token} is none of the {len(self.ids)} whose embeddings were kept; run the targets stage again"
            )
        return self.words[places]

    def _rows(self, table: str, numbers: Tensor) -> Tensor:
        rows: Tensor = getattr(self, table)
        largest = int(numbers.max()) if len(numbers) else 0
        if largest >= len(rows):
            raise UserError(f"got number {largest} of {table}, the teacher has {len(rows)}; run the targets stage again")
        return rows[numbers.long()]

    def _with_neighbours(self, words: Tensor, positions: Tensor) -> Tensor:
        """The next token's words, its own, the previous one's, as far as the matrix reads them."""
        if self.words_weight is not None and self.words_weight.shape[1] == words.shape[1]:
            return words
        zero = words.new_zeros((1, words.shape[1]))
        first = (positions == 0)[:, None]
        last = torch.cat([first[1:], first.new_ones((1, 1))])
        following, previous = torch.cat([words[1:], zero]), torch.cat([zero, words[:-1]])
        return torch.cat([following.masked_fill(last, 0), words, previous.masked_fill(first, 0)], dim=1)


def embedding_heads(model: PreTrainedModel, used: Int[np.ndarray, " used"]) -> EmbeddingHeads:
    """The embeddings of these token ids.

    Raises:
        UserError: the family embeds tokens in another way, or an id is beyond the vocabulary.
    """
    family, base = model.config.model_type, model.base_model
    if family not in FAMILIES:
        raise UserError(f"the embeddings of '{family}' models cannot be replayed; set `embeddings: stored` in targets")
    own, ids = base.embeddings, torch.from_numpy(np.unique(used).astype(np.int64))
    if len(ids) and int(ids[-1]) >= own.word_embeddings.num_embeddings:
        raise UserError(f"token {int(ids[-1])} is beyond the teacher's {own.word_embeddings.num_embeddings} embeddings")
    ids = ids.to(own.word_embeddings.weight.device)
    norm, transform = own.LayerNorm, getattr(own, "embedding_transformation", None)
    if transform is not None and not own.trigram_input and own.embedding_size == own.hidden_size:
        transform = None
    project = getattr(base, "embeddings_project", None)
    first = own.padding_idx + 1 if family in ROBERTA else 0
    return EmbeddingHeads(
        ids=ids,
        words=copied(own.word_embeddings.weight)[ids],
        positions=copied(own.position_embeddings.weight)[first:],
        types=copied(own.token_type_embeddings.weight) if hasattr(own, "token_type_embeddings") else None,
        norm_weight=copied(norm.weight),
        norm_bias=copied(norm.bias),
        norm_epsilon=None if isinstance(norm, NoNorm) else float(norm.eps),
        words_weight=None if transform is None else copied(transform.weight),
        words_bias=None if transform is None else copied(transform.bias),
        states_weight=None if project is None else copied(project.weight),
        states_bias=None if project is None else copied(project.bias),
    )
