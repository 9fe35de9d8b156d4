"""Schemes of tags for entities: IOB1, IOE, BIOES, BILOU, BMES and their like, all written as BIO."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

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


def scheme_of(tags: Iterable[Any], rows: Iterable[Sequence[Any] | None]) -> str | None:
    """The scheme of the tags that some rows have, if it is one that is to be rewritten; the rows are looked at for IOB1 alone."""
    found = [TAG.fullmatch(tag) if isinstance(tag, str) else None for tag in tags if tag not in (None, "O")]
    letters = {match[1] for match in found if match}
    if not letters or not all(found):
        return None
    if letters <= {"B", "I"}:
        return "IOB1" if _is_iob1(rows) else None
    return next((name for name, those in SCHEMES.items() if letters <= those), None)


def _is_iob1(rows: Iterable[Sequence[Any] | None]) -> bool:
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


def to_bio(row: Sequence[Any]) -> Iterator[Any]:
    """The tags of a row that are of one of the schemes, as BIO."""
    last = "O"
    for tag in row:
        if tag is None or tag == "O":
            yield tag
        else:
            begins = tag[0] in BEGINS or tag[2:] != last[2:] or last[0] in ENDS
            yield ("B" if begins else "I") + tag[1:]
        last = tag or "O"
