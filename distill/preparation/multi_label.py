"""The raw labels of rows that may have any number: lists of names, or a column of 0 and 1 a label."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
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
PROBABILITIES = "probabilities are answers of a teacher: docs/params/given.yaml"


def map_several(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Texts or pairs, and (rows,) lists of raw labels, which may be none at all; None for a transfer row."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    rows = map_rows(table, where, settings, Column.nothing(table.num_rows))
    if columns.labels is None:
        labels = _listed(table, where, str(columns.label), bad)
        _look_for_filling(labels, settings, bad)
    else:
        labels = _marked(table, where, columns.labels, Reader(unlabelled=settings.unlabelled or ()), bad)
    found = {row: why for row, why in bad.found.items() if row not in rows.dropped}
    return replace(rows, labels=labels.take(rows.numbers)).without(found)


def _listed(table: pa.Table, where: str, name: str, bad: BadRows) -> Column:
    lists = optional_column(table, where, name, "label")
    for row, labels in enumerate(lists):
        if labels is not None and not isinstance(labels, list):
            raise UserError(
                f"{where}: row {row}: column '{name}' holds {labels!r:.60}, expected a list of labels (empty if none applies, "
                f"null for a transfer row); or name a column of 0 and 1 for each label: columns.labels{as_text(labels)}"
            )
        if labels is not None and any(label is None or (isinstance(label, str) and not label.strip()) for label in labels):
            details = (
                f"column '{name}' holds {labels!r:.60}, expected a list of labels without null or empty ones ([]: none applies)"
            )
            bad.add(row, "unknown label", details)
        elif labels is not None and (broken := next((each for each in labels if is_fraction(each)), None)) is not None:
            details = f"column '{name}' holds {labels!r:.60}, in which {broken!r:.20} is no label; {PROBABILITIES}"
            bad.add(row, "unknown label", details)
    if (marks := marks_of(lists)) is not None:
        raise UserError(f"{where}: row {marks}: column '{name}' holds {lists[marks]!r:.60}, {HOT}")
    return lists


def _look_for_filling(lists: Column, settings: DatasetSettings, bad: BadRows) -> None:
    """−1 among labels, by which lists of numbers are filled to one length, is none unless `labels` names it."""
    if "-1" in {*settings.renames, *(settings.order or ())}:
        return
    for row, labels in enumerate(lists):
        if labels and not FILLING.isdisjoint(map(str, labels)):
            details = f"column '{settings.columns.label}' holds {labels!r:.60}, in which -1 is taken for no label"
            advice = 'write lists without it, or if it is a label: labels: {"-1": NAME}'
            bad.add(row, "unknown label", f"{details}; {advice}")


def is_fraction(value: Any) -> bool:
    """Whether a label in a list is a number that is not whole."""
    return isinstance(value, float) and not value.is_integer()


def marks_of(lists: Iterable[Any]) -> int | None:
    """The first row that says 0 or 1 of each label, where all rows do: lists of one length, in which a number recurs.

    Of two labels, of which one always applies, none does; then 0 and 1 stand in both orders.
    """
    first, lengths, orders = None, set(), dict[str, int]()
    for row, labels in enumerate(lists):
        if not labels:
            continue
        lengths.add(len(labels))
        if len(lengths) > 1 or not {str(each).lower() for each in labels} <= {*APPLIES, "-1"}:
            return None
        orders.setdefault(" ".join(map(str, labels)), row)
        first = row if first is None and len({*labels}) < len(labels) else first
    return next(iter(orders.values())) if first is None and len(orders) > 1 and lengths != {1} else first


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
