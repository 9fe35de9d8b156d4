"""Lists and records where one value is expected: as such, or as the text that CSV makes of them."""

import re
from collections.abc import Collection
from typing import Any

from distill.core.errors import UserError
from distill.preparation.labels import quoted

WRITTEN = re.compile(r"""\[([\d\s.-]*|.*[,'"].*)\]|\{([\d\s.-]*|.*[,'":].*)\}|[a-z]*\([\s\[{]*['"].*\)""", re.DOTALL)
"""JSON, and what Python, numpy, Postgres and R print; `[OTHER]` and `[IN:GET]` are words."""
CSV = "CSV holds text alone, no lists: write JSONL or Parquet"
MARKS = ", or, of several labels a row, a column of 0 and 1 each (task: multi-label, columns.labels)"


def nested(value: Any) -> bool:
    """Whether a value is a list or a record, or the text of one."""
    return WRITTEN.fullmatch(value.strip()) is not None if isinstance(value, str) else isinstance(value, (list, tuple, dict))


def as_text(value: Any) -> str:
    """What is to be done where lists or records are expected and text stands: nothing is added if that is none of them."""
    return f"; it is the text of one: {CSV}" if isinstance(value, str) and nested(value) else ""


def not_one(value: Any, part: str) -> str | None:
    """What is wrong with a label that is a list or a record."""
    if not nested(value):
        return None
    if isinstance(value, str):
        marks = MARKS if part == "label" else ""
        return f"{part} {value!r:.60} looks like a list or record, expected one {part}; {CSV}{marks}"
    kind = "record" if isinstance(value, dict) else "list"
    spans = "spans of characters are of task: token-classification, columns.spans"
    return f"{part} {value!r:.60} is a {kind}, expected text or a number; {spans}"


def require_one(value: Any, part: str, named: Collection[str]) -> None:
    """Refuse a label that is several, unless it is a class by `labels`."""
    if not (why := not_one(value, part)) or (isinstance(value, str) and value.strip() in named):
        return
    advice = f"; if it is the name of a class: labels: {{{quoted(value.strip())}: NAME}}" if isinstance(value, str) else ""
    raise UserError(f"{why}{advice}")
