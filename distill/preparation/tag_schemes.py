"""Schemes of tags for entities: IOB1, IOE, BIOES, BILOU, BMES and their like, all written as BIO."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from distill.core.console import print_result

TAG = re.compile(r"([BIOESLUMW])-(.+)", re.DOTALL)
BEGINS, ENDS, SINGLE = frozenset("BSUW"), frozenset("ESLUW"), frozenset("SUW")
SCHEMES = {
    "IOE": frozenset("IE"),
    "BIOES": frozenset("BIES"),
    "BILOU": frozenset("BILU"),
    "BMES": frozenset("BMES"),
    "BMEWO": frozenset("BMEW"),
}
"""The letters of each scheme beside O."""


def to_bio(rows: Iterable[Sequence[Any] | None], where: str) -> list[Any]:
    """The tags of all rows of a split as BIO, said in one line; what is BIO already, or of no scheme, stays as it is."""
    rows = list(rows)
    scheme = _scheme(rows)
    if scheme is None:
        return rows
    print_result(f"{where}: its tags are of the scheme {scheme}, and read as BIO")
    return [None if row is None else list(_bio(row)) for row in rows]


def _scheme(rows: Sequence[Sequence[Any] | None]) -> str | None:
    """The scheme that is to be rewritten, if there is one."""
    tags = {tag for row in rows for tag in row or () if tag is not None}
    found = [TAG.fullmatch(tag) if isinstance(tag, str) else None for tag in tags - {"O"}]
    letters = {match[1] for match in found if match}
    if not letters or not all(found):
        return None
    if letters <= {"B", "I"}:
        return "IOB1" if _is_iob1(rows) else None
    return next((name for name, those in SCHEMES.items() if letters <= those), None)


def _is_iob1(rows: Sequence[Sequence[Any] | None]) -> bool:
    """Whether I begins entities, and B only those that touch another of their type."""
    begun = False
    for row in rows:
        last = "O"
        for tag in row or ():
            touches = tag is not None and tag != "O" and last[2:] == tag[2:]
            if tag is not None and tag[0] == "B" and not touches:
                return False
            begun = begun or (tag is not None and tag[0] == "I" and not touches)
            last = tag or "O"
    return begun


def _bio(row: Sequence[Any]) -> Iterator[Any]:
    last = "O"
    for tag in row:
        if tag is None or tag == "O":
            yield tag
        else:
            begins = tag[0] in BEGINS or tag[2:] != last[2:] or last[0] in ENDS
            yield ("B" if begins else "I") + tag[1:]
        last = tag or "O"
