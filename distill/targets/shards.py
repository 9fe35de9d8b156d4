"""One shard: an Arrow IPC file, uncompressed, that holds rows of one output.

Columns: `example_id` (16 bytes); then, for logits, `logits` (fixed-size list of float32), and for a hidden state `states`
(large list of fixed-size lists: the row's real tokens, no padding) and, with int8, `scales` (large list of float16). Codec and
channel statistics stand in the schema's metadata.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from distill.errors import UserError
from distill.files import whole_file
from distill.prepared import ID_BYTES
from distill.targets.codec import Codec, Encoded
from distill.targets.schema import LOGITS, ROWS_A_BATCH

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Batch:
    """A record batch as views of the memory map. Never write to them."""

    ids: Array
    """(rows, 16) uint8"""
    starts: Array
    """(rows + 1,) int64: row i owns vectors[starts[i]:starts[i + 1]]"""
    vectors: Array
    """(n, width)"""
    scales: Array | None
    """(n,) float16"""


def write_shard(path: Path, output: str, ids: Array, lengths: Array, encoded: Encoded, codec: Codec) -> None:
    """Write a shard whole.

    Args:
        path: The file.
        output: `logits` or `hidden-NN`.
        ids: (rows, 16) uint8.
        lengths: (rows,) int64: vectors a row; 1 for logits.
        encoded: The rows' vectors, one after the other.
        codec: What encoded them.
    """
    values = encoded.values.contiguous().numpy()
    width = values.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)
    columns: dict[str, pa.Array] = {
        "example_id": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(ID_BYTES), len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids))]
        )
    }
    if output == LOGITS:
        columns["logits"] = vectors
    else:
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        columns["states"] = pa.LargeListArray.from_arrays(offsets, vectors)
        if encoded.scales is not None:
            columns["scales"] = pa.LargeListArray.from_arrays(offsets, pa.array(encoded.scales.numpy()))
    metadata: dict[str, str | bytes] = {"output": output, "codec": codec.name}
    if codec.mean is not None and codec.deviation is not None:
        metadata |= {"mean": codec.mean.numpy().tobytes(), "deviation": codec.deviation.numpy().tobytes()}
    table = pa.table(columns).replace_schema_metadata(metadata)
    with (
        whole_file(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=ROWS_A_BATCH)


def map_shard(path: Path, output: str) -> tuple[list[Batch], Codec]:
    """Map a shard into memory.

    Raises:
        UserError: it is missing, damaged, or holds another output.
    """
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        schema = file.schema
        batches = [_view(file.get_batch(i), output) for i in range(file.num_record_batches)]
    except (OSError, pa.ArrowException, KeyError, ValueError, IndexError) as error:
        raise UserError(f"{path}: damaged or missing ({error}); run `dvc repro targets@{path.parts[-4]}`") from None
    metadata = {key.decode(): value for key, value in (schema.metadata or {}).items()}
    found = metadata.get("output", b"?").decode()
    if found != output:
        raise UserError(f"{path}: holds {found}, expected {output}; a shard was put in a foreign place")
    statistics = {
        name: torch.from_numpy(np.frombuffer(metadata[name], np.float32).copy())
        for name in ("mean", "deviation")
        if name in metadata
    }
    return batches, Codec(metadata["codec"].decode(), **statistics)


def _view(batch: pa.RecordBatch, output: str) -> Batch:
    identity = batch.column("example_id")
    ids = np.frombuffer(identity.buffers()[1], np.uint8)[identity.offset * ID_BYTES :][: len(batch) * ID_BYTES]
    if output == LOGITS:
        lists, starts = batch.column("logits"), np.arange(len(batch) + 1)
        first, last = lists.offset, lists.offset + len(batch)
        scales = None
    else:
        states = batch.column("states")
        offsets = states.offsets.to_numpy()
        first, last = int(offsets[0]), int(offsets[-1])
        starts, lists = offsets - first, states.values
        scales = batch.column("scales").values.to_numpy()[first:last] if "scales" in batch.schema.names else None
        first, last = lists.offset + first, lists.offset + last
    width = lists.type.list_size
    flat = _flat(lists)
    return Batch(ids.reshape(-1, ID_BYTES), starts, flat[first * width : last * width].reshape(-1, width), scales)


def _flat(lists: pa.FixedSizeListArray) -> Array:
    """All numbers under a list column, whatever part of it the batch shows."""
    dtype: np.dtype[Any] = np.dtype(lists.type.value_type.to_pandas_dtype())
    return np.frombuffer(lists.buffers()[-1], dtype)
