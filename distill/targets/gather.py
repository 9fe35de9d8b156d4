"""Reading outputs: rows by `example_id`, gathered from the memory map into torch tensors.

A stored output decodes what it has gathered; a replayed one computes it again from another output and the teacher's frozen
matrices. Both are `OutputReader`s, so that nobody who reads need know which it is.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from distill.errors import UserError
from distill.targets.codec import Codec, Planes
from distill.targets.frozen import Frozen
from distill.targets.maps import AttentionCodec
from distill.targets.replay import AttentionHeads, ProjectionHeads
from distill.targets.replay_embeddings import EmbeddingHeads
from distill.targets.replay_logits import LinearHead
from distill.targets.shards import Column, MappedShard

Array = np.ndarray[Any, np.dtype[Any]]
RESIDENT_BYTES = 2**28
"""Bytes that an output gathers before it gives the pages that it has touched back to the system."""


@runtime_checkable
class OutputReader(Protocol):
    """One output of one split."""

    @property
    def name(self) -> str:
        """Where it lies, for messages."""

    def __len__(self) -> int: ...

    @property
    def lengths(self) -> Array:
        """Vectors a row, (rows,) int64: 1, its tokens, or its masked positions, as the manifest's `per` says."""

    @property
    def ids(self) -> Array:
        """Example ids in the store's order, (rows, 16) uint8."""

    def locate(self, ids: Array) -> Array:
        """The positions of example ids, (n, 16) uint8 → (n,) int64."""

    def gather(self, rows: Array) -> Tensor:
        """What the teacher said of these rows, fp32.

        (vectors of the rows, width), one row after the other, no padding: of logits and cls of whole rows that is (n, width), of
        hidden states, queries, keys, values and logits of tokens (tokens of the rows, width), of logits of masked positions
        (positions of the rows, vocabulary). attention: scores before the softmax, (n, heads, seq, seq), padded with 0. tokens:
        (tokens, 1 or 2) int64.
        """


class StoredOutput:
    """An output that lies in shards. Buffers are resolved once, when it is opened."""

    def __init__(self, shards: Sequence[MappedShard], codec: Codec, name: str) -> None:
        """Index the rows of all record batches; of rows that are there twice, either will do."""
        self.name, self.codec = name, codec
        self._shards = shards
        batches = [batch for shard in shards for batch in shard.batches]
        self.ids: Array = np.concatenate([batch.ids for batch in batches])
        self._which = np.concatenate([np.full(len(batch.ids), i) for i, batch in enumerate(batches)])
        self._planes = {plane: _Plane([batch.columns[plane] for batch in batches]) for plane in batches[0].columns}
        self.lengths: Array = self._lengths()
        keys = np.ascontiguousarray(self.ids).view(">u8")
        self._order = np.lexsort((keys[:, 1], keys[:, 0]))
        self._keys = keys[self._order]
        self._touched = 0

    def __len__(self) -> int:
        return len(self.ids)

    def _lengths(self) -> Array:
        """Tokens a row, as the planes have them.

        Raises:
            ValueError: the planes contradict each other.
        """
        entries = {plane: column.stop - column.start for plane, column in self._planes.items()}
        lengths: Array = next(iter(entries.values()))
        if isinstance(self.codec, AttentionCodec):
            lengths = np.sqrt(entries["values"] // self.codec.heads).round().astype(np.int64)
        if {plane: counts.tolist() for plane, counts in self.codec.counts(lengths).items()} != {
            plane: counts.tolist() for plane, counts in entries.items()
        }:
            raise ValueError("rows have too many or too few values")
        return lengths

    def locate(self, ids: Array) -> Array:
        """The positions of example ids, (n, 16) uint8 → (n,) int64.

        Raises:
            UserError: the store lacks a row.
        """
        found, missing = self.search(ids)
        if missing.any():
            row = int(missing.argmax())
            raise UserError(
                f"{self.name}: has no targets for row {row} (example {bytes(ids[row]).hex()}), nor for {int(missing.sum()) - 1} "
                "more; the data set changed after the targets were computed: run `dvc repro` of the targets stage"
            )
        return found

    def search(self, ids: Array) -> tuple[Array, Array]:
        """Positions of example ids, and which of them are missing: (n,) int64, (n,) bool."""
        keys = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2)
        found = np.minimum(_first(self._keys, keys), len(self) - 1)
        return self._order[found], (self._keys[found] != keys).any(axis=1)

    def planes(self, rows: Array) -> Planes:
        """The rows as they are stored, one after the other."""
        which = self._which[rows].tolist()
        planes = {name: torch.from_numpy(plane.gather(rows, which)) for name, plane in self._planes.items()}
        self._touched += sum(plane.nbytes for plane in planes.values())
        if self._touched > RESIDENT_BYTES:
            self._touched = 0
            for shard in self._shards:
                shard.release()
        return planes

    def gather(self, rows: Array) -> Tensor:
        """The rows, decoded."""
        return self.codec.decode(self.planes(rows), self.lengths[rows])


