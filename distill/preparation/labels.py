"""Raw labels, tags and scores into numbers: a class is what the rows say, as it is written, under the name that it is given."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from distill.core.errors import UserError

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
WHOLE = re.compile(r"([+-]?\d+)\.0", re.ASCII)
"""How pandas writes integers of a column with gaps."""
PARTED = re.compile(r"\s*[,;|]\s*")
SEVERAL = "several labels a row are lists in JSONL, or a column of 0 and 1 each (task: multi-label)"
LIKE_NONE = (
    "none", "nan", "na", "n/a", "null", "nil", "nat", "\\n", "<na>", "<null>", "(null)", "#n/a", "#na", "undefined",
    "-", "--", "?",
)  # fmt: skip
"""What Python, pandas, R, MySQL, Postgres and Excel write where there is no value; `-` is SNLI's for judges who do not agree."""
SHOWN = 20
"""The most names that an error lists."""


@dataclass(frozen=True)
class Reader:
    """Values of a column as text: numbers as they are written, booleans as JSON has them, without blanks around."""

    carried: Sequence[str] | None = None
    """The source's own names: integers are positions among them, and −1 stands for no label."""
    unlabelled: Sequence[str] = ()
    met: set[str] = field(default_factory=set, compare=False)
    """Those of `unlabelled` that were read."""

    def read(self, value: Any) -> Hashable | None:
        """The text; None for no label; for an integer that is no position among the source's names, itself."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas makes floats of a column of integers with gaps
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, bytes):
            value = value.decode(errors="backslashreplace")
        text = str(value).lower() if isinstance(value, bool) else str(value).strip()
        if self._is_none(text):
            return None
        if self.carried is not None and isinstance(value, int) and not isinstance(value, bool):
            if value == -1:
                return None
            if not 0 <= value < len(self.carried):
                return value
            text = self.carried[value].strip()
        return None if self._is_none(text) else text

    def score(self, value: Any) -> float | None:
        """The number, NaN where it is none; None for no label, in whichever way that number is written."""
        text = self.read(value)
        if text is None:
            return None
        number = float(str(text)) if NUMBER.fullmatch(str(text)) else math.nan
        same = [given for given in self.unlabelled if NUMBER.fullmatch(given) and float(given) == number]
        self.met.update(same)
        return None if same else number

    def _is_none(self, text: str) -> bool:
        if text in self.unlabelled:
            self.met.add(text)
        return not text or text in self.unlabelled


@dataclass(frozen=True)
class Given:
    """What `labels` says."""

    renames: Mapping[str, str]
    order: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Classes:
    """How the text of a value becomes the number of a class."""

    names: tuple[str, ...]
    index: Mapping[Hashable, int]
    """By text."""
    by_place: bool = False
    """Whether the names are those of sorted numbers."""

    def unknown(self, value: Any, origin: str) -> str:
        """What is said of a value that is in no class."""
        known = [text for text in self.index if isinstance(text, str) and alike(text) == alike(str(value))]
        hint = ""
        if known:
            way = "but for case or Unicode form" if _folded(known[0]) == _folded(str(value)) else "written in another way"
            hint = f"; {way} it is {known[0]!r:.60}; name its class: labels: {{{quoted(value)}: NAME}}"
        elif str(value) in ("-1", "-1.0"):
            hint = "; if it stands for no label: unlabelled: -1"
        return f"{value!r:.60} is unknown; expected one of {shown(self.names)} ({origin}){hint}"


def name_classes(
    counts: Counter[Hashable], known: set[Hashable], carried: Sequence[str] | None, given: Given, column: str
) -> Classes:
    """The classes of values.

    Args:
        counts: How often the training rows have each text.
        known: The texts of all splits.
        carried: The source's own names.
        given: `labels`, which decides; else the source's names do, else the sorted texts.
        column: The key of `columns`, for errors.
    """
    renames, order = given.renames, given.order
    texts = [name.strip() for name in carried] if carried else in_order(text for text in counts if isinstance(text, str))
    strange = [value for value in renames if value not in {*known, *texts}]
    if strange:
        raise UserError(
            f"labels: no row has the label {strange[0]!r:.60}; the rows have {shown(texts)}; remove it, or write the name "
            "alone in a list, for a class without rows"
        )
    texts = texts if carried else in_order({*texts, *renames})
    by_place = bool(order and texts and not renames and not set(texts) & set(order))
    named = _by_place(texts, order or ()) if by_place else {text: renames.get(text, text) for text in texts}
    _require_unlike(named, counts, given)
    names = order or tuple(dict.fromkeys(named.values()))
    if len(names) < 2:
        raise UserError(f"the training split has the labels {list(names)}; expected at least two classes; see columns.{column}")
    numbers: dict[Hashable, int] = {name: number for number, name in enumerate(names)}
    index: dict[Hashable, int] = {text: numbers[name] for text, name in named.items() if name in numbers}
    return Classes(names, index if by_place else {**numbers, **index}, by_place)


def _by_place(texts: Sequence[str], order: Sequence[str]) -> dict[str, str]:
    """Names for a column that has none of them: those of its sorted numbers; of other values a place says nothing."""
    pairs = ", ".join(f"{quoted(text)}: NAME" for text in texts[:SHOWN])
    if not all(map(NUMBER.fullmatch, texts)):
        same = {alike(name): name for name in order}
        if all(alike(text) in same for text in texts):
            by_name = {same[alike(text)]: text for text in texts}
            pairs = ", ".join(f"{quoted(by_name.get(name, name))}: {quoted(name)}" for name in order)
        raise UserError(
            f"labels: the rows have {shown(texts)}, none of which is in `labels` ({shown(order)}); rename them, in the model's "
            f"order: labels: [{pairs}]"
        )
    if len(texts) != len(order):
        raise UserError(
            f"labels: the rows have the {len(texts)} numbers {shown(texts)}, `labels` has {len(order)} names; name the numbers: "
            f"labels: {{{pairs}}}; a number that stands for no label goes to `unlabelled`"
        )
    return dict(zip(texts, order, strict=True))


def _require_unlike(named: Mapping[str, str], counts: Counter[Hashable], given: Given) -> None:
    """Refuse values that look the same and are not, unless `labels` says of each what it is."""
    groups: dict[str, list[str]] = {}
    for text in named:
        groups.setdefault(alike(text), []).append(text)
    told = {*given.renames, *(given.order or ())}
    for group in groups.values():
        if len({named[text] for text in group}) > 1 and not told.issuperset(group):
            found = " and ".join(f"{quoted(text)} ({counts[text]} training rows)" for text in group)
            most = max(group, key=lambda text: (_plain(text), counts[text], -len(text), text))
            pairs = ", ".join(f"{quoted(text)}: {quoted(most)}" for text in group if text != most)
            apart = ", ".join(f"{quoted(text)}: {quoted(text)}" for text in group)
            none = f", or if they stand for no label, unlabelled: [{', '.join(map(quoted, group))}]"
            raise UserError(
                f"the labels {found} {_likeness(group)}; make them one class with labels: {{{pairs}}}, or keep "
                f"them apart with labels: {{{apart}}}{none if most.lower() in LIKE_NONE else ''}"
            )


def _likeness(group: Sequence[str]) -> str:
    """Why labels are alike."""
    if len(set(map(_folded, group))) == 1:
        return "differ in case or Unicode form alone"
    if any(len(_parts(text)) > 1 for text in group):
        return f"hold the same names; {SEVERAL}"
    return "are one number in two ways of writing, as when files of floats and of integers are put together"


def _plain(text: str) -> bool:
    """Whether all of a label can be seen and typed."""
    return text.isprintable() and unicodedata.is_normalized("NFKC", text)


def in_order(texts: Iterable[str]) -> list[str]:
    """Numbers by value where all are numbers, else as text."""
    texts = sorted(set(texts))
    return sorted(texts, key=Decimal) if all(map(NUMBER.fullmatch, texts)) else texts


def alike(text: str) -> str:
    """What texts share that are read as one: but for case and form, that is the number of 1 and 1.0, and names in any order."""
    folded = _folded(text)
    whole = WHOLE.fullmatch(folded)
    return whole[1] if whole else ",".join(sorted(_parts(folded)))


def joined(texts: Iterable[str]) -> list[str]:
    """Texts that look like several labels in a cell: of the same names as another one, or of names that are labels alone."""
    known = {text: sorted(_parts(text)) for text in texts}
    often = Counter(map(tuple, known.values()))
    return [text for text, parts in known.items() if len(parts) > 1 and (often[tuple(parts)] > 1 or known.keys() >= {*parts})]


def _parts(text: str) -> list[str]:
    """What commas and the like part, of a text of several names; a comma itself may be a tag."""
    parts = PARTED.split(text)
    return parts if all(parts) else [text]


def _folded(text: str) -> str:
    """Case, Unicode form, blanks and what is not printed do not count."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(letter for letter in folded if unicodedata.category(letter) != "Cf").split())


def quoted(value: Any) -> str:
    """A label as YAML has it, whatever it is made of: what cannot be seen is escaped."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if re.fullmatch(r"[A-Za-z_][\w-]*", text, re.ASCII) and text.lower() not in ("true", "false", "null"):
        return text
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def shown(names: Sequence[str]) -> str:
    """Names, the first of many."""
    return ", ".join(names[:SHOWN]) + (f", … ({len(names)})" if len(names) > SHOWN else "")
