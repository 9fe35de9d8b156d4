"""What is to be predicted: lines or rows, each looked at before a model sees it."""

import codecs
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.params.task_specs import TASK_SPECS

Row = Mapping[str, Any]
TABLES = ("csv", "tsv", "parquet", "excel", "conll")
"""Formats that are read as tables, as .json is; all other files are read line by line."""
OBJECTS = (".jsonl", ".ndjson")
"""Endings of files that have a JSON object a line, and no texts."""
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
"""How UTF-16 and UTF-32 begin."""


def read_rows(path: Path | None) -> Iterator[tuple[str, str | Row | UserError]]:
    """The lines or rows of a file, or of stdin, with their places (`line 1`); an error in place of a line that cannot be read."""
    if path is not None and (path.is_dir() or not path.exists()):
        raise UserError(f"{path}: no such file; expected lines of text or JSON, or a table ({', '.join(TABLES)})")
    if path is None or not path.suffix:
        with sys.stdin.buffer if path is None else path.open("rb") as lines:
            yield from _lines(lines, str(path or "stdin"))
        return
    from distill.sources.files import is_table, read_file
    from distill.sources.texts import inner_name, open_bytes, unbroken

    name = inner_name(path).lower()
    if is_table(path, TABLES) or name.endswith(".json"):
        rows = (row for batch in read_file(path).batches() for row in batch.to_pylist())
        yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))
        return
    with unbroken(path), io.BufferedReader(open_bytes(path)) as lines:
        for place, line in _lines(lines, str(path)):
            yield place, _object(line) if name.endswith(OBJECTS) and isinstance(line, str) else line


def _lines(lines: Iterable[bytes], where: str) -> Iterator[tuple[str, str | UserError]]:
    """Lines of UTF-8; an error in place of one that is not."""
    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith(WIDE):
            raise UserError(f"{where}: is UTF-16 or UTF-32; save it as UTF-8 (iconv -t utf-8 -f utf-16)")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield f"line {number}", UserError(f"byte {error.start} is no UTF-8; save the file as UTF-8")
        else:
            returns = UserError("holds carriage returns: end lines by \\n (tr '\\r' '\\n')")
            yield f"line {number}", returns if "\r" in text else text


def _object(line: str) -> Row | UserError:
    """A line of JSON, which has to be an object."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return UserError(f"is no JSON ({error}); mend it, or give texts as a .txt file")
    return row if isinstance(row, dict) else UserError(f'got {line.strip():.40}, expected an object: {{"text": …}}')


def row_of(content: str | Row | UserError, task: str) -> Row:
    """A line or row as what the task reads.

    `text`, `text_pair` or None, or `tokens`; `question` and `context`; `query`, and `passage` or a list of `passages`; `turns`.
    A line that begins with `{` is JSON; any other is a text.
    """
    row = parsed(content)
    spec, words = TASK_SPECS[task], row.get("tokens")
    if "tokens" in spec.columns and words is not None:
        return {"tokens": _several(row, "tokens", "words")}
    if spec.groups and row.get("passages") is not None:
        _require_text(row, "query", ("query", "passages"))
        return {"query": row["query"], "passages": _several(row, "passages", "texts")}
    if spec.causal and "text" not in row and ("messages" in row or "prompt" in row):
        return {"turns": _turns(row)}
    for column in spec.inputs:
        _require_text(row, column, spec.inputs)
    pair = row.get("text_pair")
    if not spec.pairs and "text" in spec.inputs and pair not in (None, ""):
        raise UserError(f"text_pair: got {pair!r:.60}; models for {task} read single texts: give it a row of its own")
    if spec.pairs and pair is not None:
        _require_text(row, "text_pair", ("text", "text_pair"))
    return {**{column: row[column] for column in spec.inputs}, "text_pair": pair if spec.pairs else None}


def readable(task: str) -> list[str]:
    """The columns that `row_of` looks at."""
    spec = TASK_SPECS[task]
    others = ("text_pair",) if spec.pairs else ("tokens",) if "tokens" in spec.columns else ("passages",) if spec.groups else ()
    return [*spec.inputs, *others, *(("messages", "prompt") if spec.causal else ())]


def renamed(row: Row, columns: Mapping[str, str]) -> Row:
    """A row whose columns have the names that the task reads; `columns` has the name in the row of each of these."""
    for name, column in columns.items():
        if column not in row:
            raise UserError(f"has {', '.join(row) or 'nothing'}; expected '{column}', as --column {name}={column} says")
    others = {name: value for name, value in row.items() if name not in columns.values()}
    return {**others, **{name: row[column] for name, column in columns.items()}}


def _turns(row: Row) -> list[dict[str, str]]:
    """What is said before the answer: `messages`, or a `prompt`, as in rows to train on."""
    from distill.preparation.conversations import ASSISTANT, USER, problem, turns_of

    if "messages" not in row:
        _require_text(row, "prompt", ("prompt",))
        return [{"role": USER, "content": row["prompt"]}]
    turns = turns_of(row["messages"])
    if isinstance(turns, list) and turns and isinstance(turns[-1], dict) and turns[-1].get("role") == ASSISTANT:
        raise UserError(f"messages: ends with a turn of '{ASSISTANT}'; leave it out to have the turns before it answered")
    why = problem([*turns, {"role": ASSISTANT, "content": "…"}] if isinstance(turns, list) and turns else turns)
    if why is not None:
        raise UserError(f"messages: {why}")
    _require_whole("messages", "".join(turn["content"] for turn in turns))
    return list(turns)


def _several(row: Row, column: str, what: str) -> list[str]:
    texts: Any = row[column]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise UserError(f"{column}: got {texts!r:.60}, expected a list of {what}")
    _require_whole(column, "".join(texts))
    return list(texts)


def parsed(content: str | Row | UserError) -> Row:
    """A line or row with its columns: of a line that is no JSON object, `text`."""
    if isinstance(content, UserError):
        raise content
    return _parsed(content) if isinstance(content, str) else content


def _parsed(line: str) -> Row:
    begin = line.lstrip()[:1]
    if begin == "[" and _is_array(line):
        raise UserError("is a JSON array of rows; give one object a line, or a file that ends in .json")
    if begin != "{":
        return {"text": line}
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"begins with '{{' and is no JSON object ({error}); mend it") from None
    return dict(row)


def _is_array(line: str) -> bool:
    """Whether a line is a JSON array of objects, and no text that begins with a bracket, such as `[MASK] is here`."""
    try:
        rows = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return bool(rows) and all(isinstance(row, dict) for row in rows)


def _require_text(row: Row, column: str, columns: tuple[str, ...]) -> None:
    if column not in row:
        expected = f"expected a row of {' and '.join(columns)}, as JSON or from a table"
        raise UserError(f"has {', '.join(row) or 'nothing'}; {expected}; --column {column}=NAME takes another column")
    if not isinstance(row[column], str) or not row[column].strip():
        raise UserError(f"{column}: got {row[column]!r:.60}, expected text")
    _require_whole(column, row[column])


def _require_whole(column: str, text: str) -> None:
    """JSON may hold half a character, which no tokenizer takes; files of another encoding, and of none, hold NULs."""
    if "\0" in text:
        raise UserError(f"{column}: got {text!r:.60}, with a NUL, which no text has; remove it, or save the file as UTF-8")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"{column}: got {text!r:.60}, with half a character (a lone surrogate); expected whole text")
