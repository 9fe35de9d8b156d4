"""Hidden state 0 of a teacher, computed again from the token ids and the rows of its embedding tables that a set's tokens use."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.models.mobilebert.modeling_mobilebert import NoNorm

from distill.core.errors import UserError
from distill.models.families import family_of
from distill.store.replay.frozen_weights import FrozenMatrices, Lengths, copied


@dataclass(frozen=True, eq=False)
class EmbeddingWeights(FrozenMatrices):
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

    def replay(self, vectors: Int[Tensor, "tokens inputs"], lengths: Lengths) -> Float32[Tensor, "tokens hidden"]:
        """Hidden state 0 of token ids and, where rows are pairs, types."""
        input_ids, types = vectors[:, 0], vectors[:, 1:].flatten()
        starts = torch.from_numpy(np.repeat(np.cumsum(lengths) - lengths, lengths)).to(input_ids.device)
        positions = torch.arange(len(input_ids), device=input_ids.device) - starts
        words = self._words(input_ids)
        if self.words_weight is not None:
            words = functional.linear(self._with_neighbours(words, positions), self.words_weight, self.words_bias)
        states = words + self._rows("positions", positions)
        if self.types is not None:
            states += self._rows("types", types) if vectors.shape[1] > 1 else self.types[0]
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


def embedding_weights(model: PreTrainedModel, used: Int[np.ndarray, " used"]) -> EmbeddingWeights:
    """The embeddings of these token ids."""
    model_type, base = model.config.model_type, model.base_model
    family = family_of(model_type)
    if not family.replays_embeddings:
        raise UserError(f"the embeddings of '{model_type}' models cannot be replayed; set `embeddings: stored` in targets")
    tables, ids = base.embeddings, torch.from_numpy(np.unique(used).astype(np.int64))
    if len(ids) and int(ids[-1]) >= tables.word_embeddings.num_embeddings:
        raise UserError(f"token {int(ids[-1])} is beyond the teacher's {tables.word_embeddings.num_embeddings} embeddings")
    ids = ids.to(tables.word_embeddings.weight.device)
    norm, transform = tables.LayerNorm, getattr(tables, "embedding_transformation", None)
    if transform is not None and not tables.trigram_input and tables.embedding_size == tables.hidden_size:
        transform = None
    project = getattr(base, "embeddings_project", None)
    first = tables.padding_idx + 1 if family.position_offset else 0
    return EmbeddingWeights(
        ids=ids,
        words=copied(tables.word_embeddings.weight)[ids],
        positions=copied(tables.position_embeddings.weight)[first:],
        types=copied(tables.token_type_embeddings.weight) if hasattr(tables, "token_type_embeddings") else None,
        norm_weight=copied(norm.weight),
        norm_bias=copied(norm.bias),
        norm_epsilon=None if isinstance(norm, NoNorm) else float(norm.eps),
        words_weight=None if transform is None else copied(transform.weight),
        words_bias=None if transform is None else copied(transform.bias),
        states_weight=None if project is None else copied(project.weight),
        states_bias=None if project is None else copied(project.bias),
    )
