"""What is kept in part of a decoder's distributions, from its last states, a few tokens at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from distill.core.arrays import Array
from distill.store.codecs.vocabulary import Draws, TopK
from distill.store.replay.frozen_weights import FrozenMatrices

CHUNK_BYTES = 2**26
"""Most bytes of logits, float64, that are held at once."""


def keep_in_part(
    codec: TopK | Draws, states: Float[Tensor, "n hidden"], head: FrozenMatrices, ids: Array, counts: Array
) -> Shaped[Tensor, "n columns"]:
    """What the codec keeps of the tokens of some rows: these have example `ids`, and so many tokens each."""
    uniform = uniform_of(codec, ids, counts, states.device) if isinstance(codec, Draws) else None
    kept = []
    for part in parts(len(states), codec.vocabulary):
        logits = head.replay(states[part], np.array([part.stop - part.start]))
        kept.append(codec.keep(logits) if isinstance(codec, TopK) else codec.keep(logits, uniform[part]))  # type: ignore[index]
    return torch.cat(kept) if kept else states.new_zeros((0, codec.columns))


def uniform_of(codec: Draws, ids: Array, counts: Array, device: torch.device) -> Tensor:
    """The random numbers of these rows' tokens, (tokens, draws) float64."""
    numbers = [codec.uniform(example.tobytes(), count) for example, count in zip(ids, counts.tolist(), strict=True)]
    return torch.from_numpy(np.concatenate(numbers)).to(device)


def parts(count: int, vocabulary: int) -> Iterator[slice]:
    """Tokens whose logits are there together."""
    step = max(1, CHUNK_BYTES // (8 * vocabulary))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
