"""Raw rows: of the Hugging Face hub, and of local Parquet, CSV, TSV, JSON lines and text files."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from distill.core.errors import UserError
from distill.core.locations import first_line, from_hub

TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".json")


def read_local(path: Path, encoding: str) -> dict[str, pa.Table]:
    """Splits of a local file or folder.

    A file is the split `train`. A folder holds either one Parquet, CSV, TSV or JSONL file a split (`train.csv`,
    `test-00000-of-00002.parquet`), or text files: in class folders (columns `text`, `label`), in such folders a split, or
    on their own (column `text`).
    """
    if path.is_file():
        return {"train": read_table(path, encoding)}
    files = sorted(file for file in path.iterdir() if file.suffix in TABLE_SUFFIXES)
    if files:
        groups = itertools.groupby(files, key=lambda file: file.stem.partition("-")[0])
        return {split: _joined(path / split, [read_table(file, encoding) for file in group]) for split, group in groups}
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and not folder.name.startswith(("_", "."))]
    by_split = {folder.name: _text_rows(folder, encoding) for folder in folders if any(folder.glob("*/*.txt"))}
    if by_split:
        return by_split
    rows = _text_rows(path, encoding)
    if rows.num_rows == 0:
        raise UserError(f"{path}: nothing to read; expected {', '.join(TABLE_SUFFIXES)} or .txt files, or class folders of .txt")
    return {"train": rows}


def read_table(path: Path, encoding: str = "utf-8") -> pa.Table:
    """One Parquet, CSV, TSV or JSONL file."""
    try:
        match path.suffix:
            case ".parquet":
                return pa.parquet.read_table(path)
            case ".csv" | ".tsv":
                return pa.csv.read_csv(
                    _utf8(path, encoding),
                    read_options=pa.csv.ReadOptions(use_threads=False),  # as it exits, a process with such threads may abort
                    parse_options=pa.csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True),
                )
            case ".jsonl" | ".json":
                return pa.json.read_json(_utf8(path, encoding), read_options=pa.json.ReadOptions(use_threads=False))
    except pa.ArrowException as error:
        raise UserError(f"{path}: broken {path.suffix[1:]} file: {' '.join(str(error).split())[:200]}") from None
    raise UserError(f"{path}: cannot read '{path.suffix}' files; expected {', '.join(TABLE_SUFFIXES)}")


def _joined(where: Path, shards: list[pa.Table]) -> pa.Table:
    try:
        return pa.concat_tables(shards)
    except pa.ArrowInvalid as error:
        raise UserError(f"{where}-*: its files have different columns: {' '.join(str(error).split())[:200]}") from None


def _text_rows(folder: Path, encoding: str) -> pa.Table:
    labelled = sorted(folder.glob("*/*.txt"))
    files: Iterable[Path] = labelled or sorted(folder.glob("*.txt"))
    columns: dict[str, list[Any]] = {"text": [_read_text(file, encoding).strip() for file in files]}
    if labelled:
        columns["label"] = [file.parent.name for file in labelled]
    return pa.table(columns)


def _read_text(file: Path, encoding: str) -> str:
    try:
        return file.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not {encoding} (byte {error.start}); set the source's `encoding`, say latin-1") from None
    except LookupError:
        raise UserError(f"{file}: the source's `encoding` is '{encoding}', which is unknown; say utf-8 or latin-1") from None


def _utf8(file: Path, encoding: str) -> pa.BufferReader:
    """A text file as Arrow's parsers take it; left to them, bytes that are no UTF-8 would pass as binary columns."""
    return pa.BufferReader(_read_text(file, encoding).encode())


def fetch_hub(name: str, config: str | None, revision: str | None) -> dict[str, pa.Table]:
    """Every split of a data set of the Hugging Face hub, class label names in its schema's metadata."""
    import datasets

    what = f"data set '{name}'" + (f", config '{config}'" if config else "")
    try:
        loaded = from_hub(what, lambda: datasets.load_dataset(name, config, revision=revision))
    except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise UserError(f"hub: {what} cannot be used: {first_line(error.__cause__ or error)}") from None
    return {str(split): part.with_format("arrow")[:] for split, part in loaded.items()}


def write_tables(tables: dict[str, pa.Table], folder: Path) -> int:
    """Write a Parquet file a split; returns the number of rows in all."""
    rows = sum(int(table.num_rows) for table in tables.values())
    if rows == 0:
        raise UserError(f"{folder.name}: the source has no rows")
    for split, table in tables.items():
        pa.parquet.write_table(table, folder / f"{split}.parquet")
    return rows
