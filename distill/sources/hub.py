"""Data sets of the Hugging Face hub."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from distill.core.errors import UserError, first_line
from distill.core.locations import from_hub
from distill.sources.parquet import batch_rows, plain_stream
from distill.sources.streams import Stream


def fetch_hub(name: str, config: str | None, revision: str | None) -> dict[str, Stream]:
    """Every split of a data set of the Hugging Face hub, class label names in its schema's metadata."""
    import datasets

    what = f"data set '{name}'" + (f", config '{config}'" if config else "")
    try:
        loaded = from_hub(what, lambda: datasets.load_dataset(name, config, revision=revision))
    except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"hub: {what} cannot be used: {first_line(error.__cause__ or error)}") from None
    return {str(split): _stream(part) for split, part in loaded.items()}


def _stream(part: Any) -> Stream:
    """A split that the library has mapped into memory from its cache."""
    rows = part.with_format("arrow")

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for table in rows.iter(batch_rows(len(part), part.data.nbytes)):
            yield from table.select(names).to_batches()

    return plain_stream(part.features.arrow_schema, read)
