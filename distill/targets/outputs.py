"""Which outputs a target set keeps of its teacher, and by which codec."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from distill.layers import resolve_layers
from distill.targets.codec import Codec, Planes, vector_codec
from distill.targets.maps import AttentionCodec
from distill.targets.schema import LOGITS, REPLAY, TOKENS, attention_output, cls_output, hidden_output, kind_of

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Job:
    """What is to be materialized, and how."""

    hidden: tuple[int, ...] = ()
    """Hidden states, from 0 (the embedding output) on; negative from the last."""
    cls: tuple[int, ...] = ()
    """Hidden states that are kept at the first token alone."""
    attention: tuple[int, ...] = ()
    """Layers whose attention scores are kept, from 1 on; negative from the last."""
    attention_as: str = REPLAY
    embeddings: str = REPLAY
    """How hidden state 0 is kept: `replay`, or `stored` by the codec."""
    hidden_splits: tuple[str, ...] = ("train",)
    """The splits of which more than logits is kept."""
    codec: str = "int8"
    shard_bytes: int = 32 * 2**20
    batch_tokens: int = 4096
    precision: str = "fp32"


@dataclass(frozen=True)
class Outputs:
    """A job's outputs for a teacher of known depth."""

    stored: dict[str, str]
    """By name: the codec."""
    replayed: dict[str, str]
    """By name: the output that it is replayed from."""

    @property
    def names(self) -> tuple[str, ...]:
        """All outputs, sorted."""
        return tuple(sorted({*self.stored, *self.replayed}))

    def of_split(self, split: str, job: Job) -> tuple[str, ...]:
        """The stored outputs of a split: logits and tokens of all, the rest of `hidden_splits`."""
        return tuple(name for name in self.stored if name in (LOGITS, TOKENS) or split in job.hidden_splits)


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
    """The codec of a stored output.

    Args:
        output: `logits`, `hidden-03` …
        name: What its manifest says.
        width: As the manifest has it: classes, hidden size, heads, or inputs a token.
        statistics: What the codec has measured.

    Raises:
        UserError: no such codec, or its statistics are missing.
    """
    kind, _ = kind_of(output)
    if kind == "attention":
        return AttentionCodec(name, width)
    return TokenCodec(width > 1) if kind == TOKENS else vector_codec(name, statistics)


def resolve(job: Job, depth: int) -> Outputs:
    """Name a job's outputs; what an output is replayed from is kept with it.

    Raises:
        UserError: a layer that the teacher lacks, or one that is named twice.
    """
    stored = {LOGITS: "fp32", TOKENS: TOKENS}
    hidden = set(resolve_layers("hidden", job.hidden, 0, depth))
    attention = resolve_layers("attention", job.attention, 1, depth)
    replayed = {}
    if job.attention_as == REPLAY:
        hidden |= {layer - 1 for layer in attention}
        replayed = {attention_output(layer): hidden_output(layer - 1) for layer in attention}
    else:
        stored |= {attention_output(layer): job.attention_as for layer in attention}
    if 0 in hidden and job.embeddings == REPLAY:
        hidden.remove(0)
        replayed[hidden_output(0)] = TOKENS
    stored |= {hidden_output(layer): job.codec for layer in sorted(hidden)}
    stored |= {cls_output(layer): job.codec for layer in resolve_layers("cls", job.cls, 0, depth)}
    return Outputs(stored, replayed)
