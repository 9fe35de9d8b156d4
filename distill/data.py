"""Raw tables into texts and raw labels: columns mapped, each value looked at. Nothing here knows of tokens or of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distill.errors import UserError
from distill.prepared import UNLABELLED

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Answers:
    """The given answers to a question, and the character of the context at which each begins; none if it cannot be answered."""

    texts: tuple[str, ...]
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """The rows of one split: texts, lists of words (token classification), or questions with their contexts as pairs.

    `numbers` are row numbers in the raw file, `ids` the ids that it gives.
    """

    texts: list[Any]
    texts_pair: list[str] | None
    labels: Array
    """(rows,): int64 classes, UNLABELLED for transfer rows; float32 scores, NaN for them; or objects, None for them: lists of tag
    numbers, or Answers. Zeros for masked LM."""
    numbers: Array
    ids: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labelled(self) -> Array:
        """Which rows are no transfer rows, (rows,) bool."""
        match self.labels.dtype.kind:
            case "O":
                return np.array([label is not None for label in self.labels], bool)
            case "f":
                return ~np.isnan(self.labels)
        return np.asarray(self.labels != UNLABELLED)

    def without_empty(self) -> "Rows":
        """The rows whose texts are not empty."""
        pairs = self.texts_pair or self.texts
        return self.take(np.array([i for i, text in enumerate(self.texts) if text.strip() and pairs[i].strip()], np.int64))

    def take(self, positions: Array) -> "Rows":
        """The rows at these positions, in this order."""
        lists = {name: [part[i] for i in positions] for name in ("texts", "texts_pair", "ids") if (part := getattr(self, name))}
        return replace(self, **{"texts": [], **lists}, labels=self.labels[positions], numbers=self.numbers[positions])


def read_raw(folder: Path) -> dict[str, pa.Table]:
    """The splits of data/raw/NAME/, each from any file that `fetch` can read.

    Raises:
        UserError: the folder is missing or empty, or a file is broken.
    """
    from distill.sources import read_local

    if not folder.exists():
        raise UserError(f"{folder}: no such folder; add '{folder.name}' to `sources`, or put it there with `dvc add`")
    return read_local(folder, "utf-8")


def map_columns(
    table: pa.Table, where: str, text: str, text_pair: str | None, label: str, identity: str | None, blank: bool = False
) -> tuple[list[str], list[str] | None, list[Any]]:
    """The texts, their pairs and the raw labels (None where there is none) of a table.

    Raises:
        UserError: a column is missing, a text is empty (unless `blank`) or no text, a row has several labels, an id is repeated.
    """
    map_ids(table, where, identity)
    pair = _texts(table, where, text_pair, "text_pair", blank) if text_pair is not None else None
    given = _optional(table, where, label, "label")
    for row, value in enumerate(given):
        if isinstance(value, (list, dict)):
            raise UserError(f"{where}: row {row}: column '{label}' holds {value!r:.40}, expected one label a row")
    return _texts(table, where, text, "text", blank), pair, [None if value == "" else value for value in given]


def map_corpus(table: pa.Table, where: str, text: str) -> list[str]:
    """The texts of a corpus, some of them empty: in many corpora such rows part paragraphs.

    Raises:
        UserError: the column is missing, or a value is no text.
    """
    return _texts(table, where, text, "text", blank=True)


def map_words(table: pa.Table, where: str, tokens: str, tags: str) -> tuple[list[list[str]], list[list[Any] | None]]:
    """The words of each row, and as many raw tags (None for a row that has none).

    Raises:
        UserError: a column is missing, a row has no words, an empty one, or another number of tags.
    """
    rows, given = _column(table, where, tokens, "tokens"), _optional(table, where, tags, "tags")
    for row, (words, found) in enumerate(zip(rows, given, strict=True)):
        if not isinstance(words, list) or not words:
            raise UserError(f"{where}: row {row}: column '{tokens}' holds {words!r:.40}, expected a list of words")
        wrong = next((word for word in words if not isinstance(word, str) or not word.strip()), None)
        if wrong is not None or None in words:
            raise UserError(f"{where}: row {row}: column '{tokens}' has the word {wrong!r:.40}; mend or drop it, and its tag")
        if found is not None and not isinstance(found, list):
            raise UserError(f"{where}: row {row}: column '{tags}' holds {found!r:.40}, expected a list of tags")
        if found is not None and len(found) != len(words):
            raise UserError(
                f"{where}: row {row}: has {len(words)} tokens and {len(found)} tags; expected a tag a token; mend the row"
            )
    return rows, given


def map_questions(table: pa.Table, where: str, question: str, context: str, answers: str) -> tuple[list[str], list[str], Array]:
    """Questions, contexts, and (rows,) objects: Answers, or None.

    Raises:
        UserError: a column is missing, a text is empty, answers are not as SQuAD has them, or not where they are said to be.
    """
    questions, contexts = _texts(table, where, question, "question"), _texts(table, where, context, "context")
    found = np.empty(len(questions), object)
    for row, value in enumerate(_optional(table, where, answers, "answers")):
        found[row] = None if value is None else _answers(value, contexts[row], f"{where}: row {row}: column '{answers}'")
    return questions, contexts, found


def map_ids(table: pa.Table, where: str, identity: str | None) -> list[str]:
    """The given ids as text, or row numbers.

    Raises:
        UserError: the column is missing, or an id is repeated.
    """
    if identity is None:
        return [str(row) for row in range(table.num_rows)]
    first: dict[Any, int] = {}
    for row, value in enumerate(_column(table, where, identity, "id")):
        if value in first:
            raise UserError(f"{where}: rows {first[value]} and {row} have the same {identity}, {value!r:.60}; ids must be unique")
        first[value] = row
    return [str(value) for value in first]


def _column(table: pa.Table, where: str, name: str, part: str) -> list[Any]:
    if name not in table.column_names:
        from distill.params.base import nearest

        raise UserError(f"{where}: no column '{name}' for columns.{part}{nearest(name, table.column_names)}")
    values: list[Any] = table.column(name).to_pylist()
    return values


def _optional(table: pa.Table, where: str, name: str, part: str) -> list[Any]:
    """A column of labels: if its name was not given (it is that of the part), a table may lack it."""
    if name == part and name not in table.column_names:
        return [None] * int(table.num_rows)
    return _column(table, where, name, part)


def _texts(table: pa.Table, where: str, name: str, part: str, blank: bool = False) -> list[str]:
    values = _column(table, where, name, part)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise UserError(f"{where}: row {row}: column '{name}' holds {value!r:.40}, expected text; mend or drop the row")
        if not value.strip() and not blank:
            raise UserError(f"{where}: row {row}: column '{name}' is empty; mend or drop the row")
    return values


def _answers(value: Any, context: str, where: str) -> Answers:
    parts: Sequence[Any] = [value.get(key) for key in ("text", "answer_start")] if isinstance(value, dict) else [None]
    if not all(isinstance(part, list) for part in parts) or len(parts[0]) != len(parts[1]):
        raise UserError(f"{where} holds {value!r:.80}, expected {{text: [...], answer_start: [...]}} of one length, as in SQuAD")
    for text, start in zip(*parts, strict=True):
        if not isinstance(text, str) or not text.strip() or not isinstance(start, int) or start < 0:
            raise UserError(f"{where}: the answer {text!r:.60} at {start!r:.20}, expected text and the character it begins at")
        if context[start : start + len(text)] != text:
            there = context[start : start + len(text)]
            raise UserError(
                f"{where}: the answer {text!r:.60} is not at character {start} of its context ({there!r:.60} is); mend it"
            )
    return Answers(tuple(parts[0]), tuple(parts[1]))
