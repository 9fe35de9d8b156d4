"""What preparing data means for each task: how raw tables become rows, how splits are cut, how rows become tokens."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.data.dataset import UNLABELLED
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, encode
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS
from distill.preparation.columns import map_corpus, map_questions, map_texts, map_words
from distill.preparation.labels import class_names, label_names, number_labels, number_scores, number_tags, tag_names
from distill.preparation.masking import encode_corpus
from distill.preparation.splits import Cut, at_random, by_context, stratified
from distill.preparation.windows import encode_questions
from distill.preparation.word_labels import encode_words

Named = tuple[dict[str, Rows], tuple[str, ...]]
"""Rows by split, and the label names in order."""


@dataclass(frozen=True)
class Preparer:
    """What a task does to prepare data."""

    read: Callable[[pa.Table, str, DatasetSettings], Rows]
    """(raw split, what to call it in errors, settings) → rows with the labels that the table has"""
    number: Callable[[dict[str, Rows], Mapping[str, pa.Table], str, DatasetSettings], Named]
    """(such rows, raw splits, what to call the source in errors, settings) → rows with the labels of `Rows`"""
    cut: Cut
    encode: Callable[[PreTrainedTokenizerBase, Rows, DatasetSettings, str], Encoded]
    """(tokenizer, rows, settings, split) → tokens"""
    kept: Callable[[Rows], dict[str, list[Any]]]
    """Columns of text that are kept for other tools."""
    compared: Callable[[Rows], list[str]]
    """A text a row, to find duplicates by."""


def _number_by_name(part: str, names_of: Callable[..., tuple[str, ...]], number: Callable[..., Array]) -> Callable[..., Named]:
    """Number raw labels or tags by the names that the training split gives them."""

    def numbered(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
        train = settings.splits.train
        carried = class_names(tables[train], getattr(settings.columns, part))
        names = names_of(rows[train].labels, carried, settings.labels)
        labels = {split: number(raw.labels, names, f"{where}: {split}", carried) for split, raw in rows.items()}
        return {split: replace(raw, labels=labels[split]) for split, raw in rows.items()}, names

    return numbered


def _scores(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    labels = {split: number_scores(raw.labels, f"{where}: {split}") for split, raw in rows.items()}
    return {split: replace(raw, labels=labels[split]) for split, raw in rows.items()}, ("score",)


def _encode_texts(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    return encode(tokenizer, rows.texts, rows.texts_pair, settings.max_length, split)


def _texts(rows: Rows) -> dict[str, list[Any]]:
    return {"text": rows.texts} | ({"text_pair": rows.texts_pair} if rows.texts_pair is not None else {})


def _joined_texts(rows: Rows) -> list[str]:
    return [" ".join(texts) for texts in zip(*_texts(rows).values(), strict=True)]


def _questions_and_hashes(rows: Rows) -> list[str]:
    """Contexts are long and shared by many questions: a hash of each is enough."""
    hashes = {context: hashlib.sha256(context.encode()).hexdigest()[:16] for context in rows.texts_pair or []}
    return [f"{question} {hashes[context]}" for question, context in zip(rows.texts, rows.texts_pair or [], strict=True)]


_classes = _number_by_name("label", label_names, number_labels)
_tags = _number_by_name("tags", tag_names, number_tags)

PREPARERS = {
    "sequence-classification": Preparer(map_texts, _classes, stratified, _encode_texts, _texts, _joined_texts),
    "regression": Preparer(map_texts, _scores, at_random, _encode_texts, _texts, _joined_texts),
    "token-classification": Preparer(
        map_words,
        _tags,
        at_random,
        encode_words,
        lambda rows: {"words": rows.texts},
        lambda rows: [" ".join(row) for row in rows.texts],
    ),
    "question-answering": Preparer(
        map_questions,
        lambda rows, *_: (rows, ("start", "end")),
        by_context,
        encode_questions,
        lambda rows: {},
        _questions_and_hashes,
    ),
    "masked-lm": Preparer(
        map_corpus, lambda rows, *_: (rows, ()), at_random, encode_corpus, lambda rows: {}, lambda rows: rows.texts
    ),
}


def rows_a_label(task: str, labels: Any, names: Sequence[str]) -> dict[str, int]:
    """How often each class, or each tag, is a label; and for windows, how many hold an answer."""
    if TASK_SPECS[task].windows:
        return {"answer": int((labels[:, 1] > 0).sum()), "no answer": int((labels[:, 1] == 0).sum())}
    if not TASK_SPECS[task].names_labels:
        return {}
    flat = np.concatenate([np.empty(0, np.int64), *labels]) if isinstance(labels, list) else labels
    counts = np.bincount(flat[flat != UNLABELLED], minlength=len(names))
    return {name: int(counts[i]) for i, name in enumerate(names)}
