"""How far a long task is: a bar with its rate and the time left on terminals, plain lines elsewhere, nothing if unwanted."""

import io
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from distill.core.console import print_progress, quiet

SECONDS_A_LINE = 30.0
LINE = "{desc}: {n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {remaining} left"
COUNTED = "{desc}: {n_fmt} {unit}s, {rate_fmt}"
"""The line where the total is unknown."""


def bar(
    items: Iterable[Any] | None = None, *, total: int | None = None, title: str | None, unit: str, **more: Any
) -> "tqdm[Any]":
    """Items that are counted as they are taken, or a bar to `update`; no title shows nothing. `more` goes to tqdm.

    `total` is needed where items have no length, and may be unknown; `unit` is in the singular.
    """
    if title is None or quiet():
        return tqdm(items, total=total, disable=True)
    if sys.stderr.isatty():
        return tqdm(items, total=total, desc=title, unit=unit, leave=False, dynamic_ncols=True, **more)
    return Lines(items, total=total, desc=title, unit=unit, **more)


def with_progress(batches: Iterable[Any], title: str) -> Iterator[Any]:
    """Record batches as they come, whose rows are counted; how many there will be is unknown."""
    with bar(title=title, unit="row") as progress:
        for batch in batches:
            yield batch
            progress.update(batch.num_rows)


class Lines(tqdm):  # type: ignore[type-arg]
    """The same as plain lines, none for what is done sooner than SECONDS_A_LINE."""

    def __init__(self, items: Iterable[Any] | None = None, **settings: Any) -> None:
        """Like a bar of tqdm."""
        often: dict[str, Any] = {"mininterval": SECONDS_A_LINE, "delay": SECONDS_A_LINE, "miniters": 1}
        super().__init__(items, bar_format=LINE, file=io.StringIO(), leave=False, **often, **settings)
        if self.total is None:
            self.bar_format = COUNTED

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """A line; tqdm clears a bar by an empty message."""
        if msg is None:
            print_progress(str(self))
