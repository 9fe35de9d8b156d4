"""Reading outputs: rows by `example_id`, gathered from the memory map into torch tensors.

A stored output decodes what it has gathered; a replayed one computes it again from another output and the teacher's frozen
matrices.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.batching import spread
from distill.data.row_index import RowIndex
from distill.store.codecs.attention import AttentionCodec
from distill.store.codecs.vectors import Codec, Planes
from distill.store.replay.frozen_weights import FrozenMatrices
from distill.store.shards import Column, MappedShard

RESIDENT_BYTES = 2**28
"""Bytes that an output gathers before it gives the pages that it has touched back to the system."""

Gathered = dict[object, Any]
"""What readers have gathered of the rows of a batch."""


class OutputReader(ABC):
    """One output of one split."""

    name: str
    """Where it lies, for messages."""
    lengths: Array
    """Vectors a row, (rows,) int64: 1, its tokens, or its masked positions, as the manifest's `per` says."""
    ids: Array
    """Example ids in the store's order, (rows, 16) uint8."""
    lacking: int = 0
    """How many vectors of the data set's rows nobody gave: of these rows some are not there, or have vectors of NaN."""

    def __len__(self) -> int:
        return len(self.lengths)

    def locate(self, ids: Array) -> Array:
        """The positions of example ids, (n, 16) uint8 → (n,) int64; all have to be there."""
        places = self.find(ids)
        if (gone := places < 0).any():
            raise self._missing(ids, gone, f"nobody gave them; read the others alone, those of `ids` of {self.name}")
        return places

    @abstractmethod
    def find(self, ids: Array) -> Array:
        """The same, and −1 where a given set lacks a row."""

    def spread(self, ids: Array) -> Tensor:
        """Of an output of rows the vectors of example ids, (n, 16) uint8 → (n, width) fp32; NaN where a given set lacks a row."""
        places = self.find(ids)
        return spread(self.gather(places[places >= 0]), torch.from_numpy(places >= 0))

    def some(self, count: int) -> Tensor:
        """The vectors of the first rows of the store, so many or all."""
        return self.gather(np.arange(min(count, len(self))))

    def _missing(self, ids: Array, gone: Array, why: str) -> UserError:
        row, more = int(gone.argmax()), int(gone.sum()) - 1
        return UserError(
            f"{self.name}: has no targets for row {row} (example {bytes(ids[row]).hex()}), nor for {more} more; {why}"
        )

    def gather(self, rows: Array, batch: Gathered | None = None) -> Tensor:
        """The teacher's output for these rows, fp32; what `batch` already has is not read again.

        (vectors of the rows, width), one row after the other, no padding: of logits and cls of whole rows that is (n, width), of
        hidden states, queries, keys, values and logits of tokens (tokens of the rows, width), of logits of masked positions
        (positions of the rows, vocabulary). attention: scores before the softmax, (n, heads, seq, seq), padded with 0. tokens:
        (tokens, 1 or 2) int64.
        """
        batch = {} if batch is None else batch
        if self not in batch:
            batch[self] = self._gather(rows, batch)
        vectors: Tensor = batch[self]
        return vectors

    @abstractmethod
    def _gather(self, rows: Array, batch: Gathered) -> Tensor:
        """Gather rows that `batch` has not."""


