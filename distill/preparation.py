"""Raw splits into a prepared data set: labels numbered, splits cut, rows tokenized, duplicates reported."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.data import (
    SPLITS,
    Rows,
    class_names,
    cut_splits,
    label_names,
    limit_rows,
    map_columns,
    number_labels,
    require_labels,
    require_split,
)
from distill.duplicates import across_splits
from distill.encoders import tokenizer_fingerprint
from distill.prepared import UNLABELLED, write_description, write_split
from distill.tokenization import encode


def make_rows(
    tables: Mapping[str, pa.Table],
    where: str,
    columns: Mapping[str, str | None],
    labels: Sequence[str] | None,
    splits: Mapping[str, str | float | None],
    limits: Mapping[str, int | None],
    seed: int,
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """Splits of rows, and the label names in order.

    Args:
        tables: The raw splits by name.
        where: Names the source in errors.
        columns: `text`, `text_pair`, `label`, `id`: names of raw columns.
        labels: The label names, if they are given.
        splits: For `train`, `validation`, `test`: a raw split's name, a fraction of the training rows, or None.
        limits: The most rows of each split.
        seed: Of cutting and sampling.

    Raises:
        UserError: what is wrong with the data, with the split and the row.
    """
    train = str(splits["train"])
    require_split(tables, "train", train)
    wanted = {name for name in splits.values() if isinstance(name, str)} | set(SPLITS)
    label = str(columns["label"])
    mapped = {
        split: map_columns(table, f"{where}: {split}", str(columns["text"]), columns["text_pair"], label, columns["id"])
        for split, table in tables.items()
        if split in wanted
    }
    carried = class_names(tables[train], label)
    names = label_names(mapped[train][2], carried, labels)
    rows = {
        split: Rows(texts, pairs, number_labels(raw, names, f"{where}: {split}", carried), np.arange(len(texts)))
        for split, (texts, pairs, raw) in mapped.items()
    }
    cut = cut_splits(rows, splits, seed)
    for split in SPLITS[1:]:
        require_labels(cut[split], f"{where}: {split}")
    return {split: limit_rows(part, limits[split], seed) for split, part in cut.items()}, names


def write_dataset(
    folder: Path,
    rows: Mapping[str, Rows],
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    task: str,
    metric: str,
    max_length: int,
    near_duplicate: float,
) -> dict[str, Any]:
    """Tokenize the splits and write a prepared data set.

    Returns:
        What dataset.json says.
    """
    described = {split: _write_split(folder / f"{split}.arrow", rows[split], labels, tokenizer, max_length) for split in rows}
    tokenizer.save_pretrained(folder / "tokenizer")
    description = {
        "task": task,
        "labels": list(labels),
        "metric": metric,
        "max_length": max_length,
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "vocabulary": len(tokenizer),
        "pad_token": tokenizer.pad_token_id,
        "splits": described,
        "duplicates": across_splits({split: _whole_texts(part) for split, part in rows.items()}, near_duplicate),
    }
    write_description(folder, description)
    return description


def _write_split(
    path: Path, rows: Rows, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, Any]:
    encoded = encode(tokenizer, rows.texts, rows.texts_pair, max_length, path.stem)
    texts = {"text": rows.texts} | ({"text_pair": rows.texts_pair} if rows.texts_pair is not None else {})
    return {
        "rows": len(rows),
        "transfer_rows": int((rows.labels == UNLABELLED).sum()),
        "rows_a_label": {name: int((rows.labels == i).sum()) for i, name in enumerate(labels)},
        "tokens": int(encoded.lengths.sum()),
        "truncated_rows": encoded.truncated_rows,
        "truncated_tokens": encoded.truncated_tokens,
        "fingerprint": write_split(path, encoded.columns, rows.labels, texts),
    }


def _whole_texts(rows: Rows) -> list[str]:
    """A text a row; pairs are joined."""
    if rows.texts_pair is None:
        return rows.texts
    return [" ".join(pair) for pair in zip(rows.texts, rows.texts_pair, strict=True)]
