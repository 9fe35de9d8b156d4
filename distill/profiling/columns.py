"""Which column of raw rows is what, and so which task they are for, told from names and values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from distill.core.errors import UserError
from distill.core.validation import nearest
from distill.preparation.label_columns import LABELS, SPANS, TAGS
from distill.preparation.labels import shown
from distill.preparation.spans import read_spans
from distill.profiling import labels
from distill.profiling.likeness import are_decisions, is_prose, is_written, most, numbers
from distill.profiling.raw_rows import RawRows, are_prose, are_text, nearly_all
from distill.profiling.usual_names import DIALOGUES, PAIRS, TEXTS, TOKENS

INDEX = re.compile(r"|unnamed: ?\d+|index|idx|id|level_\d+|__index_level_\d+__|column 1")
"""Names of columns that number rows, in small letters: pandas writes several; a first one without a name is `column 1`."""
DIVIDES = ("split", "fold")
PARTS_OF_ALL = {"train", "training", "test", "testing", "dev", "val", "valid", "validation", "eval", "evaluation", "holdout"}

SCORES = ("score", "similarity")
"""Of pairs, what is a number to be predicted, whole or not."""

RECURS = 3
"""Texts that recur more often than so, on average, are names."""
OF_TEXTS = {"sequence-classification", "regression", "multi-label", "masked-lm", "sentence-embedding"}
"""Tasks that read the same columns: which of them is meant can be said."""


@dataclass(frozen=True)
class Columns:
    """A task, and the columns that it reads: the names by the parts of `columns` in params.yaml."""

    task: str
    parts: Mapping[str, str]
    unread: tuple[str, ...] = ()
    """Other columns that could have been read."""
    marks: tuple[str, ...] = ()
    """Multi-label: the columns of 0 and 1, one a label, in place of one of lists."""
    divides: str | None = None
    """A column that says which split a row is of, which nothing reads."""


def read_columns(table: pa.Table, given: Mapping[str, str], task: str | None = None) -> Columns:
    """Tell the task from some rows; `given` are columns by part, and `task` is the task, where the user says it.

    A UserError says what each column looks like where no task fits.
    """
    for part, name in given.items():
        if name not in table.column_names:
            raise UserError(f"--{part.replace('_', '-')}: no column '{name}'{nearest(name, table.column_names)}")
    twice = next((part for part, name in given.items() if [*given.values()].count(name) > 1), None)
    if twice is not None:
        raise UserError(f"--{twice.replace('_', '-')}: '{given[twice]}' is named for another part too; name another column")
    rows = RawRows({name: table[name].to_pylist() for name in table.column_names})
    divides = next((name for name in rows.values if name not in given.values() and _divides(name, rows.present(name))), None)
    values = {name: rows.present(name) for name in rows.values}
    for part, name in given.items():
        if not values[name]:
            raise UserError(f"--{part.replace('_', '-')}: column '{name}' has no value in the rows that were looked at")
    read = [
        name
        for name, held in values.items()
        if held and name != divides and (name in given.values() or not are_decisions(name, held))
    ]
    rows = RawRows({name: rows.values[name] for name in read if name in given.values() or not _counts(rows, name)})
    return replace(_told(rows, given, task), divides=divides)


def _counts(rows: RawRows, name: str) -> bool:
    """Whether a column numbers rows."""
    return bool(INDEX.fullmatch(name.lower())) and numbers(rows.present(name)) is not None


def _divides(name: str, values: list[Any]) -> bool:
    """Whether a column says which split each row is of."""
    if name.lower() in LABELS:
        return False
    return name.lower() in DIVIDES or (bool(values) and {str(value).lower() for value in values} <= PARTS_OF_ALL)


def _told(rows: RawRows, given: Mapping[str, str], task: str | None) -> Columns:
    for each in (_questions, _words, _spans, _texts):
        found = each(rows, given)
        if found is not None and (task == "ranking" or (task is None and _ranks(rows, found))) and "text_pair" in found.parts:
            parts = {"query": found.parts["text"], "passage": found.parts["text_pair"]}
            return Columns("ranking", parts | {part: name for part, name in found.parts.items() if part == "label"}, found.unread)
        if found is not None and (task in (None, found.task) or ({task, found.task} <= OF_TEXTS and _suffice(found, task))):
            if task is None and found.task == "masked-lm":
                _refuse_conversations(rows)
            return found if task is None else Columns(task, _of_task(found, task), found.unread)
    _refuse_conversations(rows)
    listed = shown([f"{name:.40}: {_kind(rows.present(name))}" for name in rows.values]) or "none with a value"
    raise UserError(f"no column looks like text{f' for {task}' if task else ''} ({listed}); name it with --text")


def _refuse_conversations(rows: RawRows) -> None:
    """Say it where rows are what decoders learn from."""
    told = next((name for name in rows.values if name.lower() in ("messages", "conversations") and rows.are(list, name)), None)
    asked = next((both for both in DIALOGUES if all(rows.named((name,)) for name in both)), None)
    columns = f"messages: {told}" if told is not None else f"prompt: {asked[0]}, response: {asked[1]}" if asked else None
    if columns is not None:
        raise UserError(
            f"rows look like conversations, of which decoders learn ({columns}); begin with docs/params/smollm2-chat.yaml, which "
            "has the task causal-lm, and name its columns so"
        )


def _suffice(found: Columns, task: str | None) -> bool:
    return task in ("masked-lm", "sentence-embedding") or "label" in found.parts


def _ranks(rows: RawRows, found: Columns) -> bool:
    """Whether pairs are a query and a passage, with numbers or truths for labels, and queries recur."""
    if not {"text_pair", "label"} <= found.parts.keys() or found.parts["text"].lower() != "query":
        return False
    queries = rows.values[found.parts["text"]]
    label = found.parts["label"]
    return len(queries) >= 2 * len(set(queries)) and (rows.are(bool, label) or numbers(rows.present(label)) is not None)


def _of_task(found: Columns, task: str) -> dict[str, str]:
    """The columns that a task reads; of sentence embedding, the labels of pairs are their scores, others are none."""
    unread = {
        "masked-lm": {"text_pair", "label"},
        "sentence-embedding": set() if "text_pair" in found.parts else {"label"},
    }.get(task, set())
    return {part: name for part, name in found.parts.items() if part not in unread}


def _questions(rows: RawRows, given: Mapping[str, str]) -> Columns | None:
    """Questions on contexts, with answers or none; with labels and no answers they are pairs of texts."""
    parts = {part: rows.named((part,)) for part in ("question", "context", "answers")}
    if given or not parts["question"] or not parts["context"] or (parts["answers"] is None and rows.named(LABELS)):
        return None
    return Columns("question-answering", {part: name for part, name in parts.items() if name})


def _words(rows: RawRows, given: Mapping[str, str]) -> Columns | None:
    tokens = rows.named(TOKENS, _lists_of_text)
    if given or tokens is None:
        return None
    tags = [name for name in rows.values if name != tokens and _as_long(rows.values[tokens], rows.values[name])]
    ranked = sorted(tags, key=lambda name: TAGS.index(name.lower()) if name.lower() in TAGS else len(TAGS))
    unread = (*ranked[1:], *labels.candidates(rows, {tokens, *tags}))
    return Columns("token-classification", {"tokens": tokens, "tags": ranked[0]}, unread) if tags else None


def _as_long(tokens: list[Any], values: list[Any]) -> bool:
    """Whether nearly all of a column's values are lists as long as those of the words; a row may have none."""
    both = [pair for pair in zip(tokens, values, strict=True) if None not in pair]
    return nearly_all(lambda pair: all(isinstance(each, list) for each in pair) and len(pair[0]) == len(pair[1]), both)


