"""A prepared data set with reworded copies of its training rows."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.augmentation.augmenter import Augmenter
from distill.core import progress
from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import read_json, sha256, to_json, write_text
from distill.data.dataset import Dataset, example_ids, write_description
from distill.data.rows import Rows
from distill.data.tokenizers import encode, load_tokenizer
from distill.data.writing import SplitWriter
from distill.params.augmentations import AugmentationSettings
from distill.params.task_specs import REWORDED

CHUNK = 2048
"""Rows reworded at once, so that memory stays flat; what is finished is kept, so that a run that was stopped goes on."""

Columns = list[list[str]]
"""The copies of all rows, those of one row beside one another: of their texts, and of the second texts of pairs."""


@dataclass(frozen=True)
class Chunks:
    """Where finished chunks wait for the others."""

    folder: Path
    key: str
    """What made them, so that what others made is never taken."""

    def finish(self, rows: Rows, keys: list[int], reword: Callable[[], Columns]) -> Columns:
        """What was kept of these rows; else reword them and keep that."""
        asked = json.dumps([self.key, keys, rows.texts.tolist(), _texts(rows).get("text_pair")])
        path = self.folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
        if path.exists():
            kept: Columns = read_json(path, "reworded rows")
            return kept
        made = reword()
        write_text(path, to_json(made))
        return made


def chunks_key(masked_lm: Path, settings: AugmentationSettings, max_length: int) -> str:
    """A hash of all that decides what copies of a text there are: settings, model (data/teachers/NAME) and word vectors."""
    files = sorted(file for file in masked_lm.iterdir() if file.is_file())
    files += [Path(settings.vectors)] if settings.vectors is not None else []
    parts = [settings.model_dump_json(), str(max_length), *(sha256(file) for file in files)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def write_augmented(
    folder: Path, dataset: Dataset, augmenter: Augmenter, chunks: Chunks, limit: int | None = None
) -> dict[str, Any]:
    """Write a data set's training rows as they are, and after them copies with other words, as transfer rows: without a label.

    In a copy of a pair both texts are reworded, each by itself. Copies that are, once they are tokenized, a row of any split or
    another copy are dropped. All other files are copied byte by byte. At most `limit` rows are reworded, a sample by the
    augmenter's seed; `chunks` has what an earlier run has finished. Returns what dataset.json says; `splits.train.counts` tells
    how many rows were reworded, and their copies.
    """
    if dataset.task not in REWORDED:
        why = "reworded, a query is another one" if dataset.spec.groups else "words of others have labels"
        raise UserError(f"{dataset.folder}: is for {dataset.task}, expected one of: {', '.join(REWORDED)}; {why}")
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
    texts = dataset.texts("train")
    labels = dataset.rows("train").labels
    return Rows(texts["text"], texts.get("text_pair"), labels, np.arange(len(labels)))


def _copies(
    dataset: Dataset, given: Rows, keys: Array, chosen: Array, augmenter: Augmenter, chunks: Chunks
) -> tuple[Rows, list[bytes]]:
    """The copies that are like no other row, those of one row beside one another, and their example ids."""
    seen = dataset.folder / "seen_tokenizer"
    tokenizer = load_tokenizer(seen if seen.exists() else dataset.folder / "tokenizer")
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
    labels = given.unlabelled(len(texts))
    copies = Rows(texts, None if given.texts_pair is None else pairs, labels, np.arange(len(texts)))
    return copies, list(known)[before:]


def _reword(rows: Rows, keys: list[int], augmenter: Augmenter, chunks: Chunks, advance: Callable[[int], object]) -> Rows:
    """All copies of rows."""

    def reword() -> Columns:
        columns = enumerate(_texts(rows).values())
        return [list(chain(*augmenter.reword(texts, keys, part, advance))) for part, texts in columns]

    made = chunks.finish(rows, keys, reword)
    again = rows.take(np.repeat(np.arange(len(rows)), augmenter.copies))
    return replace(again, texts=made[0], texts_pair=made[1] if len(made) > 1 else None)


def _unlike(tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int, known: dict[bytes, None]) -> Array:
    """The rows whose example id is not known yet, which it is from now on."""
    kept = []
    for row, key in enumerate(example_ids(encode(tokenizer, rows.texts, rows.texts_pair, max_length).columns)):
        if key not in known:
            known[key] = None
            kept.append(row)
    return np.array(kept, np.int64)


def _write_train(
    path: Path, dataset: Dataset, given: Rows, copies: Rows, ids: list[bytes], before: dict[str, Any]
) -> dict[str, Any]:
    """Write all training rows; what dataset.json says of them."""
    tokenizer, rows, told = load_tokenizer(dataset.folder / "tokenizer"), dataset.rows("train"), Counter(before)
    with closing(SplitWriter(path)) as file:
        for places in given.parts():
            old, part = rows.take(np.arange(places.start, places.stop)), given.part(places)
            sources = {"input_ids": old.tokens, "token_type_ids": old.token_types}
            columns = {name: np.split(values, old.offsets[1:-1]) for name, values in sources.items() if values is not None}
            file.add(columns, part.labels, _texts(part), [key.tobytes() for key in old.ids])
        for places in copies.parts():
            part = copies.part(places)
            encoded = encode(tokenizer, part.texts, part.texts_pair, dataset.max_length)
            file.add(encoded.columns, part.labels, _texts(part), ids[places])
            told.update(
                rows=len(part),
                transfer_rows=len(part),
                tokens=int(encoded.lengths.sum()),
                truncated_rows=encoded.truncated_rows,
                truncated_tokens=encoded.truncated_tokens,
            )
        return {**told, "fingerprint": file.finish()}


def _texts(rows: Rows) -> dict[str, list[str]]:
    columns = {"text": rows.texts, "text_pair": rows.texts_pair}
    return {name: column.tolist() for name, column in columns.items() if column is not None}