class StoredOutput(OutputReader):
    """An output that lies in shards. Buffers are resolved once, when it is opened."""

    def __init__(self, shards: Sequence[MappedShard], codec: Codec, name: str, lacking: int = 0) -> None:
        """Index the rows of all record batches; of rows that are there twice, either will do."""
        self.name, self.codec, self.lacking = name, codec, lacking
        self._shards = shards
        batches = [batch for shard in shards for batch in shard.batches]
        self.ids: Array = np.concatenate([batch.ids for batch in batches])
        self._which = np.concatenate([np.full(len(batch.ids), i) for i, batch in enumerate(batches)])
        self._planes = {plane: _Plane([batch.columns[plane] for batch in batches]) for plane in batches[0].columns}
        self.lengths: Array = self._lengths()
        self._index = RowIndex(self.ids)
        self._touched = 0

    def _lengths(self) -> Array:
        """Tokens a row, as the planes have them; a ValueError if they contradict each other."""
        entries = {plane: column.stop - column.start for plane, column in self._planes.items()}
        lengths: Array = next(iter(entries.values()))
        if isinstance(self.codec, AttentionCodec):
            lengths = np.sqrt(entries["values"] // self.codec.heads).round().astype(np.int64)
        expected = self.codec.counts(lengths)
        if expected.keys() != entries.keys() or not all(np.array_equal(expected[plane], entries[plane]) for plane in entries):
            raise ValueError("rows have too many or too few values")
        return lengths

    def find(self, ids: Array) -> Array:
        """See `OutputReader`."""
        places = self.search(ids)
        if (gone := places < 0).any() and not self.lacking:
            raise self._missing(
                ids, gone, "the data set changed after the targets were computed: run `dvc repro` of the targets stage"
            )
        return places

    def search(self, ids: Array) -> Array:
        """The positions of example ids, (n, 16) uint8 → (n,) int64; −1 of rows that it has not, whoever made it."""
        return self._index.find(ids)

    def planes(self, rows: Array, batch: Gathered | None = None) -> Planes:
        """The rows as they are stored, one after the other."""
        batch, key = {} if batch is None else batch, (self, "planes")
        if key not in batch:
            batch[key] = self._read(rows)
        planes: Planes = batch[key]
        return planes

    def _read(self, rows: Array) -> Planes:
        which = self._which[rows].tolist()
        planes = {name: torch.from_numpy(plane.gather(rows, which)) for name, plane in self._planes.items()}
        self._touched += sum(plane.nbytes for plane in planes.values())
        if self._touched > RESIDENT_BYTES:
            self._touched = 0
            for shard in self._shards:
                shard.release()
        return planes

    def _gather(self, rows: Array, batch: Gathered) -> Tensor:
        return self.codec.decode(self.planes(rows, batch), self.lengths[rows])


class ReplayedOutput(OutputReader):
    """An output of the same rows, and of the same vectors a row, as the one that it is computed from."""

    def __init__(self, source: OutputReader, weights: FrozenMatrices, name: str) -> None:
        """`source` gives what the matrices are applied to."""
        self.name, self._source, self._weights = name, source, weights
        self.lengths, self.ids = source.lengths, source.ids

    def find(self, ids: Array) -> Array:
        """See `OutputReader`."""
        return self._source.find(ids)

    def _gather(self, rows: Array, batch: Gathered) -> Tensor:
        lengths, source = self.lengths[rows], self._source
        if isinstance(source, StoredOutput) and source.codec.name == "int8":
            return self._weights.replay_stored(source.planes(rows, batch), source.codec, lengths)
        return self._weights.replay(source.gather(rows, batch), lengths)


class OutputReaders(dict[str, OutputReader]):
    """Several outputs of a split: of each batch, what is stored is read and decoded once, whatever is replayed from it."""

    def locate(self, ids: Array) -> dict[str, Array]:
        """The positions of example ids in each output, (n, 16) uint8 → (n,) int64."""
        return {name: reader.locate(ids) for name, reader in self.items()}

    def find(self, ids: Array) -> dict[str, Array]:
        """The same, and −1 where a given set lacks a row."""
        return {name: reader.find(ids) for name, reader in self.items()}

    @property
    def lacking(self) -> bool:
        """Whether some output lacks vectors."""
        return any(reader.lacking for reader in self.values())

    def gather(self, rows: Mapping[str, Array]) -> dict[str, Tensor]:
        """The same rows of each output, at their positions there."""
        batch: Gathered = {}
        return {name: reader.gather(rows[name], batch) for name, reader in self.items()}


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
