"""What preparing data means for each task: how raw tables become rows, how splits are cut, how rows become tokens."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.columns import Column
from distill.data.dataset import UNLABELLED
from distill.data.rows import Rows
from distill.data.tokenizers import Encoded, encode
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS
from distill.preparation.columns import column_of, map_corpus, map_sentences, map_texts, map_words
from distill.preparation.documents import Packer, encode_conversations, map_documents, packer_of, texts_of
from distill.preparation.keys import keys_of, with_keys
from distill.preparation.masking import encode_corpus
from distill.preparation.multi_label import map_several
from distill.preparation.normalization import normalized
from distill.preparation.numbering import Named, number_classes, number_label_sets, number_scores, number_tags
from distill.preparation.questions import map_questions
from distill.preparation.rankings import encode_rankings, map_rankings, number_relevance
from distill.preparation.spans import map_spans
from distill.preparation.splits import Grouped
from distill.preparation.token_rows import encode_token_rows, map_token_rows
from distill.preparation.windows import encode_questions
from distill.preparation.word_labels import encode_words


@dataclass(frozen=True)
class Preparer:
    """What a task does to prepare data."""

    read: Callable[[pa.Table, str, DatasetSettings], Rows]
    """(raw split, what to call it in errors, settings) → rows with the labels that the table has"""
    number: Callable[[dict[str, Rows], Mapping[str, pa.Table], str, DatasetSettings], Named]
    """(such rows, raw splits, what to call the source in errors, settings) → rows with the labels of `Rows`"""
    grouped: Grouped
    """Rows to a key each; those with the same one are never in two splits that are cut here."""
    encode: Callable[[PreTrainedTokenizerBase, Rows, DatasetSettings, str], Encoded]
    """(tokenizer, some rows, settings, split) → tokens"""
    kept: Callable[[Rows], dict[str, Column]]
    """Columns of text that are kept for other tools."""
    compared: Callable[[Rows], Column]
    """A text a row, to find duplicates by."""
    packer: Callable[[PreTrainedTokenizerBase, DatasetSettings], Packer | None] = lambda *_: None
    """(tokenizer, settings) → what puts rows together into others, in place of `encode`; None where a row is a row."""


def _encode_texts(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    return encode(tokenizer, rows.texts, rows.texts_pair, settings.max_length)


def _encode_words(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    return encode_words(tokenizer, rows, settings.max_length)


def _encode_questions(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    return encode_questions(tokenizer, rows, settings.max_length, settings.stride)


def _map_words(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    return (map_words if settings.columns.spans is None else map_spans)(table, where, settings)


def _map_causal(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    return (map_documents if settings.columns.input_ids is None else map_token_rows)(table, where, settings)


def _encode_causal(tokenizer: PreTrainedTokenizerBase, rows: Rows, settings: DatasetSettings, split: str) -> Encoded:
    encode_rows = encode_conversations if settings.columns.input_ids is None else encode_token_rows
    return encode_rows(tokenizer, rows, settings, split)


def _texts(rows: Rows) -> dict[str, Column]:
    return {"text": rows.texts} | ({"text_pair": rows.texts_pair} if rows.texts_pair is not None else {})


def _joined_texts(rows: Rows) -> Column:
    return Column.of_tuples(list(_texts(rows).values())).map(" ".join)


def _questions_and_hashes(rows: Rows) -> Column:
    """Contexts are long and shared by many questions: a hash of each, normalized, is enough."""
    pairs = Column.of_tuples([rows.texts, rows.texts_pair])
    return pairs.map(lambda pair: f"{pair[0]} {hashlib.sha256(normalized(pair[1]).encode()).hexdigest()[:16]}")


def _joined_words(rows: Rows) -> Column:
    joined: Column = rows.texts.map(" ".join)
    return joined


def _joined_sentences(rows: Rows) -> Column:
    if rows.texts_pair is None:
        return _alone(rows)
    return Column.of_tuples([rows.texts, rows.texts_pair]).map(lambda pair: " ".join(text for text in pair if text is not None))


def _number_pairs(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """Scores of pairs; a single text has none, and a split of single texts need not have the columns of pairs."""
    train = settings.splits.train
    for key in sorted({"text_pair", "label"} & settings.columns.model_fields_set):
        name = getattr(settings.columns, key)
        if name is not None and not any(name in table.column_names for table in tables.values()):
            column_of(tables[train], f"{where}: {train}", name, key)
    try:
        numbered, _ = number_scores(rows, tables, where, settings)
    except UserError as error:
        raise UserError(f"{error}; where labels are no scores of pairs: columns.label: null") from None
    for split, part in numbered.items():
        single = np.ones(len(part), bool) if part.texts_pair is None else ~part.texts_pair.present
        alone = np.flatnonzero(single & part.labelled)
        if len(alone):
            row = part.numbers[alone[0]]
            raise UserError(f"{where}: {split}: row {row}: has a score and no second text; give columns.text_pair, or no score")
    return numbered, ()


def _alone(rows: Rows) -> Column:
    texts: Column = rows.texts
    return texts


def _same(compared: Callable[[Rows], Column]) -> Grouped:
    def grouped(rows: Rows) -> tuple[Rows, Array]:
        made = with_keys(rows, compared(rows))
        return made, np.asarray(made.keys)

    return grouped


PREPARERS = {
    "sequence-classification": Preparer(map_texts, number_classes, _same(_joined_texts), _encode_texts, _texts, _joined_texts),
    "multi-label": Preparer(map_several, number_label_sets, _same(_joined_texts), _encode_texts, _texts, _joined_texts),
    "regression": Preparer(map_texts, number_scores, _same(_joined_texts), _encode_texts, _texts, _joined_texts),
    "token-classification": Preparer(
        _map_words, number_tags, _same(_joined_words), _encode_words, lambda rows: {"words": _alone(rows)}, _joined_words
    ),
    "question-answering": Preparer(
        map_questions,
        lambda rows, *_: (rows, ("start", "end")),
        lambda rows: (rows, keys_of(map(normalized, rows.texts_pair or ()), len(rows))),
        _encode_questions,
        lambda rows: {},
        _questions_and_hashes,
    ),
    "masked-lm": Preparer(
        map_corpus,
        lambda rows, *_: (rows, ()),
        _same(_alone),
        encode_corpus,
        lambda rows: {},
        _alone,
    ),
    "sentence-embedding": Preparer(
        map_sentences, _number_pairs, _same(_joined_sentences), _encode_texts, _texts, _joined_sentences
    ),
    "ranking": Preparer(map_rankings, number_relevance, _same(_alone), encode_rankings, _texts, _alone),
    "causal-lm": Preparer(
        _map_causal,
        lambda rows, *_: (rows, ()),
        _same(texts_of),
        _encode_causal,
        lambda rows: {},
        texts_of,
        packer_of,
    ),
}


def rows_a_label(task: str, labels: Any, names: Sequence[str]) -> dict[str, int]:
    """How often each class, or each tag, is a label; and for windows, how many hold an answer."""
    if TASK_SPECS[task].windows:
        return {"answer": int((labels[:, 1] > 0).sum()), "no answer": int((labels[:, 1] == 0).sum())}
    if not TASK_SPECS[task].names_labels:
        return {}
    if task == "multi-label":
        return dict(zip(names, (labels == 1).sum(axis=0).tolist(), strict=True))
    flat = np.concatenate([np.empty(0, np.int64), *labels]) if isinstance(labels, list) else labels
    counts = np.bincount(flat[flat != UNLABELLED], minlength=len(names))
    return {name: int(counts[i]) for i, name in enumerate(names)}
