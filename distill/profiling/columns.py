"""Which column of raw rows is what, and so which task they are for, told from names and values."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from distill.core.errors import UserError
from distill.core.settings import nearest
from distill.preparation.label_columns import LABELS, SPANS, TAGS
from distill.preparation.multi_label import APPLIES
from distill.preparation.nested import nested
from distill.preparation.spans import are_spans
from distill.profiling.likeness import are_decisions, is_machine_written, is_nan, is_prose, most, numbers, rank_of_label

TEXTS = (
    "text", "sentence", "review", "content", "body", "document", "utterance", "message", "comment", "tweet", "description",
    "abstract", "title",
)  # fmt: skip
PAIRS = (
    ("text", "text_pair"), ("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"),
    ("text_a", "text_b"), ("text1", "text2"), ("query", "passage"), ("query", "document"), ("question", "sentence"),
    ("sentence_a", "sentence_b"), ("s1", "s2"), ("context", "hypothesis"), ("query", "text"), ("query", "product_title"),
)  # fmt: skip
DIALOGUES = (("prompt", "response"), ("prompt", "completion"), ("instruction", "output"), ("instruction", "response"))
TOKENS = ("tokens", "words")
"""Usual names, the likeliest first."""

USUAL_NAMES = {*TEXTS, *LABELS, *TOKENS, *TAGS, *SPANS, *(name for pair in (*PAIRS, *DIALOGUES) for name in pair)}
INDEX = re.compile(r"|unnamed: ?\d+|index|idx|id|level_\d+|__index_level_\d+__|column 1")
"""Names of columns that number rows, in small letters: pandas writes several; a first one without a name is `column 1`."""
DIVIDES = ("split", "fold")
PARTS_OF_ALL = {"train", "training", "test", "testing", "dev", "val", "valid", "validation", "eval", "evaluation", "holdout"}

OF_PAIRS = {name for pair in PAIRS for name in pair}
SCORES = ("score", "similarity")
"""Of pairs, what is a number to be predicted, whole or not."""

OF_TEXTS = {"sequence-classification", "regression", "multi-label", "masked-lm", "sentence-embedding"}
"""Tasks that read the same columns: which of them is meant can be said."""
MOST_CLASSES = 200
CLASS_CHARACTERS = 60
"""A column of more values, or of longer ones, is no column of classes unless its name says so."""


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


@dataclass(frozen=True)
class _Table:
    """Some rows, column by column, without those of nulls alone."""

    values: dict[str, list[Any]] = field(default_factory=dict)

    def named(self, names: Sequence[str], test: Callable[[list[Any]], bool] = bool) -> str | None:
        """The first column with one of these names, whatever the case, that passes a test of its values that are not null."""
        found = {name.lower(): name for name in reversed(self.values)}
        return next((found[name] for name in names if name in found and test(self.present(found[name]))), None)

    def present(self, name: str) -> list[Any]:
        """The values that are not null, NaN or empty."""
        return [value for value in self.values[name] if value not in (None, "") and not is_nan(value)]


def read_columns(table: pa.Table, given: Mapping[str, str], task: str | None = None) -> Columns:
    """Tell the task from some rows; `given` are columns by part, and `task` is the task, where the user says it.

    A UserError says what each column looks like where no task fits.
    """
    for part, name in given.items():
        if name not in table.column_names:
            raise UserError(f"--{part.replace('_', '-')}: no column '{name}'{nearest(name, table.column_names)}")
    rows = _Table({name: table[name].to_pylist() for name in table.column_names})
    divides = next((name for name in rows.values if name not in given.values() and _divides(name, rows.present(name))), None)
    values = {name: rows.present(name) for name in rows.values}
    read = [name for name, held in values.items() if held and name != divides and not are_decisions(name, held)]
    rows = _Table({name: rows.values[name] for name in read if name in given.values() or not _counts(rows, name)})
    return replace(_told(rows, given, task), divides=divides)


def _counts(rows: _Table, name: str) -> bool:
    """Whether a column numbers rows."""
    return bool(INDEX.fullmatch(name.lower())) and numbers(rows.present(name)) is not None


def _divides(name: str, values: list[Any]) -> bool:
    """Whether a column says which split each row is of."""
    if name.lower() in LABELS:
        return False
    return name.lower() in DIVIDES or (bool(values) and {str(value).lower() for value in values} <= PARTS_OF_ALL)


def _told(rows: _Table, given: Mapping[str, str], task: str | None) -> Columns:
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
    listed = "; ".join(f"{name}: {_kind(rows.present(name))}" for name in rows.values) or "none with a value"
    raise UserError(f"no column looks like text{f' for {task}' if task else ''} ({listed}); name it with --text")


def _refuse_conversations(rows: _Table) -> None:
    """Say it where rows are what decoders learn from."""
    told = next((name for name in rows.values if name.lower() in ("messages", "conversations") and _are(list, rows, name)), None)
    asked = next((both for both in DIALOGUES if all(rows.named((name,)) for name in both)), None)
    columns = f"messages: {told}" if told is not None else f"prompt: {asked[0]}, response: {asked[1]}" if asked else None
    if columns is not None:
        raise UserError(
            f"rows look like conversations, of which decoders learn ({columns}); begin with docs/params/smollm2-chat.yaml, which "
            "has the task causal-lm, and name its columns so"
        )


def _suffice(found: Columns, task: str | None) -> bool:
    return task in ("masked-lm", "sentence-embedding") or "label" in found.parts


def _ranks(rows: _Table, found: Columns) -> bool:
    """Whether pairs are a query and a passage, with numbers or truths for labels, and queries recur."""
    if not {"text_pair", "label"} <= found.parts.keys() or found.parts["text"].lower() != "query":
        return False
    queries = rows.values[found.parts["text"]]
    label = found.parts["label"]
    return len(queries) >= 2 * len(set(queries)) and (_are(bool, rows, label) or numbers(rows.present(label)) is not None)


def _of_task(found: Columns, task: str) -> dict[str, str]:
    """The columns that a task reads; of sentence embedding, the labels of pairs are their scores, others are none."""
    unread = {
        "masked-lm": {"text_pair", "label"},
        "sentence-embedding": set() if "text_pair" in found.parts else {"label"},
    }.get(task, set())
    return {part: name for part, name in found.parts.items() if part not in unread}


def _questions(rows: _Table, given: Mapping[str, str]) -> Columns | None:
    parts = {part: rows.named((part,)) for part in ("question", "context", "answers")}
    if given or not parts["question"] or not parts["context"] or (parts["answers"] and not _are(dict, rows, parts["answers"])):
        return None
    return Columns("question-answering", {part: name for part, name in parts.items() if name})


def _words(rows: _Table, given: Mapping[str, str]) -> Columns | None:
    tokens = rows.named(TOKENS, _lists_of_text)
    if given or tokens is None:
        return None
    lengths = [len(words) for words in rows.present(tokens)]
    tags = [
        name
        for name in rows.values
        if name != tokens and _are(list, rows, name) and [len(tags) for tags in rows.present(name)] == lengths
    ]
    ranked = sorted(tags, key=lambda name: TAGS.index(name.lower()) if name.lower() in TAGS else len(TAGS))
    unread = (*ranked[1:], *_candidates(rows, {tokens, *tags}))
    return Columns("token-classification", {"tokens": tokens, "tags": ranked[0]}, unread) if tags else None


def _spans(rows: _Table, given: Mapping[str, str]) -> Columns | None:
    found = [name for name in rows.values if are_spans(rows.present(name))]
    label = given.get("label") or rows.named(SPANS, are_spans) or next(iter(found), None)
    text = given.get("text") or _text(rows, {label})
    if label not in found or text is None or "text_pair" in given:
        return None
    unread = (
        *(name for name in found if name != label),
        *(name for name in _candidates(rows, {label, text}) if name not in found),
    )
    return Columns("token-classification", {"text": text, "spans": label}, unread)


def _texts(rows: _Table, given: Mapping[str, str]) -> Columns | None:
    candidates = _candidates(rows, set(given.values()))
    label = given.get("label") or next(iter(candidates), None)
    pair = next((both for both in PAIRS if all(rows.named((name,), _are_text) not in (None, label) for name in both)), None)
    if "text" not in given and pair is not None:
        parts = {part: str(rows.named((name,))) for part, name in zip(("text", "text_pair"), pair, strict=True)}
    else:
        text = given.get("text") or _text(rows, {*given.values(), label})
        if text is None:
            return None
        parts = {"text": text, **({"text_pair": given["text_pair"]} if "text_pair" in given else {})}
    marks, taken = _marks(rows, {*parts.values(), label}), {*parts.values(), label}
    texts = {name: values for name in rows.values if _are_text(values := rows.present(name))}
    others = [name for name, values in texts.items() if most(is_prose, values, len(values))]
    unread = tuple(name for name in dict.fromkeys([*candidates, *(marks if label else ()), *others]) if name not in taken)
    if label is None:
        return Columns("multi-label", parts, unread, marks) if marks else Columns("masked-lm", {"text": parts["text"]}, unread)
    values = rows.present(label)
    scored = "text_pair" in parts and label.lower() in SCORES and numbers(values) is not None
    task = "regression" if scored or _are_measured(values) else "sequence-classification"
    return Columns("multi-label" if _lists_of_labels(values) else task, {**parts, "label": label}, unread)


def _marks(rows: _Table, taken: set[str | None]) -> tuple[str, ...]:
    """All columns of 0 and 1, if there are several."""
    found = tuple(
        name
        for name in rows.values
        if name not in taken and {str(value).lower() for value in rows.present(name)} <= APPLIES.keys()
    )
    return found if len(found) > 1 else ()


def _candidates(rows: _Table, taken: set[str]) -> list[str]:
    """Columns that may be labels, the likeliest first: of usual names, then of few and short values that recur, and no marks.

    Of other names the likeliest say what a row means, the last where it is from. Lists and records in place of labels come alone,
    to be refused: another column is not what is meant.
    """
    found = {name.lower(): name for name in reversed(rows.values) if name not in taken}
    usual = [found[name] for name in LABELS if name in found]
    plain = [name for name in usual if _lists_of_labels(rows.present(name)) or not all(map(nested, rows.present(name)))]
    if usual and not plain:
        return usual
    few, marks = {}, _marks(rows, {*taken})
    for name in rows.values:
        values = rows.present(name)
        classes = all(isinstance(value, (str, int)) or (isinstance(value, float) and value.is_integer()) for value in values)
        if name in (*taken, *marks, *plain) or not classes or name.lower() in (*TEXTS, *OF_PAIRS):
            continue
        distinct = set(map(str, values))
        if 2 <= len(distinct) <= min(MOST_CLASSES, len(values) / 3) and max(map(len, distinct)) <= CLASS_CHARACTERS:
            few[name] = len(distinct)
    return [*plain, *sorted(few, key=lambda name: (rank_of_label(name), few[name]))]


def _text(rows: _Table, taken: set[str | None]) -> str | None:
    """A column of text with a usual name; else the one of the longest texts. Prose comes before ids, dates and gaps."""
    texts = {name: rows.present(name) for name in rows.values if name not in taken and _are_text(rows.present(name))}
    texts = {name: values for name, values in texts.items() if numbers(values) is None}
    prose = {name for name, values in texts.items() if most(is_prose, values, len(rows.values[name])) and len(set(values)) > 1}
    named = next((found for usual in TEXTS for found in texts if found.lower() == usual and found in (prose or texts)), None)
    if named is not None:
        return named

    def rank(name: str) -> tuple[bool, bool, float]:
        values = texts[name]
        return name in prose, not most(is_machine_written, values, len(values)), sum(map(len, values)) / len(values)

    return max(texts, key=rank) if texts else None


def _are(kind: type, rows: _Table, name: str) -> bool:
    return all(isinstance(value, kind) for value in rows.present(name))


def _are_text(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, str) for value in values)


def _lists_of_text(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(value, list) and all(isinstance(item, str) for item in value) for value in values)


def _lists_of_labels(values: list[Any]) -> bool:
    """Whether all are lists of names, or of whole numbers."""
    return bool(values) and all(
        isinstance(value, list) and all(isinstance(item, str | int) for item in value) for value in values
    )


def _are_measured(values: list[Any]) -> bool:
    """Whether labels are numbers to be predicted: broken ones, or more than ten in a wide range that hardly recur."""
    found = numbers(values)
    if found is None:
        return False
    distinct = set(found)
    whole = all(each.is_integer() for each in distinct)
    return len(distinct) > (MOST_CLASSES if whole else 10)


def _kind(values: list[Any]) -> str:
    """A column in a few words."""
    if isinstance(values[0], (list, dict)):
        return "lists" if isinstance(values[0], list) else "records"
    return "numbers" if numbers(values) else f"{len(set(values))} values such as {values[0]!r:.30}"
