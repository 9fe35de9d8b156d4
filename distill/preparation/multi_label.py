"""The raw labels of rows that may have any number: lists of names, or a column of 0 and 1 a label."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.errors import UserError
from distill.data.columns import Column
from distill.data.rows import Rows
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.columns import column_of, map_rows, optional_column
from distill.preparation.labels import Reader
from distill.preparation.nested import as_text

APPLIES = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
"""What a column of one label may hold, as text in any case."""
HOT = (
    "which looks like 0 or 1 for each label; write a column of 0 and 1 for each (columns.labels), or lists of the labels that "
    "apply, each once"
)
FILLING = {"-1", "-1.0"}
FILLED = 'in which -1 is taken for no label; write lists without it, or if it is a label: labels: {"-1": NAME}'
PROBABILITIES = "probabilities are answers of a teacher: docs/params/given.yaml"


def map_several(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Texts or pairs, and (rows,) lists of raw labels, which may be none at all; None for a transfer row."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    rows = map_rows(table, where, settings, Column.nothing(table.num_rows))
    if columns.labels is None:
        labels = _listed(table, where, settings, bad)
    else:
        labels = _marked(table, where, columns.labels, Reader(unlabelled=settings.unlabelled or ()), bad)
    found = {row: why for row, why in bad.found.items() if row not in rows.dropped}
    return replace(rows, labels=labels.take(rows.numbers)).without(found)


def _listed(table: pa.Table, where: str, settings: DatasetSettings, bad: BadRows) -> Column:
    """Lists of labels; −1 in one, by which lists of numbers are filled to one length, is none unless `labels` names it."""
    name, marks, filled = str(settings.columns.label), Marks(), dict[int, str]()
    filling = FILLING if "-1" not in {*settings.renames, *(settings.order or ())} else set[str]()
    lists = optional_column(table, where, name, "label")
    for row, labels in enumerate(lists):
        if labels is None:
            continue
        if not isinstance(labels, list):
            raise UserError(
                f"{where}: row {row}: column '{name}' holds {labels!r:.60}, expected a list of labels (empty if none applies, "
                f"null for a transfer row); or name a column of 0 and 1 for each label: columns.labels{as_text(labels)}"
            )
        if (why := _no_labels(labels)) is not None:
            bad.add(row, "unknown label", f"column '{name}' holds {labels!r:.60}, {why}")
        elif not filling.isdisjoint(map(str, labels)) and (bad.drop or not filled):
            filled[row] = f"column '{name}' holds {labels!r:.60}, {FILLED}"
        marks.add(row, labels)
    if marks.row is not None:
        raise UserError(f"{where}: row {marks.row}: column '{name}' holds {lists[marks.row]!r:.60}, {HOT}")
    for row, details in filled.items():
        bad.add(row, "unknown label", details)
    return lists


def _no_labels(labels: Sequence[Any]) -> str | None:
    """What is wrong with a list of labels."""
    if any(label is None or (isinstance(label, str) and not label.strip()) for label in labels):
        return "expected a list of labels without null or empty ones ([]: none applies)"
    broken = next((label for label in labels if is_fraction(label)), None)
    return None if broken is None else f"in which {broken!r:.20} is no label; {PROBABILITIES}"


def is_fraction(value: Any) -> bool:
    """Whether a label in a list is a number that is not whole."""
    return isinstance(value, float) and not value.is_integer()


@dataclass
class Marks:
    """Whether all rows that were added say 0 or 1 of each label: lists of one length, in which a number recurs.

    Of two labels, of which one always applies, none does; then 0 and 1 stand in both orders.
    """

    possible: bool = True
    again: int | None = None
    """The first row in which a number recurs."""
    orders: dict[tuple[str, ...], int] = field(default_factory=dict)
    """The first row of each list."""

    def add(self, row: int, labels: Sequence[Any] | None) -> None:
        """Look at the labels of a row; one without tells nothing."""
        if not labels or not self.possible:
            return
        one_length = len(labels) == len(next(iter(self.orders), labels))
        self.possible = one_length and {str(label).lower() for label in labels} <= {*APPLIES, "-1"}
        if self.possible:
            self.orders.setdefault(tuple(map(str, labels)), row)
            self.again = row if self.again is None and len({*labels}) < len(labels) else self.again

    @property
    def row(self) -> int | None:
        """The first row that does, if all do."""
        turns = len(self.orders) > 1 and len(next(iter(self.orders))) > 1
        first = next(iter(self.orders.values())) if turns and self.again is None else self.again
        return first if self.possible else None


def _marked(table: pa.Table, where: str, names: Sequence[str], reader: Reader, bad: BadRows) -> Column:
    """Of each row the names of the columns that say 1."""
    cells = Column.of_tuples([column_of(table, where, name, "labels") for name in names])
    labelled = np.zeros(len(cells), bool)

    def marks(row: Sequence[Any]) -> dict[str, str | None]:
        texts = zip(names, map(reader.read, row), strict=True)
        return {name: None if text is None else str(text).lower() for name, text in texts}

    for number, row in enumerate(cells):
        read = marks(row)
        labelled[number] = any(read.values())
        odd = next((place for place, mark in enumerate(read.values()) if mark not in APPLIES), None)
        if labelled[number] and odd is not None:
            expected = f"expected 0 or 1, or all of {', '.join(names)} empty for a transfer row"
            bad.add(number, "unknown label", f"column '{names[odd]}' holds {row[odd]!r:.40}, {expected}")
    return cells.where(labelled).map(lambda row: [name for name, mark in marks(row).items() if APPLIES[str(mark)]])
