"""Arrays of a value a row, of as many rows as there may be: long ones are mapped from files, and looked at some rows at a time.

The system drops mapped pages when it needs room, unlike memory that is allocated: so that is no more for more rows.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.core.files import SCRATCH

SMALL, STEP = 1 << 20, 1 << 16
"""The bytes of an array that is left in memory; rows that are looked at together."""


def array_on_disk(shape: tuple[int, ...], kind: Any) -> Array:
    """Zeros, mapped from a file without a name, which is gone once nobody looks at them.

    Their room on disk is taken at once where the system can: a full disk is an error here, and would be a crash where they are
    written.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=SCRATCH) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, int(np.prod(shape)) * np.dtype(kind).itemsize))
        return np.memmap(file, kind, "w+", shape=shape)


def new_array(shape: tuple[int, ...] | int, kind: Any) -> Array:
    """Zeros, on disk unless they are few."""
    shape = (shape,) if isinstance(shape, int) else shape
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.zeros(shape, kind) if size <= SMALL else np.asarray(array_on_disk(shape, kind))


def steps(rows: int) -> Iterator[slice]:
    """All rows in slices of STEP."""
    return (slice(start, min(rows, start + STEP)) for start in range(0, rows, STEP))


def filled(rows: int, make: Callable[[slice], Array]) -> Array:
    """(rows, …): what a function makes of each step, a new array."""
    first = make(slice(0, min(rows, STEP)))
    if len(first) == rows and first.nbytes <= SMALL:
        return first
    made = new_array((rows, *first.shape[1:]), first.dtype)
    for part in steps(rows):
        made[part] = make(part) if part.start else first
    return made


def full(rows: int, value: Any, kind: Any) -> Array:
    """One value throughout."""
    return filled(rows, lambda part: np.full(part.stop - part.start, value, kind))


def counted(rows: int) -> Array:
    """0, 1, 2 …, (rows,) int64."""
    return filled(rows, lambda part: np.arange(part.start, part.stop))


def taken(values: Array, positions: Array) -> Array:
    """The values at these positions."""
    return filled(len(positions), lambda part: values[positions[part]])


def joined(arrays: Sequence[Array]) -> Array:
    """One array after the other."""
    made, end = new_array((sum(map(len, arrays)), *arrays[0].shape[1:]), np.result_type(*arrays)), 0
    for array in arrays:
        made[end : end + len(array)] = array
        end += len(array)
    return made


def places(mask: Array) -> Array:
    """Where (rows,) bool are true, in order, int64."""
    made, end = new_array(int(np.count_nonzero(mask)), np.int64), 0
    for part in steps(len(mask)):
        found = np.flatnonzero(mask[part]) + part.start
        made[end : end + len(found)] = found
        end += len(found)
    return made


def repeated(counts: Array) -> Array:
    """The number of each row as often as its count says."""
    made, end = new_array(int(counts.sum()), np.int64), 0
    for part in steps(len(counts)):
        some = np.repeat(np.arange(part.start, part.stop), counts[part])
        made[end : end + len(some)] = some
        end += len(some)
    return made


def compact(values: Array, kept: Array) -> Array:
    """Those of the values that are kept, (rows,) bool, moved to the front of the same array."""
    end = 0
    for part in steps(len(values)):
        some = values[part][kept[part]]
        values[end : end + len(some)] = some
        end += len(some)
    return values[:end]


def tally(numbers: Array, count: int) -> Array:
    """How often each of so many numbers stands there, (count,) int64."""
    made = new_array(count, np.int64)
    for part in steps(len(numbers)):
        np.add.at(made, numbers[part], 1)
    return made


def distinct(values: Array) -> list[Any]:
    """The values that there are, sorted: few of them."""
    return sorted({value for part in steps(len(values)) for value in np.unique(values[part]).tolist()})
