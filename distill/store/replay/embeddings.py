"""Hidden state 0 of a teacher, computed again from the token ids and the rows of its embedding tables that a set's tokens use."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.mobilebert.modeling_mobilebert import NoNorm

from distill.core.errors import UserError
from distill.models.positions import ragged_positions
from distill.store.replay.frozen_weights import FrozenMatrices, Lengths, copied


@dataclass(frozen=True, eq=False)
class EmbeddingWeights(FrozenMatrices):
    """The rows of the embedding tables that a set's tokens use.

    BERT's heirs: LayerNorm(word + type + position), DistilBERT without types, ModernBERT and DeBERTa-v3 without positions,
    ELECTRA with a projection afterwards. MobileBERT maps the words of a token and its neighbours by one matrix before the sum and
    has no LayerNorm. Beyond a row's end its neighbour is 0, as in a batch without padding; in a padded batch MobileBERT itself
    reads there what its table has for [PAD].
    """

    ids: Int64[Tensor, " used"]
    """Token ids, sorted."""
    words: Float32[Tensor, "used narrow"]
    positions: Float32[Tensor, "longest inner"] | None
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

    def replay(self, vectors: Int[Tensor, "tokens inputs"], lengths: Lengths) -> Float32[Tensor, "tokens hidden"]:
        """Hidden state 0 of token ids and, where rows are pairs, types."""
        input_ids, types = vectors[:, 0], vectors[:, 1:].flatten()
        positions = ragged_positions(lengths, input_ids.device)
        words = self._words(input_ids)
        if self.words_weight is not None:
            words = functional.linear(self._with_neighbours(words, positions), self.words_weight, self.words_bias)
        states = words if self.positions is None else words + self._rows("positions", positions)
        if self.types is not None:
            states = states + (self._rows("types", types) if vectors.shape[1] > 1 else self.types[0])
        if self.norm_epsilon is None:
            states = torch.addcmul(self.norm_bias, states, self.norm_weight)
        else:
            states = functional.layer_norm(states, states.shape[1:], self.norm_weight, self.norm_bias, self.norm_epsilon)
        return states if self.states_weight is None else functional.linear(states, self.states_weight, self.states_bias)

    def _words(self, input_ids: Tensor) -> Tensor:
        places = torch.searchsorted(self.ids, input_ids.contiguous()).clamp_max_(len(self.ids) - 1)
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


WORDS, NORMS = ("word_embeddings", "tok_embeddings"), ("LayerNorm", "norm")
"""What families call the parts of their embeddings."""

PROBE = 12
"""Tokens that replay is tried on."""


def replays_embeddings(model: PreTrainedModel) -> bool:
    """Whether `EmbeddingWeights` give a teacher's hidden state 0, compared on one row; on the meta device, by its parts."""
    taken, rows = inspect.signature(model.forward).parameters, model.get_input_embeddings().weight.shape[0]
    types = int(getattr(model.config, "type_vocab_size", None) or 0)
    ids = torch.arange(PROBE, dtype=torch.int64) * 7919 % rows
    ids[ids == model.config.pad_token_id] = 0 if model.config.pad_token_id else 1
    inputs = ids[:, None]
    if types > 1 and "token_type_ids" in taken:
        inputs = torch.stack([ids, (torch.arange(PROBE) >= PROBE // 2).long()], dim=1)
    try:
        weights = embedding_weights(model, ids.numpy())
        if model.device.type == "meta":
            return True
        found = weights.replay(inputs.to(model.device), np.array([PROBE]))
    except (UserError, AttributeError, RuntimeError, TypeError):
        return False
    names = ("input_ids", "token_type_ids")
    batch = {name: column[None].to(model.device) for name, column in zip(names, inputs.T, strict=False)}
    with torch.inference_mode():
        live = model(**batch, output_hidden_states=True).hidden_states[0][0].float()
    return found.shape == live.shape and bool(torch.allclose(found, live, atol=1e-5 * max(1.0, float(live.abs().max()))))


def embedding_weights(model: PreTrainedModel, used: Int[np.ndarray, " used"]) -> EmbeddingWeights:
    """The embeddings of these token ids, of a model for which `replays_embeddings` holds."""
    base = model.base_model
    tables: Any = getattr(base, "embeddings", None)
    words, norm = (next((getattr(tables, name) for name in names if hasattr(tables, name)), None) for names in (WORDS, NORMS))
    if words is None or norm is None:
        raise UserError(f"the embeddings of a {type(model).__name__} ('{model.config.model_type}') cannot be replayed")
    ids = torch.from_numpy(np.unique(used).astype(np.int64))
    if len(ids) and int(ids[-1]) >= words.num_embeddings:
        raise UserError(f"token {int(ids[-1])} is beyond the teacher's {words.num_embeddings} embeddings")
    ids = ids.to(words.weight.device)
    transform = getattr(tables, "embedding_transformation", None)
    if transform is not None and not tables.trigram_input and tables.embedding_size == tables.hidden_size:
        transform = None
    project = getattr(base, "embeddings_project", None)
    return EmbeddingWeights(
        ids=ids,
        words=copied(words.weight)[ids],
        positions=_positions(tables),
        types=_table(tables, "token_type_embeddings"),
        norm_weight=copied(norm.weight),
        norm_bias=torch.zeros_like(copied(norm.weight)) if norm.bias is None else copied(norm.bias),
        norm_epsilon=None if isinstance(norm, NoNorm) else float(norm.eps),
        words_weight=None if transform is None else copied(transform.weight),
        words_bias=None if transform is None else copied(transform.bias),
        states_weight=None if project is None else copied(project.weight),
        states_bias=None if project is None else copied(project.bias),
    )


def _positions(tables: Any) -> Tensor | None:
    """From a row's first token on: RoBERTa's heirs count from their table's padding row + 1; DeBERTa may have a table unread."""
    table = _table(tables, "position_embeddings")
    if table is None or not getattr(tables, "position_biased_input", True):
        return None
    padding = tables.position_embeddings.padding_idx
    return table if padding is None else table[padding + 1 :]


def _table(tables: Any, name: str) -> Tensor | None:
    table = getattr(tables, name, None)
    return None if table is None else copied(table.weight)
