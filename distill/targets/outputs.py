"""Which outputs a target set keeps of its teacher, and by which codec."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from distill.layers import resolve_layers
from distill.targets.codec import Codec, Planes, needs_statistics, vector_codec
from distill.targets.maps import AttentionCodec
from distill.targets.schema import (
    LOGITS,
    REPLAY,
    TOKENS,
    TRANSFORM,
    Per,
    attention_output,
    cls_output,
    hidden_output,
    kind_of,
    projection_outputs,
)

Array = np.ndarray[Any, np.dtype[Any]]
MASKED_LM = "masked-lm"
LOGITS_PER: dict[str, Per] = {
    "sequence-classification": "row",
    "regression": "row",
    "token-classification": "token",
    "question-answering": "token",
    MASKED_LM: "position",
}
"""What the logits of a task are one vector of."""


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
    relations: tuple[int, ...] = ()
    """Layers whose queries, keys and values are replayed, from 1 on; negative from the last."""
    positions: str = "masked"
    """Where the vocabulary's distributions of a masked language model are kept: `masked` tokens, or `all`."""
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
    per: dict[str, Per]
    """By name: what it has one vector of."""

    @property
    def names(self) -> tuple[str, ...]:
        """All outputs, sorted."""
        return tuple(sorted({*self.stored, *self.replayed}))

    def of_split(self, split: str, job: Job) -> tuple[str, ...]:
        """The stored outputs of a split."""
        return tuple(name for name in self.stored if kept_in(name, split, job))


def kept_in(output: str, split: str, job: Job) -> bool:
    """Whether an output is kept of a split: logits, and what they are made of, of all; the rest of `hidden_splits`."""
    return output in (LOGITS, TOKENS, TRANSFORM) or split in job.hidden_splits


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


def is_measured(output: str, codec: str) -> bool:
    """Whether a stored output's codec needs statistics of its channels."""
    return kind_of(output)[0] in ("hidden", "cls", TRANSFORM) and needs_statistics(codec)


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


def resolve(job: Job, depth: int, task: str) -> Outputs:
    """Name a job's outputs; what an output is replayed from is kept with it.

    Args:
        job: What is asked for.
        depth: Layers of the teacher.
        task: Of the data set.

    Raises:
        UserError: a layer that the teacher lacks, or one that is named twice.
    """
    stored, replayed = {LOGITS: "fp32", TOKENS: TOKENS}, {}
    if task == MASKED_LM:
        stored, replayed = {TRANSFORM: job.codec, TOKENS: TOKENS}, {LOGITS: TRANSFORM}
    hidden = set(resolve_layers("hidden", job.hidden, 0, depth))
    attention, relations = (resolve_layers(key, getattr(job, key), 1, depth) for key in ("attention", "relations"))
    below = [(name, layer - 1) for layer in relations for name in projection_outputs(layer)]
    if job.attention_as == REPLAY:
        below += [(attention_output(layer), layer - 1) for layer in attention]
    else:
        stored |= {attention_output(layer): job.attention_as for layer in attention}
    hidden |= {state for _, state in below}
    replayed |= {name: hidden_output(state) for name, state in below}
    if 0 in hidden and job.embeddings == REPLAY:
        hidden.remove(0)
        replayed[hidden_output(0)] = TOKENS
    stored |= {hidden_output(layer): job.codec for layer in sorted(hidden)}
    stored |= {cls_output(layer): job.codec for layer in resolve_layers("cls", job.cls, 0, depth)}
    return Outputs(stored, replayed, {name: _per(name, job, task) for name in (*stored, *replayed)})


def _per(output: str, job: Job, task: str) -> Per:
    if output == TRANSFORM or (output == LOGITS and task == MASKED_LM):
        return "token" if job.positions == "all" else "position"
    if output == LOGITS:
        return LOGITS_PER[task]
    return "row" if kind_of(output)[0] == "cls" else "token"
