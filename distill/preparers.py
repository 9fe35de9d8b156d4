"""What preparing data means for each task: how raw tables become rows, how splits are cut, how rows become tokens."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.alignment import encode_words
from distill.data import Rows, map_columns, map_corpus, map_ids, map_questions, map_words
from distill.labels import class_names, label_names, number_labels, number_scores, number_tags, tag_names
from distill.masking import encode_corpus
from distill.prepared import UNLABELLED
from distill.splits import Cut, at_random, by_context, stratified
from distill.tokenization import Encoded, encode
from distill.windows import encode_questions


@dataclass(frozen=True)
class Raw:
    """Raw splits, and which column plays which part."""

    tables: Mapping[str, pa.Table]
    where: str
    """Names the source in errors."""
    train: str
    """The split that labels are known by."""
    columns: Mapping[str, str | None]
    labels: Sequence[str] | None
    """Label names, if they are given."""
    drop_empty: bool = False
    """Whether rows with an empty text are dropped, not refused."""

    def each(self) -> list[tuple[str, pa.Table, str]]:
        """Split, table, and what to call it in errors."""
        return [(split, table, f"{self.where}: {split}") for split, table in self.tables.items()]

    def name(self, part: str) -> str:
        """The column of a part that every row has."""
        return str(self.columns.get(part) or part)


@dataclass(frozen=True)
class Encoding:
    """How rows become tokens."""

    max_length: int
    stride: int | None = None
    maskings: int = 1
    mask_probability: float = 0.15
    seed: int = 1


@dataclass(frozen=True)
class Preparer:
    """A task's own part of preparing data."""

    read: Callable[[Raw], tuple[dict[str, Rows], tuple[str, ...]]]
    """Rows by split, and the label names in order; a UserError names the split and the row."""
    cut: Cut
    encode: Callable[[PreTrainedTokenizerBase, Rows, Encoding, str], Encoded]
    """(tokenizer, rows, settings, split) → tokens"""
    kept: Callable[[Rows], dict[str, list[Any]]]
    """Columns of text that are kept for other tools."""
    compared: Callable[[Rows], list[str]]
    """A text a row, to find duplicates by."""


def _read_classes(raw: Raw) -> tuple[dict[str, Rows], tuple[str, ...]]:
    mapped = _read_pairs(raw)
    carried = class_names(raw.tables[raw.train], raw.name("label"))
    names = label_names(mapped[raw.train][2], carried, raw.labels)
    rows = {
        split: _rows(texts, pairs, number_labels(labels, names, f"{raw.where}: {split}", carried))
        for split, (texts, pairs, labels) in mapped.items()
    }
    return _filled(raw, rows), names


def _read_scores(raw: Raw) -> tuple[dict[str, Rows], tuple[str, ...]]:
    rows = {
        split: _rows(texts, pairs, number_scores(labels, f"{raw.where}: {split}"))
        for split, (texts, pairs, labels) in _read_pairs(raw).items()
    }
    return _filled(raw, rows), ("score",)


def _read_pairs(raw: Raw) -> dict[str, tuple[list[str], list[str] | None, list[Any]]]:
    parts = (raw.name("text"), raw.columns.get("text_pair"), raw.name("label"), raw.columns.get("id"))
    return {split: map_columns(table, where, *parts, raw.drop_empty) for split, table, where in raw.each()}


def _filled(raw: Raw, rows: dict[str, Rows]) -> dict[str, Rows]:
    return {split: part.without_empty() for split, part in rows.items()} if raw.drop_empty else rows


def _read_words(raw: Raw) -> tuple[dict[str, Rows], tuple[str, ...]]:
    mapped = {}
    for split, table, where in raw.each():
        map_ids(table, where, raw.columns.get("id"))
        mapped[split] = map_words(table, where, raw.name("tokens"), raw.name("tags"))
    carried = class_names(raw.tables[raw.train], raw.name("tags"))
    names = tag_names(mapped[raw.train][1], carried, raw.labels)
    rows = {
        split: _rows(words, None, number_tags(tags, names, f"{raw.where}: {split}", carried))
        for split, (words, tags) in mapped.items()
    }
    return rows, names


