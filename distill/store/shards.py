"""One shard: an Arrow IPC file, uncompressed, that holds rows of one output.

Columns: `example_id` (16 bytes), then one column for each plane of the output's codec. A row owns one entry of a plane (a
fixed-size list: logits, cls) or a run of entries (a large list: the real tokens of a hidden state, the pairs of tokens of a
map; no padding). Codec, statistics and library versions stand in the schema's metadata.
"""

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from distill.core.arrays import Array
from distill.core.errors import UserError, first_line
from distill.core.files import atomic_file
from distill.data.arrow_files import LARGE
from distill.data.dataset import ID_BYTES
from distill.store.manifest import ROWS_A_BATCH, libraries
from distill.store.origin import repair_of, stage_of

STATISTICS = "statistics."

DAMAGE = (OSError, pa.ArrowException, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError)
"""What reading a damaged file can raise."""


@dataclass(frozen=True)
class Column:
    """A plane of some rows: row i owns `values[starts[i]:starts[i + 1]]`."""

    values: Array
    """(entries, k)"""
    starts: Array
    """(rows + 1,) int64"""


def columns_of(planes: Mapping[str, Tensor], counts: Mapping[str, Array]) -> dict[str, Column]:
    """Planes of a codec, of which each row owns so many entries."""
    return {name: Column(plane.numpy(), np.concatenate([[0], np.cumsum(counts[name])])) for name, plane in planes.items()}


@dataclass(frozen=True)
class Batch:
    """A record batch as views of the memory map. Never write to them."""

    ids: Array
    """(rows, 16) uint8"""
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class MappedShard:
    """A shard in memory: its pages are read when they are touched."""

    batches: tuple[Batch, ...]
    output: str
    codec: str
    statistics: Mapping[str, Tensor]
    memory: mmap.mmap

    def release(self) -> None:
        """Give the pages back to the system; they are read again when they are touched."""
        self.memory.madvise(mmap.MADV_DONTNEED)


def write_shard(
    path: Path, output: str, ids: Array, columns: Mapping[str, Column], codec: str, statistics: Mapping[str, Tensor]
) -> None:
    """Write a shard whole: ids (rows, 16) uint8, columns by plane, and the fp32 statistics that decoding needs."""
    with atomic_file(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        write_rows(sink, output, ids, columns, codec, statistics)


def write_rows(
    sink: Any, output: str, ids: Array, columns: Mapping[str, Column], codec: str, statistics: Mapping[str, Tensor]
) -> None:
    """Write a shard's bytes to anything that Arrow writes to."""
    identity = pa.py_buffer(np.ascontiguousarray(ids))
    arrays = {"example_id": pa.FixedSizeBinaryArray.from_buffers(pa.binary(ID_BYTES), len(ids), [None, identity])}
    arrays |= {plane: _array(column) for plane, column in columns.items()}
    metadata: dict[str, str | bytes] = {"output": output, "codec": codec, "libraries": json.dumps(libraries(), sort_keys=True)}
    metadata |= {f"{STATISTICS}{name}": tensor.numpy().tobytes() for name, tensor in sorted(statistics.items())}
    table = pa.table(arrays).replace_schema_metadata(metadata)
    with pa.ipc.new_file(sink, table.schema, options=LARGE) as writer:
        writer.write_table(table, max_chunksize=ROWS_A_BATCH)


def map_shard(path: Path) -> MappedShard:
    """Map a shard into memory."""
    try:
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(memory)))
        metadata = {key.decode(): value for key, value in (reader.schema.metadata or {}).items()}
        statistics = {
            name.removeprefix(STATISTICS): torch.from_numpy(np.frombuffer(value, np.float32).copy())
            for name, value in metadata.items()
            if name.startswith(STATISTICS)
        }
        batches = tuple(_view(reader.get_batch(i)) for i in range(reader.num_record_batches))
        return MappedShard(batches, metadata["output"].decode(), metadata["codec"].decode(), statistics, memory)
    except DAMAGE as error:
        what = first_line(error)
        stage = stage_of(path.parent.parent.parent)
        raise UserError(f"{path}: damaged or missing ({what}); run `{repair_of(stage)}`") from None


def _array(column: Column) -> pa.Array:
    values = np.ascontiguousarray(column.values)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    if np.array_equal(column.starts, np.arange(len(column.starts))):
        return vectors
    return pa.LargeListArray.from_arrays(pa.array(column.starts, pa.int64()), vectors)


def _view(batch: pa.RecordBatch) -> Batch:
    batch.validate(full=True)
    identity = batch.column("example_id")
    if identity.type != pa.binary(ID_BYTES):
        raise ValueError(f"example_id is {identity.type}")
    ids = np.frombuffer(identity.buffers()[1], np.uint8)[identity.offset * ID_BYTES :][: len(batch) * ID_BYTES]
    planes = {name: _column(batch.column(name)) for name in batch.schema.names if name != "example_id"}
    return Batch(ids.reshape(-1, ID_BYTES), planes)


def _column(array: pa.Array) -> Column:
    if array.null_count:
        raise ValueError("a row has no value")
    if isinstance(array, pa.LargeListArray):
        offsets = array.offsets.to_numpy() if len(array) else np.zeros(1, np.int64)
        first, last = int(offsets[0]), int(offsets[-1])
        return Column(_flat(array.values, first, last), offsets - first)
    return Column(_flat(array, 0, len(array)), np.arange(len(array) + 1))


def _flat(lists: pa.FixedSizeListArray, first: int, last: int) -> Array:
    """Entries `first` to `last` of a list column, (entries, k), without a copy."""
    if not isinstance(lists, pa.FixedSizeListArray):
        raise TypeError(f"a column of {lists.type}")
    if lists.null_count or lists.values.null_count:
        raise ValueError("a value is missing")
    width = lists.type.list_size
    dtype: np.dtype[Any] = np.dtype(lists.type.value_type.to_pandas_dtype())
    flat: Array = np.frombuffer(lists.buffers()[-1], dtype)
    first, last = lists.offset + first, lists.offset + last
    return flat[first * width : last * width].reshape(-1, width)
