"""Lists and records where one value is expected: as such, or as the text that CSV makes of them."""

import re
from collections.abc import Collection
from typing import Any

from distill.core.errors import UserError
from distill.preparation.labels import quoted

WRITTEN = re.compile(r"""\[([\d\s.-]*|.*[,'":].*)\]|\{([\d\s.-]*|.*[,'":].*)\}|[a-z]*\(.*['"].*\)""", re.DOTALL)
"""JSON, and what Python, numpy, Postgres and R print; `[OTHER]` is a word."""
CSV = "CSV holds text alone, no lists: write JSONL or Parquet"
MARKS = ", or, of several labels a row, a column of 0 and 1 each (task: multi-label, columns.labels)"


def nested(value: Any) -> bool:
    """Whether a value is a list or a record, or the text of one."""
    return WRITTEN.fullmatch(value.strip()) is not None if isinstance(value, str) else isinstance(value, (list, tuple, dict))


def as_text(value: Any) -> str:
    """What is to be done where lists or records are expected and text stands: nothing is added if that is none of them."""
    return f"; it is the text of one: {CSV}" if isinstance(value, str) and nested(value) else ""


def require_one(value: Any, part: str, named: Collection[str]) -> None:
    """Refuse a label that is several, unless it is a class by `labels`."""
    if not nested(value) or (isinstance(value, str) and value.strip() in named):
        return
    if isinstance(value, str):
        raise UserError(
            f"{part} {value!r:.60} looks like a list or record, expected one {part}; {CSV}{MARKS if part == 'label' else ''}; "
            f"if it is the name of a class: labels: {{{quoted(value.strip())}: NAME}}"
        )
    kind = "record" if isinstance(value, dict) else "list"
    raise UserError(
        f"{part} {value!r:.60} is a {kind}, expected text or a number; spans of characters are not read (docs/tasks.md)"
    )
