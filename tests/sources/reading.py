"""Files to be read, and what is read of them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from distill.sources.files import read_local
from distill.sources.streams import ReadOptions


def write(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def write_parquet(path: Path, rows: dict[str, Any]) -> Path:
    pa.parquet.write_table(pa.table(rows), path)
    return path


def read(path: Path, **options: Any) -> dict[str, dict[str, list[Any]]]:
    return {split: stream.table().to_pydict() for split, stream in read_local(path, ReadOptions(**options)).items()}


def rows_of(path: Path, **options: Any) -> list[tuple[Any, ...]]:
    """The rows of one file, without the names of its columns."""
    return list(zip(*read(path, **options)["train"].values(), strict=True))
