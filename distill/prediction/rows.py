"""What is to be predicted: lines or rows, each looked at before a model sees it."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.params.task_specs import TASK_SPECS

Row = Mapping[str, Any]
TABLES = ("csv", "tsv", "parquet", "excel")
"""Formats that are read as tables; all other files are read line by line."""


def read_rows(path: Path | None) -> Iterator[tuple[int, str | Row | UserError]]:
    """The lines or rows of a file, or of stdin, with their numbers from 1; an error in place of a line that is no text."""
    if path is not None and not path.is_file():
        raise UserError(f"{path}: no such file; expected lines of text or JSON, or a table ({', '.join(TABLES)})")
    if path is not None and path.suffix:
        from distill.sources.files import is_table, read_file

        if is_table(path, TABLES):
            yield from enumerate((row for batch in read_file(path).batches() for row in batch.to_pylist()), 1)
            return
    with sys.stdin.buffer if path is None else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                yield number, UserError(f"byte {error.start} is no UTF-8; save the file as UTF-8")


def row_of(content: str | Row | UserError, task: str) -> Row:
    """A line or row as what the task reads.

    `text`, `text_pair` or None, or `tokens`; `question` and `context`; `query`, and `passage` or a list of `passages`.
    A line that begins with `{` is JSON; any other is a text.
    """
    if isinstance(content, UserError):
        raise content
    row = _parsed(content) if isinstance(content, str) else content
    spec, words = TASK_SPECS[task], row.get("tokens")
    if "tokens" in spec.columns and words is not None:
        return {"tokens": _several(row, "tokens", "words")}
    if spec.groups and row.get("passages") is not None:
        _require_text(row, "query", ("query", "passages"))
        return {"query": row["query"], "passages": _several(row, "passages", "texts")}
    for column in spec.inputs:
        _require_text(row, column, spec.inputs)
    pair = row.get("text_pair") if spec.pairs else None
    if pair is not None:
        _require_text(row, "text_pair", ("text", "text_pair"))
    return {**{column: row[column] for column in spec.inputs}, "text_pair": pair}


def _several(row: Row, column: str, what: str) -> list[str]:
    texts: Any = row[column]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise UserError(f"{column}: got {texts!r:.60}, expected a list of {what}")
    _require_whole(column, "".join(texts))
    return list(texts)


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
