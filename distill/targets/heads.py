"""What is taken from a live teacher so that an output can be replayed, or its maps be kept."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedModel

from distill.targets.frozen import Frozen
from distill.targets.replay import AttentionHeads, ProjectionHeads, attention_heads, projection_heads
from distill.targets.replay_embeddings import EmbeddingHeads, embedding_heads
from distill.targets.replay_logits import LinearHead, vocabulary_head
from distill.targets.schema import LOGITS, PROJECTIONS, kind_of

NO_TOKENS = np.zeros(0, np.int64)


def heads_of(model: PreTrainedModel, output: str, used: Int[np.ndarray, " used"] = NO_TOKENS) -> Frozen:
    """The matrices of an output that is replayed, or of stored attention maps.

    Args:
        model: The teacher.
        output: `attention-NN`, `queries-NN keys-NN values-NN`, `logits` of a masked language model, or `hidden-00`.
        used: The token ids whose embeddings are wanted, for `hidden-00`.

    Raises:
        UserError: the teacher's family or head cannot be replayed, or it lacks the layer.
    """
    kind, layer = kind_of(output)
    if kind == "attention":
        return attention_heads(model, layer or 0)
    if kind in PROJECTIONS:
        return projection_heads(model, layer or 0, PROJECTIONS[kind])
    if output == LOGITS:
        return vocabulary_head(model)
    return embedding_heads(model, used)


def heads_from(output: str, tensors: Mapping[str, Tensor], where: str) -> Frozen:
    """The matrices of a replayed output, from what was saved.

    Raises:
        UserError: a tensor is missing, too many, or of another type or shape than the others ask for.
    """
    kind, _ = kind_of(output)
    kinds: dict[str, type[Frozen]] = {"attention": AttentionHeads, LOGITS: LinearHead, "hidden": EmbeddingHeads}
    return kinds.get(kind, ProjectionHeads).from_tensors(tensors, where)
