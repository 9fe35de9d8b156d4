"""A prepared data set with reworded copies of its training rows."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill import progress
from distill.augmentation.chunks import Chunks, Columns
from distill.augmentation.rewording import Augmenter
from distill.data import Rows
from distill.encoders import load_tokenizer
from distill.errors import UserError
from distill.files import read_json
from distill.prepared import UNLABELLED, Dataset, example_id, write_description, write_split
from distill.tokenization import encode

Array = np.ndarray[Any, np.dtype[Any]]
PER_ROW = ("sequence-classification", "regression")
"""Tasks of one answer a row: replaced words leave no tag or span astray."""
CHUNK = 2048
"""Rows reworded at once, so that memory stays flat."""


def write_augmented(
    folder: Path, dataset: Dataset, augmenter: Augmenter, chunks: Chunks, limit: int | None = None
) -> dict[str, Any]:
    """Write a data set's training rows as they are, and after them copies with other words, as transfer rows: without a label.

    In a copy of a pair both texts are reworded, each on its own. Copies that are, once they are tokenized, a row of any split or
    another copy are dropped. All other files are copied byte by byte.

    Args:
        folder: data/prepared/NAME, empty.
        dataset: What is reworded.
        augmenter: How.
        chunks: What an earlier run has finished, and where this one keeps what it finishes.
        limit: The most rows that are reworded, a sample by the augmenter's seed.

    Returns:
        What dataset.json says; `splits.train.counts` tells how many rows were reworded, and their copies.

    Raises:
        UserError: the task is not one of PER_ROW.
    """
    if dataset.task not in PER_ROW:
        raise UserError(f"{dataset.folder}: is for {dataset.task}, expected {' or '.join(PER_ROW)}; words of others have labels")
    rewritten = shutil.ignore_patterns("dataset.json", "train.arrow")
    shutil.copytree(dataset.folder, folder, ignore=rewritten, copy_function=shutil.copyfile, dirs_exist_ok=True)
    given, keys = read_texts(dataset), dataset.rows("train").ids
    chosen = np.sort(np.random.default_rng(augmenter.seed).permutation(len(keys))[:limit])
    copies, ids = _copies(dataset, given, keys, chosen, augmenter, chunks)
    description: dict[str, Any] = read_json(dataset.folder / "dataset.json", "a prepared data set")
    train = _write_train(folder / "train.arrow", dataset, given, copies, ids, description["splits"]["train"])
    dropped = len(chosen) * augmenter.copies - len(copies)
    train["counts"] = {"reworded_rows": len(chosen), "copies": len(copies), "dropped_copies": dropped}
    description["splits"]["train"] = train
    write_description(folder, {key: value for key, value in description.items() if key not in ("format", "version")})
    return description


def read_texts(dataset: Dataset) -> Rows:
    """The training rows of a prepared data set as text."""
    table = pa.ipc.open_file(pa.memory_map(str(dataset.folder / "train.arrow"))).read_all()
    texts = {name: table.column(name).to_pylist() for name in ("text", "text_pair") if name in table.column_names}
    labels = dataset.rows("train").labels
    return Rows(texts["text"], texts.get("text_pair"), labels, np.arange(len(labels)))


def _copies(
    dataset: Dataset, given: Rows, keys: Array, chosen: Array, augmenter: Augmenter, chunks: Chunks
) -> tuple[Rows, list[bytes]]:
    """The copies that are like no other row, those of one row beside one another, and their example ids."""
    own = dataset.folder / "seen_tokenizer"
    tokenizer = load_tokenizer(own if own.exists() else dataset.folder / "tokenizer")
    known = dict.fromkeys(key.tobytes() for split in dataset.splits for key in dataset.rows(split).ids)
    before = len(known)
    texts: list[str] = []
    pairs: list[str] = []
    with progress.bar(title="words refilled", unit="word") as bar:
        for start in range(0, len(chosen), CHUNK):
            part = chosen[start : start + CHUNK]
            made = _reword(given.take(part), [int.from_bytes(keys[i].tobytes()) for i in part], augmenter, chunks, bar.update)
            kept = made.take(_unlike(tokenizer, made, dataset.seen_max_length, known))
            texts += kept.texts
            pairs += kept.texts_pair or []
    labels = np.full(len(texts), np.nan if given.labels.dtype.kind == "f" else UNLABELLED, given.labels.dtype)
    copies = Rows(texts, None if given.texts_pair is None else pairs, labels, np.arange(len(texts)))
    return copies, list(known)[before:]


def _reword(rows: Rows, keys: list[int], augmenter: Augmenter, chunks: Chunks, advance: Callable[[int], object]) -> Rows:
    """All copies of rows."""

    def reword() -> Columns:
        columns = [rows.texts] + ([] if rows.texts_pair is None else [rows.texts_pair])
        return [list(chain(*augmenter.reword(texts, keys, part, advance))) for part, texts in enumerate(columns)]

    made = chunks.finish(rows, keys, reword)
    again = rows.take(np.repeat(np.arange(len(rows)), augmenter.copies))
    return replace(again, texts=made[0], texts_pair=made[1] if len(made) > 1 else None)


def _unlike(tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int, known: dict[bytes, None]) -> Array:
    """The rows whose example id is not known yet, which it is from now on."""
    columns = encode(tokenizer, rows.texts, rows.texts_pair, max_length, "copies").columns
    types = columns.get("token_type_ids")
    kept = []
    for row, tokens in enumerate(columns["input_ids"]):
        key = example_id(tokens, types[row] if types else None)
        if key not in known:
            known[key] = None
            kept.append(row)
    return np.array(kept, np.int64)


def _write_train(
    path: Path, dataset: Dataset, given: Rows, copies: Rows, ids: list[bytes], before: dict[str, Any]
) -> dict[str, Any]:
    """Write all training rows; what dataset.json says of them."""
    encoded = encode(load_tokenizer(dataset.folder / "tokenizer"), copies.texts, copies.texts_pair, dataset.max_length, "copies")
    rows = dataset.rows("train")
    columns = {
        name: [*np.split(values, rows.offsets[1:-1]), *encoded.columns.get(name, [])]
        for name, values in (("input_ids", rows.tokens), ("token_type_ids", rows.token_types))
        if values is not None
    }
    texts = {"text": given.texts + copies.texts}
    if given.texts_pair is not None:
        texts["text_pair"] = given.texts_pair + (copies.texts_pair or [])
    every = [key.tobytes() for key in rows.ids] + ids
    return {
        **before,
        "rows": len(every),
        "transfer_rows": before["transfer_rows"] + len(copies),
        "tokens": before["tokens"] + int(encoded.lengths.sum()),
        "truncated_rows": before["truncated_rows"] + encoded.truncated_rows,
        "truncated_tokens": before["truncated_tokens"] + encoded.truncated_tokens,
        "fingerprint": write_split(path, columns, np.concatenate([given.labels, copies.labels]), texts, every),
    }