def _spans(rows: RawRows, given: Mapping[str, str]) -> Columns | None:
    found = [name for name in rows.values if _are_spans(rows.present(name))]
    label = given.get("label") or rows.named(SPANS, _are_spans) or next(iter(found), None)
    text = given.get("text") or _text(rows, {label})
    if label not in found or text is None or "text_pair" in given:
        return None
    unread = (
        *(name for name in found if name != label),
        *(name for name in labels.candidates(rows, {label, text}) if name not in found),
    )
    return Columns("token-classification", {"text": text, "spans": label}, unread)


def _are_spans(values: list[Any]) -> bool:
    """Whether nearly all lists that hold anything hold spans, and some does."""
    found = [spans for spans in map(read_spans, values) if spans != []]
    return nearly_all(lambda spans: spans is not None and None not in spans, found)


def _texts(rows: RawRows, given: Mapping[str, str]) -> Columns | None:
    candidates, marks = labels.candidates(rows, set(given.values())), labels.marks(rows, set(given.values()))
    label = given.get("label") or next((name for name in candidates if not labels.outweigh(marks, name)), None)
    pair = _pair(rows, label)
    if "text" not in given and pair is not None:
        parts = {part: str(rows.named((name,))) for part, name in zip(("text", "text_pair"), pair, strict=True)}
    else:
        text = given.get("text") or _text(rows, {*given.values(), label})
        if text is None:
            return None
        parts = {"text": text, **({"text_pair": given["text_pair"]} if "text_pair" in given else {})}
    marks, taken = labels.marks(rows, {*parts.values(), label}), {*parts.values(), label}
    texts = {name: values for name in rows.values if are_text(values := rows.present(name))}
    others = [name for name, values in texts.items() if name.lower() in TEXTS or are_prose(values)]
    unread = tuple(name for name in dict.fromkeys([*candidates, *(marks if label else ()), *others]) if name not in taken)
    if label is None:
        return Columns("multi-label", parts, unread, marks) if marks else Columns("masked-lm", {"text": parts["text"]}, unread)
    values = rows.present(label)
    scored = "text_pair" in parts and label.lower() in SCORES and numbers(values) is not None
    task = "regression" if scored or labels.are_measured(label, values) else "sequence-classification"
    return Columns("multi-label" if labels.are_lists_of_labels(values) else task, {**parts, "label": label}, unread)


