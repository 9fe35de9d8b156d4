"""What positions do to attention scores.

Rotary embeddings turn queries and keys, relative biases are added to their products, disentangled positions have products of
their own with queries and keys.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional
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


def disentangled_share(model: PreTrainedModel) -> float:
    """What DeBERTa-v2 multiplies scores with beside 1/√d: 1/√3, as each is the sum of three products; more if it has fewer."""
    return float((1 + len({"c2p", "p2c"} & set(model.config.pos_att_type or []))) ** -0.5)


def disentangled_vectors(model: PreTrainedModel, layer: int, longest: int) -> Float[Tensor, "2 heads distances size"] | None:
    """What queries and keys of a layer of DeBERTa-v2 are multiplied with besides each other, by distance as in `distance_biases`.

    He et al. 2020 (arXiv 2006.03654), eq. 4: for queries a projection of the distances' embeddings that makes keys of them, for
    keys one that makes queries; 0 for what the model does without; None without relative positions.
    """
    from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

    encoder: Any = model.base_model.encoder
    own = encoder.layer[layer - 1].attention.self
    if not own.relative_attention:
        return None
    distances = torch.arange(longest - 1, -longest, -1, device=model.device)  # DeBERTa's are the query's position − the key's
    if own.position_buckets > 0:
        distances = make_log_bucket_position(distances, own.position_buckets, own.max_relative_positions)
    span = own.pos_ebd_size
    embeddings = encoder.get_rel_embedding()[(distances.long() + span).clamp(0, 2 * span - 1)]
    parts = []
    for kind, name in (("c2p", "key_proj"), ("p2c", "query_proj")):
        if kind in own.pos_att_type:
            dense = getattr(own, name if own.share_att_key else f"pos_{name}")
            part = functional.linear(embeddings, dense.weight, dense.bias)  # its hooks are for the states of tokens
        else:
            part = embeddings.new_zeros(longest * 2 - 1, own.all_head_size)
        parts.append(part.view(len(part), own.num_attention_heads, -1).transpose(0, 1))
    return torch.stack(parts)


def disentangled(
    queries: Float[Tensor, "*batch heads seq size"],
    keys: Float[Tensor, "*batch heads seq size"],
    vectors: Float[Tensor, "2 heads distances size"],
) -> Float[Tensor, "*batch heads seq seq"]:
    """The products, over √d, of queries and keys with `disentangled_vectors`."""
    length, longest = queries.shape[-2], (vectors.shape[2] + 1) // 2
    for_queries, for_keys = vectors[:, :, longest - length : longest + length - 1]
    places = torch.arange(length, device=queries.device)
    distance = (places - places[:, None] + length - 1).expand(*queries.shape[:-1], length)
    by_query = torch.matmul(queries, for_queries.mT).gather(-1, distance)
    by_key = torch.matmul(keys, for_keys.mT).gather(-1, distance.mT).mT
    scores: Tensor = (by_query + by_key) * queries.shape[-1] ** -0.5
    return scores


def ragged_positions(lengths: Int64[np.ndarray, " batch"], device: torch.device) -> Int64[Tensor, " tokens"]:
    """Each token's position in its row, of rows that stand one after the other."""
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return torch.from_numpy(np.arange(len(starts)) - starts).to(device)
