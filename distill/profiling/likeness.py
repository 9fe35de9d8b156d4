"""What names and values of columns look like: prose, what machines write, labels, or notes about a row."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any

from distill.preparation.label_columns import LABELS

MACHINE = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{16,}|[a-z]+[-_#:]+ ?\d+"  # UUIDs, hashes, numbered names
    r"|\d{4}-\d\d-\d\d(?:[t ]\d\d:\d\d.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}(?: \d\d?:\d\d.*)?"  # dates
    r"|(?:https?://|www\.)\S+|\S+@\S+\.\S+"  # addresses
    r"|[\[{].*[\]}]",  # JSON
    re.IGNORECASE | re.DOTALL,
)
UNPARTED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese, whose words stand without blanks between them."""
WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")
MEANING = {
    *LABELS, "gold", "annotation", "verdict", "outcome", "queue", "department", "tag", "polarity", "stance", "type", "toxic",
    "spam",
}  # fmt: skip
"""Words of names that say what a row means."""
ORIGIN = {
    "id", "batch", "date", "year", "month", "day", "time", "timestamp", "created", "updated", "annotator", "rater", "worker",
    "user", "author", "customer", "country", "region", "lang", "language", "locale", "source", "split", "fold", "version",
    "verified", "deleted", "channel", "platform", "domain", "genre", "status",
}  # fmt: skip
"""Words of names that say where a row is from."""
MEASURES = {
    "score", "similarity", "rating", "grade", "points", "percent", "percentage", "price", "cost", "amount", "age", "votes",
    "likes", "count", "length", "duration", "confidence", "probability", "difficulty",
}  # fmt: skip
"""Words of names of what is counted or measured."""
KINDS = {"group", "class", "band", "level", "code", "range", "bucket", "category", "type", "label"}
"""Words of names of classes, also of what is measured: `age_group`."""
DECIDES, ACCEPTED = "answer", "accept"
DECISIONS = {ACCEPTED, "reject", "ignore"}


def are_decisions(name: str, values: Iterable[Any]) -> bool:
    """Whether a column says which rows an annotator has accepted, as Prodigy's `answer` does."""
    said = set(map(str, values)) if name.lower() == DECIDES else set()
    return bool(said) and said <= DECISIONS


def is_prose(value: str) -> bool:
    """Whether a text is several words that a person wrote, or of a script that parts none."""
    return (len(value.split()) > 1 or len(UNPARTED.findall(value)) > 1) and is_written(value)


def is_written(value: str) -> bool:
    """Whether a text is no id, date, address or JSON, as machines write them."""
    return MACHINE.fullmatch(value.strip()) is None


def most(test: Callable[[str], bool], values: Sequence[str], of: int) -> bool:
    """Whether a test holds for more than half of so many rows."""
    return sum(map(test, values)) > of / 2


def is_nan(value: Any) -> bool:
    """Whether a value is how pandas says that there is none."""
    return isinstance(value, float) and math.isnan(value)


def numbers(values: list[Any]) -> list[float] | None:
    """Values as numbers, if all are some."""
    try:
        found = [math.nan if isinstance(value, (bool, list, dict)) else float(value) for value in values]
    except (TypeError, ValueError):
        return None
    return found if all(map(math.isfinite, found)) else None


class Rank(IntEnum):
    """How likely a column of few values is the label by its name, the likeliest first."""

    MEANS = 0
    """The name says what a row means."""
    UNKNOWN = 1
    DESCRIBES = 2
    """The name says where a row is from."""


def rank_of_label(name: str) -> Rank:
    """How likely a column of few values is the label by its name."""
    words = words_of(name)
    return Rank.MEANS if words & MEANING else Rank.DESCRIBES if words & ORIGIN else Rank.UNKNOWN


def measures(name: str) -> bool:
    """Whether a name says that numbers are measured or counted, and not those of classes."""
    return bool(words_of(name) & MEASURES) and not words_of(name) & KINDS


def words_of(name: str) -> set[str]:
    """The words of a column's name, in small letters."""
    return {word.lower() for word in WORD.findall(name)}