def _pair(rows: RawRows, label: str | None) -> tuple[str, str] | None:
    """The usual names of two texts that are there; a question and its answer give way to a column called as a text."""
    found = next((both for both in PAIRS if all(rows.named((name,), are_text) not in (None, label) for name in both)), None)
    others = [name for name in TEXTS if name != "title"]
    prose = rows.named(others, are_prose)
    return None if found == ("question", "answer") and prose else found


def _text(rows: RawRows, taken: set[str | None]) -> str | None:
    """A column of text with a usual name, unless most of its rows are words, ids, dates or gaps, and those of another are not.

    Else the one of the longest texts, prose before others. Prose that recurs much is what classes are called.
    """
    texts = {name: rows.present(name) for name in rows.values if name not in taken and are_text(rows.present(name))}
    texts = {name: values for name, values in texts.items() if numbers(values) is None}
    several = {name: values for name, values in texts.items() if len(set(values)) > 1}
    prose = {name for name, values in several.items() if most(is_prose, values, len(rows.values[name]))}
    written = {name for name, values in several.items() if most(is_written, values, len(rows.values[name]))}
    told = {name for name in prose if len(set(several[name])) > len(several[name]) / RECURS}
    likely = told or written or texts
    named = next((found for usual in TEXTS for found in texts if found.lower() == usual and found in likely), None)
    if named is not None:
        return named

    def rank(name: str) -> tuple[bool, bool, float]:
        values = texts[name]
        return name in prose, most(is_written, values, len(values)), sum(map(len, values)) / len(values)

    return max(texts, key=rank) if texts else None


def _lists_of_text(values: list[Any]) -> bool:
    return nearly_all(lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value), values)


def _kind(values: list[Any]) -> str:
    """A column in a few words."""
    if isinstance(values[0], (list, dict)):
        return "lists" if isinstance(values[0], list) else "records"
    return "numbers" if numbers(values) else f"{len(set(values))} values such as {values[0]!r:.30}"
