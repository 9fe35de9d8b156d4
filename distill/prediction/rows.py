"""What is to be predicted: lines or rows, each looked at before a model sees it."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.sources import read_table

Row = Mapping[str, Any]
TABLES = (".csv", ".tsv", ".parquet")
"""Files that are read as a whole; all others are read line by line."""
COLUMNS = {
    "sequence-classification": ("text",),
    "regression": ("text",),
    "token-classification": ("text",),
    "question-answering": ("question", "context"),
    "masked-lm": ("text",),
}
"""What a row of each task must have."""
PAIRS = ("sequence-classification", "regression")
"""Tasks whose rows may have a `text_pair`."""


def read_rows(path: Path | None) -> Iterator[tuple[int, str | Row | UserError]]:
    """The lines or rows of a file, or of stdin, with their numbers from 1; an error in place of a line that is no text.

    Raises:
        UserError: the file is missing or broken.
    """
    if path is not None and not path.is_file():
        raise UserError(f"{path}: no such file; expected lines of text, .jsonl, {', '.join(TABLES)}")
    if path is not None and path.suffix in TABLES:
        yield from enumerate((row for batch in read_table(path).to_batches(1024) for row in batch.to_pylist()), 1)
        return
    with sys.stdin.buffer if path is None else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                yield number, UserError(f"byte {error.start} is no UTF-8; save the file as UTF-8")


def row_of(content: str | Row | UserError, task: str) -> Row:
    """A line or row as what the task reads: `text`, `text_pair` or None, or `tokens`; `question` and `context`.

    A line that begins with `{` is JSON; any other is a text.

    Raises:
        UserError: it is not what the task reads.
    """
    if isinstance(content, UserError):
        raise content
    row = _parsed(content) if isinstance(content, str) else content
    words = row.get("tokens")
    if task == "token-classification" and words is not None:
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise UserError(f"tokens: got {words!r:.60}, expected a list of words")
        _require_whole("tokens", "".join(words))
        return {"tokens": words}
    for column in COLUMNS[task]:
        _require_text(row, column, COLUMNS[task])
    pair = row.get("text_pair") if task in PAIRS else None
    if pair is not None:
        _require_text(row, "text_pair", ("text", "text_pair"))
    return {**{column: row[column] for column in COLUMNS[task]}, "text_pair": pair}


def _parsed(line: str) -> Row:
    if not line.lstrip().startswith("{"):
        return {"text": line}
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"begins with '{{' and is no JSON object ({error}); mend it") from None
    return dict(row)


def _require_text(row: Row, column: str, columns: tuple[str, ...]) -> None:
    if column not in row:
        raise UserError(f"has {', '.join(row) or 'nothing'}; expected a row of {' and '.join(columns)}, as JSON or from a table")
    if not isinstance(row[column], str) or not row[column].strip():
        raise UserError(f"{column}: got {row[column]!r:.60}, expected text")
    _require_whole(column, row[column])


def _require_whole(column: str, text: str) -> None:
    """JSON may hold half a character, which no tokenizer takes."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"{column}: got {text!r:.60}, with half a character (a lone surrogate); expected whole text")
