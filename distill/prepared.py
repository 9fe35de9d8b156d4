"""data/prepared/NAME/: tokenized rows, and what they mean.

    dataset.json                 task, labels, metric, max_length, fingerprints, counts, duplicates
    tokenizer/                   the tokenizer that made the rows
    train.arrow, validation.arrow, test.arrow    Arrow IPC, memory-mapped, one row an example

Columns: `example_id` (16 bytes: a hash of what the teacher sees), `input_ids` (list of int32), `token_type_ids` (list of
int8, pairs only), `label` (int64, −100 for none), `text`, `text_pair` (pairs only).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distill.errors import UserError
from distill.files import read_json, to_json, write_text

FORMAT = "distill/prepared"
VERSION = 1
ID_BYTES = 16
UNLABELLED = -100
"""The label of a transfer row; the index that torch's cross-entropy ignores."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Dataset:
    """What dataset.json says."""

    folder: Path
    task: str
    labels: tuple[str, ...]
    metric: str
    max_length: int
    tokenizer: str
    """Fingerprint of the tokenizer."""
    vocabulary: int
    """How many token ids the tokenizer makes."""
    pad_token: int
    """The id that pads a batch."""
    splits: dict[str, dict[str, Any]]

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """Read a prepared data set's description.

        Raises:
            UserError: it is missing, damaged, or of another version.
        """
        content = read_json(folder / "dataset.json", "a prepared data set")
        found = (content.get("format"), content.get("version")) if isinstance(content, dict) else (None, None)
        if found != (FORMAT, VERSION):
            raise UserError(
                f"{folder}/dataset.json: is {found[0]} version {found[1]}, expected {FORMAT} version {VERSION}; "
                f"run `dvc repro prepare@{folder.name}`"
            )
        keys = ("task", "labels", "metric", "max_length", "tokenizer", "vocabulary", "pad_token", "splits")
        missing = [key for key in keys if key not in content]
        if missing:
            raise UserError(f"{folder}/dataset.json: lacks '{missing[0]}'; run `dvc repro prepare@{folder.name}`")
        return cls(folder=folder, **{key: content[key] for key in keys} | {"labels": tuple(content["labels"])})

    def rows(self, split: str) -> "PreparedRows":
        """Map the rows of a split into memory."""
        return PreparedRows.open(self.folder / f"{split}.arrow", self.pad_token)


@dataclass(frozen=True)
class PreparedRows:
    """The rows of one split, as views of the memory-mapped file. Never write to them."""

    ids: Array
    """(rows, 16) uint8"""
    tokens: Array
    """(all tokens,) int32"""
    offsets: Array
    """(rows + 1,) int64: row i is tokens[offsets[i]:offsets[i + 1]]"""
    token_types: Array | None
    """(all tokens,) int8"""
    labels: Array
    """(rows,) int64"""
    pad_token: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Array:
        """Tokens a row, (rows,) int64."""
        return np.diff(self.offsets)

    @classmethod
    def open(cls, path: Path, pad_token: int = 0) -> "PreparedRows":
        """Map a file; a file of several record batches is joined in memory.

        Raises:
            UserError: it is missing or damaged.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: damaged or missing ({error}); run `dvc repro prepare@{path.parent.name}`") from None
        names = [name for name in table.column_names if name not in ("text", "text_pair")]
        if not {"example_id", "input_ids", "label"} <= set(names):
            raise UserError(f"{path}: has the columns {', '.join(names)}; run `dvc repro prepare@{path.parent.name}`")
        column = {name: table.column(name).combine_chunks() for name in names}
        ids = np.frombuffer(column["example_id"].buffers()[1], np.uint8)[: len(table) * ID_BYTES]
        types = column["token_type_ids"].values.to_numpy() if "token_type_ids" in column else None
        return cls(
            ids=ids.reshape(-1, ID_BYTES),
            tokens=column["input_ids"].values.to_numpy(),
            offsets=column["input_ids"].offsets.to_numpy().astype(np.int64),
            token_types=types,
            labels=column["label"].to_numpy(),
            pad_token=pad_token,
        )


def example_id(input_ids: Sequence[int], token_types: Sequence[int] | None) -> bytes:
    """A hash of what the teacher sees: equal rows, however they came about, have equal targets."""
    content = np.asarray(input_ids, "<i4").tobytes()
    if token_types is not None:
        content += b"|" + np.asarray(token_types, "<i1").tobytes()
    return hashlib.sha256(content).digest()[:ID_BYTES]


def write_split(path: Path, encoded: Mapping[str, list[Any]], labels: Array, texts: Mapping[str, list[str]]) -> str:
    """Write a split's rows.

    Args:
        path: The file.
        encoded: `input_ids`, and `token_type_ids` for pairs: a list a row.
        labels: (rows,) int64
        texts: `text`, and `text_pair` for pairs.

    Returns:
        The split's fingerprint: SHA-256 over its example ids in order.
    """
    types = encoded.get("token_type_ids")
    ids = [example_id(row, types[i] if types else None) for i, row in enumerate(encoded["input_ids"])]
    columns: dict[str, pa.Array] = {
        "example_id": pa.array(ids, pa.binary(ID_BYTES)),
        "input_ids": pa.array(encoded["input_ids"], pa.list_(pa.int32())),
    }
    if types:
        columns["token_type_ids"] = pa.array(types, pa.list_(pa.int8()))
    columns["label"] = pa.array(labels, pa.int64())
    columns |= {name: pa.array(values, pa.string()) for name, values in texts.items()}
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2**31 - 1)
    return hashlib.sha256(b"".join(ids)).hexdigest()


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write dataset.json."""
    write_text(folder / "dataset.json", to_json({"format": FORMAT, "version": VERSION, **description}))
