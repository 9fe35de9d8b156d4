"""Parquet files, row group by row group, each column as the plainest type that holds its values as they are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from distill.core.errors import UserError, one_line
from distill.sources.streams import ROWS, SIZE, ReadOptions, Stream

HUB_KEY = b"huggingface"
"""The key of a schema's metadata under which the hub's data sets name their classes."""


def read_parquet(file: Path, options: ReadOptions) -> Stream:
    """A Parquet file; categories are read as their values, decimals and dates as text."""
    try:
        with pa.parquet.ParquetFile(file) as opened:
            schema, rows = opened.schema_arrow, opened.metadata
            size = sum(rows.row_group(i).total_byte_size for i in range(rows.num_row_groups))
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise _broken(file, error) from None
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{file}: two columns are named {twice!r:.60}; rename one")
    at_once = batch_rows(rows.num_rows, size)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            with pa.parquet.ParquetFile(file, pre_buffer=False) as opened:
                yield from opened.iter_batches(at_once, columns=list(names), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise _broken(file, error) from None

    return plain_stream(schema, read)


def plain_stream(schema: pa.Schema, read: Any) -> Stream:
    """The rows of Arrow batches with plain types; columns that Parquet cannot hold are left out."""
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key == HUB_KEY or key.startswith(b"distill.")}
    left_out = {part.name: why for part in schema if (why := _unstorable(part.type))}
    plain = pa.schema([pa.field(part.name, plain_type(part.type)) for part in schema if part.name not in left_out], metadata)

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        part = pa.schema([plain.field(name) for name in names])
        for batch in read(names):
            columns = [plain_column(batch.column(name), plain.field(name).type) for name in names]
            yield pa.RecordBatch.from_arrays(columns, schema=part) if names else batch

    return Stream(plain, batches, left_out)


def plain_column(found: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column as its plain type."""
    if found.type == pa.float16():
        found = pa.array(
            found.to_numpy(zero_copy_only=False).astype(str), pa.string(), mask=found.is_null().to_numpy(zero_copy_only=False)
        )
    elif found.type == pa.float32() and kind == pa.float64():
        found = found.cast(pa.string())  # the shortest number that is this one: 1.1 is written as such, not 1.100000023841858
    return found if found.type == kind else found.cast(kind)


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that values of any width, encoding and unit are read as: decimals, dates and times as text."""
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind) or types.is_decimal(kind) or types.is_temporal(kind):
        return kind if types.is_duration(kind) or types.is_interval(kind) else pa.string()
    if types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    if types.is_floating(kind):
        return pa.float64()
    if any(of(kind) for of in (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view)):
        return pa.list_(plain_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([pa.field(part.name, plain_type(part.type)) for part in kind])
    return kind


def batch_rows(rows: int, size: int) -> int:
    """How many rows make a batch of about SIZE bytes."""
    return max(1, min(ROWS, SIZE * max(rows, 1) // max(size, 1)))


def _unstorable(kind: pa.DataType) -> str | None:
    """Why Parquet cannot hold a type, if it cannot."""
    if pa.types.is_struct(kind):
        return next((why for part in kind if (why := _unstorable(part.type))), None) if len(kind) else "is an empty object"
    if pa.types.is_nested(kind) and hasattr(kind, "value_type"):
        return _unstorable(kind.value_type)
    return f"has the type {kind}, which Parquet cannot hold" if pa.types.is_interval(kind) else None


def _broken(file: Path, error: BaseException) -> UserError:
    return UserError(f"{file}: broken parquet file: {one_line(error)}")