def _read_questions(raw: Raw) -> tuple[dict[str, Rows], tuple[str, ...]]:
    rows = {}
    for split, table, where in raw.each():
        parts = map_questions(table, where, raw.name("question"), raw.name("context"), raw.name("answers"))
        rows[split] = _rows(*parts, ids=map_ids(table, where, raw.columns.get("id")))
    return rows, ("start", "end")


def _read_corpus(raw: Raw) -> tuple[dict[str, Rows], tuple[str, ...]]:
    rows = {}
    for split, table, where in raw.each():
        map_ids(table, where, raw.columns.get("id"))
        texts = map_corpus(table, where, raw.name("text"))
        rows[split] = _rows(texts, None, np.zeros(len(texts), np.int64)).without_empty()
    return rows, ()


def _rows(texts: list[Any], pairs: list[str] | None, labels: Any, ids: list[str] | None = None) -> Rows:
    return Rows(texts, pairs, labels, np.arange(len(texts)), ids)


def _encode_texts(tokenizer: PreTrainedTokenizerBase, rows: Rows, how: Encoding, split: str) -> Encoded:
    return encode(tokenizer, rows.texts, rows.texts_pair, how.max_length, split)


def _encode_words(tokenizer: PreTrainedTokenizerBase, rows: Rows, how: Encoding, split: str) -> Encoded:
    return encode_words(tokenizer, rows.texts, rows.labels, how.max_length, split)


def _encode_questions(tokenizer: PreTrainedTokenizerBase, rows: Rows, how: Encoding, split: str) -> Encoded:
    return encode_questions(tokenizer, rows.texts, rows.texts_pair or [], rows.labels, how.max_length, how.stride, split)


def _encode_corpus(tokenizer: PreTrainedTokenizerBase, rows: Rows, how: Encoding, split: str) -> Encoded:
    maskings = how.maskings if split == "train" else 1
    return encode_corpus(tokenizer, rows.texts, how.max_length, maskings, how.mask_probability, how.seed, split)


def _texts(rows: Rows) -> dict[str, list[Any]]:
    return {"text": rows.texts} | ({"text_pair": rows.texts_pair} if rows.texts_pair is not None else {})


def _whole_texts(rows: Rows) -> list[str]:
    """Pairs are joined."""
    if rows.texts_pair is None:
        return rows.texts
    return [" ".join(pair) for pair in zip(rows.texts, rows.texts_pair, strict=True)]


def _questions_and_hashes(rows: Rows) -> list[str]:
    """Contexts are long and shared by many questions: a hash of each tells as much."""
    hashes = {context: hashlib.sha256(context.encode()).hexdigest()[:16] for context in rows.texts_pair or []}
    return [f"{question} {hashes[context]}" for question, context in zip(rows.texts, rows.texts_pair or [], strict=True)]


PREPARERS = {
    "sequence-classification": Preparer(_read_classes, stratified, _encode_texts, _texts, _whole_texts),
    "regression": Preparer(_read_scores, at_random, _encode_texts, _texts, _whole_texts),
    "token-classification": Preparer(
        _read_words,
        at_random,
        _encode_words,
        lambda rows: {"words": rows.texts},
        lambda rows: [" ".join(row) for row in rows.texts],
    ),
    "question-answering": Preparer(_read_questions, by_context, _encode_questions, lambda rows: {}, _questions_and_hashes),
    "masked-lm": Preparer(_read_corpus, at_random, _encode_corpus, lambda rows: {}, lambda rows: rows.texts),
}


def rows_a_label(task: str, labels: Any, names: Sequence[str]) -> dict[str, int]:
    """How often each class, or each tag, is a label; and for windows, how many hold an answer."""
    if task == "question-answering":
        return {"answer": int((labels[:, 1] > 0).sum()), "no answer": int((labels[:, 1] == 0).sum())}
    if task not in ("sequence-classification", "token-classification"):
        return {}
    flat = np.concatenate([np.empty(0, np.int64), *labels]) if isinstance(labels, list) else labels
    counts = np.bincount(flat[flat != UNLABELLED], minlength=len(names))
    return {name: int(counts[i]) for i, name in enumerate(names)}
