"""What positions do to attention scores: rotary embeddings turn queries and keys, relative biases are added to their products."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import PreTrainedModel


def rotary_frequencies(model: PreTrainedModel, layer: int) -> Float[Tensor, " half"]:
    """The angles, a position, by which a layer (counted from 1) turns each pair of channels of a head."""
    kind = model.config.layer_types[layer - 1]
    frequencies: Tensor = getattr(model.base_model.rotary_emb, f"{kind}_inv_freq")
    return frequencies


def rotated(
    states: Float[Tensor, "*batch heads size"], positions: Int64[Tensor, " *batch"], frequencies: Float[Tensor, " half"]
) -> Float[Tensor, "*batch heads size"]:
    """Channel i and i + size/2 of each head turned by position · frequency i (Su et al. 2021, arXiv 2104.09864, eq. 34)."""
    angles = (positions[..., None].float() * frequencies.float())[..., None, :]
    first, second = states.chunk(2, dim=-1)
    return torch.cat([first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()], dim=-1)


def distance_biases(model: PreTrainedModel, longest: int) -> Float[Tensor, "heads distances"]:
    """What is added to the score of a query and a key, by key's position − query's, from 1 − longest to longest − 1."""
    encoder: Any = model.base_model.encoder
    distances = torch.arange(1 - longest, longest, device=model.device)
    buckets = encoder.relative_position_bucket(distances, num_buckets=32)
    biases: Tensor = encoder.relative_attention_bias(buckets).T
    return biases


def spread(biases: Float[Tensor, "heads distances"], length: int) -> Float[Tensor, "heads length length"]:
    """The biases of a row's queries and keys, (heads, query, key)."""
    longest = (biases.shape[1] + 1) // 2
    places = torch.arange(length, device=biases.device)
    return biases[:, places - places[:, None] + longest - 1]


def ragged_positions(lengths: Int64[np.ndarray, " batch"], device: torch.device) -> Int64[Tensor, " tokens"]:
    """Each token's position in its row, of rows that stand one after the other."""
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return torch.from_numpy(np.arange(len(starts)) - starts).to(device)
