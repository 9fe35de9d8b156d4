"""Rows as they come from a file, a folder or the hub: record batches, never more than a few megabytes of them at once."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from distill.core.console import print_result
from distill.core.errors import UserError, one_line
from distill.core.progress import with_progress

ROWS, SIZE = 1 << 16, 1 << 23
"""The most rows and about the most characters or bytes of a batch, which is a row group of the Parquet file.

A list of short words is more in Python than its characters."""

LEFT_OUT = b"distill.left_out"
COLUMNS = b"distill.columns"
"""Keys of a schema's metadata: columns that could not be kept, with the reason, and all columns of the file, both as JSON."""

LABEL_ORDER = b"distill.labels"
"""The key of a schema's metadata that holds the order of its lists of numbers, as JSON: `publish --as parquet` writes it."""


@dataclass(frozen=True)
class ReadOptions:
    """What `sources` says of a file beyond its name (docs/params.md), and what is beside it."""

    encoding: str = "utf-8"
    delimiter: str | None = None
    names: tuple[str, ...] | None = None
    format: str | None = None
    sheet: str | None = None
    beside: tuple[Path, ...] = ()
    """The files of its format in all splits: what a column holds may have to be told from all of them."""


@dataclass(frozen=True)
class Stream:
    """The rows of one split. `read` gives batches of the columns that it is asked for, from the first row on, each time."""

    schema: pa.Schema
    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that no type can hold, and why."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All columns."""
        return self.read(self.schema.names)

    def table(self, wanted: Iterable[str] | None = None) -> pa.Table:
        """The wanted columns that there are, in memory; the metadata of the schema names all."""
        names = [name for name in self.schema.names if wanted is None or name in set(wanted)]
        return pa.Table.from_batches(self.read(names), self.described(names))

    def described(self, names: Sequence[str]) -> pa.Schema:
        """The schema of some columns, with all names and what is left out in its metadata."""
        kept = self.schema.metadata or {}
        left_out = {**json.loads(kept.get(LEFT_OUT, b"{}")), **self.left_out}
        own = {COLUMNS: json.dumps(self.schema.names).encode()} | ({LEFT_OUT: json.dumps(left_out).encode()} if left_out else {})
        return pa.schema([self.schema.field(name) for name in names], {**kept, **own})


def batched(rows: Iterable[tuple[int, Sequence[Any]]], schema: pa.Schema, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows as tuples of the schema's columns, each with its size in characters, into batches of the columns `names`."""
    part = pa.schema([schema.field(name) for name in names])
    places = [schema.names.index(name) for name in names]
    waiting: list[Sequence[Any]] = []
    size = 0

    def batch() -> pa.RecordBatch:
        columns = [pa.array([row[place] for row in waiting], kind) for place, kind in zip(places, part.types, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=part) if places else _bare(len(waiting))

    for length, row in rows:
        waiting.append(row)
        size += length
        if size >= SIZE or len(waiting) >= ROWS:
            yield batch()
            waiting, size = [], 0
    if waiting:
        yield batch()


def _bare(rows: int) -> pa.RecordBatch:
    """Rows without a column."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def joined(streams: Sequence[Stream], where: str) -> Stream:
    """The shards of a split, one after another; they have to have the same columns, in any order."""
    if len(streams) == 1:
        return streams[0]
    first = streams[0]
    for other in streams[1:]:
        if set(other.schema.names) != set(first.schema.names):
            raise UserError(
                f"{where}: its files have different columns: {', '.join(first.schema.names)}, and "
                f"{', '.join(other.schema.names)}; give them the same, or put them into splits of their own"
            )
    try:
        schema = pa.unify_schemas([stream.schema for stream in streams])
    except pa.ArrowException as error:
        raise UserError(
            f"{where}: its files have different types of columns: {one_line(error)}; write them with one type"
        ) from None
    _require_one_order(streams, where)
    numbered = _numbered_apart(streams)
    for column, why in numbered.items():
        print_result(f"{where}: '{column}' is left out: it {why}")
    schema = pa.schema([field for field in schema if field.name not in numbered], schema.metadata)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        kinds = pa.schema([schema.field(name) for name in names])
        for stream in streams:
            for batch in stream.read(names):
                yield batch.cast(kinds) if names else batch

    return Stream(schema, read, {key: why for stream in streams for key, why in stream.left_out.items()} | numbered)


def class_names(table: pa.Table | Stream, label: str) -> tuple[str, ...] | None:
    """The class names that a hub data set carries in its schema for a column of labels, or of lists of them, if it does."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(label, {})
    while isinstance(feature, list) or (isinstance(feature, dict) and "feature" in feature):
        feature = feature[0] if isinstance(feature, list) else feature["feature"]
    return tuple(feature["names"]) if isinstance(feature, dict) and "names" in feature else None


def _numbered_apart(streams: Sequence[Stream]) -> dict[str, str]:
    """Columns whose numbers mean one class in the first shard and another in a later one, and why: one schema stands for all."""
    results = {}
    for column in streams[0].schema.names:
        first, *others = [class_names(stream, column) for stream in streams]
        other = next((names for names in others if names != first), first)
        if other != first:
            told = f"has numbers that mean {_shown(first)} in one file and {_shown(other)} in another"
            results[column] = f"{told} (write the names instead)"
    return results


def _require_one_order(streams: Sequence[Stream], where: str) -> None:
    """Refuse shards that say of their lists of numbers that these are in different orders."""
    first, *others = [json.loads((stream.schema.metadata or {}).get(LABEL_ORDER, b"null")) for stream in streams]
    other = next((names for names in others if names != first), first)
    if other != first:
        raise UserError(
            f"{where}: its files have lists in different orders of labels: {_shown(first)}, and {_shown(other)}; rename the "
            "files, so that each is a split of its own"
        )


def _shown(names: Sequence[str] | None) -> str:
    return f"{', '.join(names):.80}" if names else "nothing"


def write_splits(splits: Mapping[str, Stream], folder: Path) -> int:
    """Write a Parquet file a split, batch by batch; returns the number of rows in all."""
    rows = 0
    for split, stream in splits.items():
        with pa.parquet.ParquetWriter(folder / f"{split}.parquet", stream.described(stream.schema.names)) as writer:
            for batch in with_progress(stream.batches(), f"fetch {split}"):
                writer.write_batch(batch)
                rows += batch.num_rows
    if rows == 0:
        raise UserError(f"{folder.name}: the source has no rows")
    return rows
