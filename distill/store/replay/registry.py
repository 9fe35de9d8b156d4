"""What is taken from a live teacher so that an output can be replayed, or its maps be kept."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from distill.store.output_names import LOGITS, PROJECTIONS, kind_of
from distill.store.replay.attention import AttentionWeights, ProjectionWeights, attention_weights, projection_weights
from distill.store.replay.embeddings import EmbeddingWeights, embedding_weights
from distill.store.replay.frozen_weights import FrozenMatrices
from distill.store.replay.logits import LinearHead, vocabulary_head

NO_TOKENS = np.zeros(0, np.int64)


def replay_weights(model: PreTrainedModel, output: str, used: Int[np.ndarray, " used"] = NO_TOKENS) -> FrozenMatrices:
    """The matrices of a replayed output, or of stored attention maps.

    `output` is `attention-NN`, `queries-NN`, `keys-NN`, `values-NN`, of a language model `logits`, or `hidden-00`: of
    that, the embeddings of the token ids `used`.
    """
    kind, layer = kind_of(output)
    if kind == "attention":
        return attention_weights(model, layer or 0)
    if kind in PROJECTIONS:
        return projection_weights(model, layer or 0, PROJECTIONS[kind])
    if output == LOGITS:
        return vocabulary_head(model)
    return embedding_weights(model, used)


def load_replay_weights(output: str, tensors: Mapping[str, Tensor], where: str) -> FrozenMatrices:
    """The matrices of a replayed output, from what was saved."""
    kind, _ = kind_of(output)
    kinds: dict[str, type[FrozenMatrices]] = {"attention": AttentionWeights, LOGITS: LinearHead, "hidden": EmbeddingWeights}
    return kinds.get(kind, ProjectionWeights).from_tensors(tensors, where)
