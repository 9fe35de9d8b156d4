"""The rows of DistillKit's Parquet: tokens, and two lists of vectors of bytes, as Arrow has them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.progress import bar
from distill.params.given import GivenSettings
from distill.preparation.columns import column_of
from distill.sources.streams import Stream

PARTS = ("input_ids", "compressed_logprobs", "bytepacked_indices")
OLDER = ("packed_indices", "exact_values", "coeffs")
"""Columns of files that DistillKit wrote before it kept log-probabilities."""


@dataclass(frozen=True)
class Vectors:
    """The vectors of a row."""

    values: Array
    """(numbers of all vectors,) int64; float64 with NaN if one is null."""
    lengths: Array
    """(vectors,) int64"""

    def matrix(self, size: int, name: str, place: str, advice: str) -> Array:
        """(vectors, size) uint8, if all have as many bytes."""
        wrong = np.flatnonzero(self.lengths != size)
        if len(wrong):
            found = f"vector {wrong[0]} of {name} has {self.lengths[wrong[0]]} bytes, expected {size} by `compression`"
            raise UserError(f"{place}: {found}; {advice}")
        if not ((self.values >= 0) & (self.values < 256)).all():
            raise UserError(f"{place}: {name} has numbers that are no bytes; expected 0 to 255: mend or drop the row")
        return self.values.astype(np.uint8).reshape(-1, size)


@dataclass(frozen=True)
class CompressedRow:
    """A row of the table."""

    tokens: Array
    """(n,) int64 or uint64"""
    logs: Vectors
    ids: Vectors
    """The vectors that log-probabilities, and the ids they are of, are packed in."""
    answered: bool
    """Whether both are there."""
    place: str


def compressed_rows(tables: Mapping[str, Stream], where: str, settings: GivenSettings) -> Iterator[CompressedRow]:
    """All rows of a table."""
    names = [str(getattr(settings.columns, part)) for part in PARTS]
    for split, stream in tables.items():
        place, number = f"{where}: {split}", 0
        _require_columns(stream, names, place)
        for batch in bar(stream.read(names), title="decompress", unit="batch"):
            columns = [batch.column(name) for name in names]
            tokens, logs, ids = (_Lists(each, depth) for each, depth in zip(columns, (1, 2, 2), strict=True))
            answered = pc.and_(columns[1].is_valid(), columns[2].is_valid()).to_pylist()
            for row, there in enumerate(answered):
                yield CompressedRow(
                    tokens.numbers(row), logs.vectors(row), ids.vectors(row), there, f"{place}: row {number + row}"
                )
            number += batch.num_rows


def token_rows(tables: Mapping[str, Stream], where: str, settings: GivenSettings) -> Iterator[Array]:
    """The tokens of each row, (n,), alone."""
    names = [str(getattr(settings.columns, part)) for part in PARTS]
    for split, stream in tables.items():
        _require_columns(stream, names, f"{where}: {split}")
        for batch in stream.read(names[:1]):
            tokens = _Lists(batch.column(names[0]), 1)
            yield from (tokens.numbers(row) for row in range(batch.num_rows))


def _require_columns(stream: Stream, names: Sequence[str], where: str) -> None:
    """Refuse a table without the columns, and say it if it is an older one; or with others than lists of bytes."""
    found = [name for name in OLDER if name in stream.schema.names]
    if names[1] not in stream.schema.names and found:
        raise UserError(
            f"{where}: has {', '.join(found)}, DistillKit's older format, which holds logits around their mean without what "
            "would make them log-probabilities; sample them again with a `logprob_compressor`"
        )
    empty = pa.Table.from_batches([], stream.described([name for name in names if name in stream.schema.names]))
    for name, part, depth in zip(names, PARTS, (1, 2, 2), strict=True):
        column_of(empty, where, name, part)
        kind = stream.schema.field(name).type
        inner = kind
        for _ in range(depth):
            inner = inner.value_type if pa.types.is_list(inner) else pa.null()
        if not pa.types.is_integer(inner):
            expected = "a list of ids" if depth == 1 else "a list of lists of bytes"
            raise UserError(f"{where}: column '{name}' is {kind}, expected {expected} a row; name another in columns.{part}")


class _Lists:
    """A column of lists of numbers, or of lists of these."""

    def __init__(self, column: pa.ListArray, depth: int) -> None:
        self.lengths, self.ends = list[Array](), list[Array]()
        for _ in range(depth):
            lengths = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
            self.lengths.append(lengths)
            self.ends.append(np.concatenate([[0], np.cumsum(lengths)]))
            column = column.flatten()
        self.values: Array = column.to_numpy(zero_copy_only=False)

    def numbers(self, row: int) -> Array:
        """Those of a list."""
        return self.values[self.ends[0][row] : self.ends[0][row + 1]]

    def vectors(self, row: int) -> Vectors:
        """Those of a list of lists."""
        start, stop = self.ends[0][row], self.ends[0][row + 1]
        return Vectors(self.values[self.ends[1][start] : self.ends[1][stop]], self.lengths[1][start:stop])
