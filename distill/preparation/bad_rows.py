"""Rows that cannot be used: the first is refused, or all are left out and listed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from distill.core.errors import UserError


@dataclass
class BadRows:
    """Those of one raw split, by the task's reader."""

    where: str
    drop: bool
    found: dict[int, str] = field(default_factory=dict)
    """By row number: what is wrong, as REASON: DETAILS."""

    def add(self, row: int, reason: str, details: str) -> None:
        """Refuse a row, or remember it; the first reason counts."""
        if not self.drop:
            raise UserError(f"{self.where}: row {row}: {details} (to leave out such rows: bad_rows: drop)")
        self.found.setdefault(row, f"{reason}: {details}")


def count_reasons(reasons: Iterable[str]) -> str:
    """How often each reason is one, such as `2 empty text, 1 unknown label`."""
    counts = Counter(reason.partition(":")[0] for reason in reasons)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
