"""Columns of rows that lie on disk, and so do the places of many: memory holds the values of some rows at a time."""

import math
import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, overload

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.files import SCRATCH
from distill.data.long_arrays import counted, filled, full, taken

ROWS, BATCHES, BYTES = 4096, 4, 1 << 19
"""The most rows that are looked at together, and the most batches that they are read from; about the bytes of a batch."""

Load = Callable[[int, Array], list[Any]]
"""(the number of a batch, places in it) → values"""


@dataclass(frozen=True, eq=False)
class Column(Sequence[Any]):
    """A value a row, read when it is asked for."""

    starts: Array
    """(batches + 1,) int64: where each batch begins."""
    load: Load
    positions: Array
    """(rows,) int64: where each row's value is; −1 for None."""

    @classmethod
    def of(cls, values: Sequence[Any] | Array) -> "Column":
        """Values that are in memory, or are made when they are asked for."""
        starts = np.array([0, len(values)])
        column = cls(starts, lambda _, places: [values[i] for i in places.tolist()], counted(len(values)))
        return column.where(np.fromiter((value is not None for value in values), bool, len(values)))

    @classmethod
    def of_table(cls, table: pa.Table, name: str) -> "Column":
        """A column of a table; NaN, by which pandas says that there is none, is None."""
        chunks = [batch.column(name) for batch in table.to_batches()]
        starts = np.concatenate([[0], np.cumsum([len(chunk) for chunk in chunks])]).astype(np.int64)
        return cls(starts, lambda number, places: _values(chunks[number], places), counted(len(table)))

    @classmethod
    def of_tuples(cls, columns: Sequence["Column"]) -> "Column":
        """The values of several columns of the same rows, a tuple a row."""
        starts = np.array([0, *(part.stop for part in columns[0].parts())])

        def load(number: int, places: Array) -> list[Any]:
            rows = starts[number] + places
            return list(zip(*(column._read(column.positions[rows]) for column in columns), strict=True))

        return cls(starts, load, counted(len(columns[0])))

    @classmethod
    def nothing(cls, rows: int) -> "Column":
        """None throughout."""
        return cls(np.zeros(1, np.int64), lambda *_: [], full(rows, -1, np.int64))

    @property
    def present(self) -> Array:
        """Where there is a value, (rows,) bool; so is one that is stored as a null."""
        return np.asarray(self.positions >= 0)

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, place: int) -> Any: ...

    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...

    def __getitem__(self, place: int | slice) -> Any:
        return self._read(self.positions[place]) if isinstance(place, slice) else self._read(self.positions[[place]])[0]

    def __iter__(self) -> Iterator[Any]:
        for part in self.parts():
            yield from self[part]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.tolist() == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: "Column") -> "Column":
        here = len(self.starts) - 1
        starts = np.concatenate([self.starts, self.starts[-1] + other.starts[1:]])
        own, others, rows = self.positions, other.positions, len(self)

        def positions(part: slice) -> Array:
            behind = others[max(0, part.start - rows) : max(0, part.stop - rows)]
            return np.concatenate([own[part], np.where(behind >= 0, behind + self.starts[-1], -1)])

        def load(number: int, places: Array) -> list[Any]:
            return self.load(number, places) if number < here else other.load(number - here, places)

        return Column(starts, load, filled(rows + len(other), positions))

    def tolist(self) -> list[Any]:
        """All values, in memory."""
        return list(self)

    def take(self, positions: Array) -> "Column":
        """The rows at these positions."""
        return Column(self.starts, self.load, taken(self.positions, positions))

    def where(self, kept: Array) -> "Column":
        """The same, None where `kept`, (rows,) bool, is false."""
        return Column(self.starts, self.load, filled(len(self), lambda part: np.where(kept[part], self.positions[part], -1)))

    def map(self, function: Callable[[Any], Any]) -> "Column":
        """What a function makes of each value, each time that it is read; None that is no stored null stays."""
        return Column(self.starts, lambda *where: [function(value) for value in self.load(*where)], self.positions)

    def parts(self) -> Iterator[slice]:
        """All rows in slices that are small enough to be in memory."""
        start = 0
        while start < len(self):
            batch = np.searchsorted(self.starts, self.positions[start : start + ROWS], side="right")
            firsts = np.sort(np.unique(batch, return_index=True)[1])
            stop = start + (int(firsts[BATCHES]) if len(firsts) > BATCHES else len(batch))
            yield slice(start, stop)
            start = stop

    def _read(self, positions: Array) -> list[Any]:
        made: list[Any] = [None] * len(positions)
        there = np.flatnonzero(positions >= 0)
        batch = np.searchsorted(self.starts, positions[there], side="right") - 1
        if (np.diff(batch) < 0).any():
            order = np.argsort(batch, kind="stable")
            there, batch = there[order], batch[order]
        for some in np.split(np.arange(len(there)), np.flatnonzero(np.diff(batch)) + 1) if len(there) else ():
            rows, number = there[some], int(batch[some[0]])
            values = self.load(number, positions[rows] - self.starts[number])
            for row, value in zip(rows.tolist(), values, strict=True):
                made[row] = value
        return made


def on_disk(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Rows as a table that is mapped from a file without a name, which is gone once nobody looks at it."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=SCRATCH) as file:
        with pa.ipc.new_stream(file, schema) as writer:
            for batch in batches:
                rows = max(1, batch.num_rows * BYTES // max(1, batch.nbytes))
                for start in range(0, batch.num_rows, rows):
                    writer.write_batch(batch.slice(start, rows))
        return pa.ipc.open_stream(mapped(file)).read_all()


def mapped(file: IO[bytes]) -> pa.Buffer:
    """What was written to a file, read from disk when it is looked at, also once the file is closed."""
    file.flush()
    return pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.tell() else b"")


def _values(array: pa.Array, places: Array) -> list[Any]:
    """Python's values."""
    if len(places) and places[-1] - places[0] + 1 == len(places) and (np.diff(places) == 1).all():
        array = array.slice(places[0], len(places))
    else:
        array = array.take(pa.array(places))
    if pa.types.is_list(array.type):
        flat, ends = _plain(array.flatten()), np.cumsum(array.value_lengths().fill_null(0).to_numpy()).tolist()
        there = array.is_valid().to_numpy(zero_copy_only=False).tolist()
        return [flat[start:end] if valid else None for start, end, valid in zip([0, *ends], ends, there, strict=False)]
    return [None if isinstance(value, float) and math.isnan(value) else value for value in _plain(array)]


def _plain(array: pa.Array) -> list[Any]:
    fast = pa.types.is_string(array.type)
    values: list[Any] = array.to_numpy(zero_copy_only=False).tolist() if fast else array.to_pylist()
    return values
