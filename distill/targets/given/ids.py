"""Ids of the data, by which answers find their rows: whether each is of one row, and how a table writes it."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from distill.core.errors import UserError
from distill.core.settings import SPLITS
from distill.data.dataset import Dataset, PreparedRows
from distill.params.given import GivenSettings
from distill.preparation.columns import column_of, id_text
from distill.sources.streams import Stream

WHOLE = re.compile(r"0*(\d+)(\.0*)?", re.ASCII)
"""A whole number, whatever zeros are around it."""
UNNAMED = {"train"}
"""The splits of a single file, whatever is in it."""


def ids_are_per_split(tables: Mapping[str, Stream], dataset: Dataset, settings: GivenSettings, where: str) -> bool:
    """Whether an id of the table is of the split that it stands in: so where each file of the data numbers its own rows.

    Raises:
        UserError: an id of the data is of two rows, and the table's splits do not tell which of them it answers.
    """
    if settings.columns.key != "id" or dataset.own_ids("train") is None:
        return False
    alike = tables.keys() <= dataset.splits.keys() and tables.keys() != UNNAMED
    twice = _twice(dataset)
    if twice is not None and not alike:
        raise UserError(
            f"{where}: the id {twice[0]!r:.60} is that of {twice[1]} and of {twice[2]} of {dataset.folder}, which differ, and "
            f"the splits of the table ({', '.join(tables)}) do not tell which it answers; take {text_key(dataset)} as the key "
            f"(columns.{text_key(dataset)}), or give the table a file a split: {', '.join(SPLITS)}"
        )
    return alike and (twice is not None or _recur(tables, where, str(settings.columns.id)))


def text_key(dataset: Dataset) -> str:
    """The key that is no id."""
    return "tokens" if dataset.spec.labels_per_token else "text"


def _twice(dataset: Dataset) -> tuple[str, str, str] | None:
    """An id that is of different rows in two splits, and where these are; None if there is none."""
    first: dict[str, tuple[str, bytes, str]] = {}
    for split in SPLITS:
        ids = dataset.rows(split).ids
        for row, name in enumerate(dataset.own_ids(split) or ()):
            there, identity, place = first.setdefault(name, (split, ids[row].tobytes(), f"row {row} of {split}"))
            if there != split and identity != ids[row].tobytes():
                return name, place, f"row {row} of {split}"
    return None


def _recur(tables: Mapping[str, Stream], where: str, column: str) -> bool:
    """Whether two splits of a table have one id."""
    seen: set[str] = set()
    for split, stream in tables.items():
        own = set(map(id_text, column_of(stream.table([column]), f"{where}: {split}", column, "id")))
        if seen & own:
            return True
        seen |= own
    return False


def require_one_row_an_id(ids: Sequence[str], rows: PreparedRows, where: str, advice: str) -> None:
    """An id that two different rows have, such as one of the training file and one of a transfer source, is no key."""
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        other = first.setdefault(name, row)
        if not np.array_equal(rows.ids[other], rows.ids[row]):
            raise UserError(f"{where}: rows {other} and {row} differ and have the same id, {name!r:.60}; {advice}")


def written_otherwise(missing: Iterable[tuple[str, ...]], answers: Iterable[tuple[str, ...]], kind: str = "id") -> str:
    """What to do where the table has what lacks an answer in another way of writing; empty if it has none.

    That is: a number with other zeros, texts with other blanks, case or Unicode form, texts of a pair the other way round.
    """
    there = {_plain(key, kind): key for key in answers}
    for key in missing:
        other = there.get(_plain(key, kind), key)
        if other != key:
            own, theirs = (each[-1] if kind == "id" else (" | " if kind == "text" else " ").join(each) for each in (key, other))
            return f"; the data set has the {kind} {own!r:.60}, the table {theirs!r:.60}: write them alike"
    return ""


def _plain(key: tuple[str, ...], kind: str) -> tuple[str, ...]:
    if kind != "id":
        parts = [" ".join(unicodedata.normalize("NFKC", part).casefold().split()) for part in key]
        return tuple(sorted(parts) if kind == "text" else parts)
    found = WHOLE.fullmatch(key[-1].strip())
    return (*key[:-1], found[1] if found else key[-1])
