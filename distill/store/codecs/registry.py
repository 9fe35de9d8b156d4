"""Which codec writes and reads an output."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from distill.core.arrays import Array
from distill.store.codecs.attention import AttentionCodec
from distill.store.codecs.vectors import Codec, Planes, vector_codec
from distill.store.codecs.vocabulary import Draws, TopK, vocabulary_codec
from distill.store.output_names import IN_PART, TOKENS, kind_of


@dataclass(frozen=True)
class TokenCodec:
    """Keeps what the teacher read: a token id, and its token type where rows are pairs."""

    types: bool
    name: str = TOKENS
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    def encode(self, tensor: Int64[Tensor, "n inputs"], lengths: Array) -> Planes:
        """(tokens, 1 or 2): ids, and types."""
        planes = {"input_ids": tensor[:, :1].to(torch.int32)}
        return planes | ({"token_type_ids": tensor[:, 1:].to(torch.int8)} if self.types else {})

    def decode(self, planes: Planes, lengths: Array) -> Int64[Tensor, "n inputs"]:
        """What was encoded."""
        return torch.cat([plane.long() for plane in planes.values()], dim=1)

    def counts(self, lengths: Array) -> dict[str, Array]:
        """One entry a token."""
        return dict.fromkeys(("input_ids", *(["token_type_ids"] if self.types else [])), lengths)


def codec_of(output: str, name: str, width: int, statistics: Mapping[str, Tensor]) -> Codec:
    """The codec of a stored output, of the width that its manifest has: classes, hidden size, heads, inputs a token, or words."""
    kind, _ = kind_of(output)
    if kind == "attention":
        return AttentionCodec(name, width)
    if kind in IN_PART:
        return vocabulary_codec(name, width)
    return TokenCodec(width > 1) if kind == TOKENS else vector_codec(name, statistics)


def empty_planes(output: str, width: int, codec: Codec) -> Planes:
    """The planes that an output's codec writes, of no rows."""
    kind, _ = kind_of(output)
    columns = codec.columns if isinstance(codec, TopK | Draws) else width
    shape = (0, width, 0, 0) if kind == "attention" else (0, columns)
    zeros = torch.zeros(shape, dtype=torch.int64 if kind == TOKENS else torch.float32)
    return codec.encode(zeros, np.zeros(0, np.int64))