class _Replayed:
    """An output of the same rows, and of the same vectors a row, as what it is made of."""

    def __init__(self, source: OutputReader, name: str) -> None:
        self.name, self._source = name, source
        self.lengths, self.ids, self.locate = source.lengths, source.ids, source.locate

    def __len__(self) -> int:
        return len(self._source)


class ReplayedAttention(_Replayed):
    """Attention scores of a layer, from the hidden state below it."""

    def __init__(self, below: OutputReader, heads: AttentionHeads, name: str) -> None:
        """`below` gives the layer's input."""
        super().__init__(below, name)
        self._heads = heads

    def gather(self, rows: Array) -> Tensor:
        """Scores, (n, heads, seq, seq) fp32, padded with 0."""
        lengths, below = self.lengths[rows], self._source
        if isinstance(below, StoredOutput):
            return replayed_scores(self._heads, below.planes(rows), below.codec, lengths)
        return self._heads.scores(below.gather(rows), lengths)


def replayed_scores(heads: AttentionHeads, planes: Planes, codec: Codec, lengths: Array) -> Tensor:
    """Attention scores from a hidden state as it is stored: int8 is not decoded where the machine can do without."""
    if codec.name == "int8":
        return heads.scores_from_int8(**_int8(planes, codec), lengths=lengths)
    return heads.scores(codec.decode(planes, lengths), lengths)


def from_states(heads: Frozen, states: Tensor, lengths: Array) -> Tensor:
    """What is replayed from decoded vectors: scores, a projection, or the vocabulary's logits."""
    if isinstance(heads, AttentionHeads):
        return heads.scores(states, lengths)
    if isinstance(heads, ProjectionHeads):
        return heads.projected(states)
    assert isinstance(heads, LinearHead)
    return heads.logits(states)


class ReplayedProjection(_Replayed):
    """Queries, keys or values of a layer, from the hidden state below it."""

    def __init__(self, below: OutputReader, heads: ProjectionHeads, name: str) -> None:
        """`below` gives the layer's input."""
        super().__init__(below, name)
        self._heads = heads

    def gather(self, rows: Array) -> Tensor:
        """Projections, (tokens, outputs) fp32, not cut into heads."""
        below = self._source
        if isinstance(below, StoredOutput) and below.codec.name == "int8":
            return self._heads.projected_from_int8(**_int8(below.planes(rows), below.codec))
        return self._heads.projected(below.gather(rows))


def _int8(planes: Planes, codec: Codec) -> dict[str, Tensor]:
    return {"values": planes["values"], "scales": planes["scales"], **codec.statistics}


class ReplayedLogits(_Replayed):
    """The vocabulary's logits, from what a masked language model multiplies with its output embedding."""

    def __init__(self, transform: OutputReader, head: LinearHead, name: str) -> None:
        """`transform` gives the vectors below the output embedding."""
        super().__init__(transform, name)
        self._head = head

    def gather(self, rows: Array) -> Tensor:
        """Logits, (positions, vocabulary) fp32."""
        return self._head.logits(self._source.gather(rows))


class ReplayedEmbeddings(_Replayed):
    """Hidden state 0, from the tokens."""

    def __init__(self, tokens: OutputReader, heads: EmbeddingHeads, name: str) -> None:
        """`tokens` gives what the teacher read."""
        super().__init__(tokens, name)
        self._heads = heads

    def gather(self, rows: Array) -> Tensor:
        """Embedding outputs, (tokens, hidden) fp32."""
        inputs = self._source.gather(rows)
        types = inputs[:, 1] if inputs.shape[1] > 1 else None
        return self._heads.states(inputs[:, 0], types, self.lengths[rows])


def replayed(source: OutputReader, heads: Frozen, name: str) -> OutputReader:
    """The reader of a replayed output, by the kind of its matrices."""
    if isinstance(heads, AttentionHeads):
        return ReplayedAttention(source, heads, name)
    if isinstance(heads, ProjectionHeads):
        return ReplayedProjection(source, heads, name)
    if isinstance(heads, LinearHead):
        return ReplayedLogits(source, heads, name)
    assert isinstance(heads, EmbeddingHeads)
    return ReplayedEmbeddings(source, heads, name)


class _Plane:
    """A column over all record batches."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.values = [column.values for column in columns]
        self.start = np.concatenate([column.starts[:-1] for column in columns])
        self.stop = np.concatenate([column.starts[1:] for column in columns])

    def gather(self, rows: Array, which: Sequence[int]) -> Array:
        starts, stops = self.start[rows].tolist(), self.stop[rows].tolist()
        pieces = [self.values[i][start:stop] for i, start, stop in zip(which, starts, stops, strict=True)]
        return np.concatenate(pieces) if pieces else self.values[0][:0].copy()


def _first(ordered: Array, keys: Array) -> Array:
    """Where each key, two big-endian words, stands in an ordered table; any place for one that is not there."""
    first = np.searchsorted(ordered[:, 0], keys[:, 0])
    last = np.searchsorted(ordered[:, 0], keys[:, 0], side="right")
    for row in np.flatnonzero(last - first > 1):
        first[row] += np.searchsorted(ordered[first[row] : last[row], 1], keys[row, 1])
    return first
