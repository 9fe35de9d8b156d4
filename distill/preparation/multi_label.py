"""The raw labels of rows that may have any number: lists of names, or a column of 0 and 1 a label."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.errors import UserError
from distill.data.rows import Rows
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.columns import column_of, map_texts, optional_column
from distill.preparation.labels import Reader

APPLIES = {"0": False, "false": False, "1": True, "true": True}
"""What a column of one label may hold, as text in any case."""


def map_several(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Texts or pairs, and (rows,) objects: the raw labels of each row, which may be none at all; None for a transfer row."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    unlabelled = columns.model_copy(update={"label": "label"})
    texts = table.drop_columns(["label"]) if "label" in table.column_names else table
    rows = map_texts(texts, where, settings.model_copy(update={"columns": unlabelled}))
    if columns.labels is None:
        lists = _listed(table, where, columns.label, bad)
    else:
        lists = _marked(table, where, columns.labels, Reader(unlabelled=settings.unlabelled or ()), bad)
    labels = np.fromiter(lists, object, len(lists))
    return replace(rows, labels=labels[rows.numbers]).without(
        {row: why for row, why in bad.found.items() if row not in rows.dropped}
    )


def _listed(table: pa.Table, where: str, name: str, bad: BadRows) -> list[list[Any] | None]:
    lists = optional_column(table, where, name, "label")
    for row, labels in enumerate(lists):
        if labels is not None and not isinstance(labels, list):
            raise UserError(
                f"{where}: row {row}: column '{name}' holds {labels!r:.60}, expected a list of labels (empty if none applies, "
                "null for a transfer row); or name a column of 0 and 1 for each label: columns.labels"
            )
        if labels is not None and None in labels:
            bad.add(row, "unknown label", f"column '{name}' holds {labels!r:.60}, expected a list of labels without null")
    return lists


def _marked(table: pa.Table, where: str, names: Sequence[str], reader: Reader, bad: BadRows) -> list[list[str] | None]:
    """Of each row the names of the columns that say 1."""
    values = zip(*(column_of(table, where, name, "labels") for name in names), strict=True)
    return [_marks(dict(zip(names, row, strict=True)), number, reader, bad) for number, row in enumerate(values)]


def _marks(row: Mapping[str, Any], number: int, reader: Reader, bad: BadRows) -> list[str] | None:
    marks = {name: None if (text := reader.read(value)) is None else str(text).lower() for name, value in row.items()}
    if not any(marks.values()):
        return None
    odd = next((name for name, mark in marks.items() if mark not in APPLIES), None)
    if odd is not None:
        expected = f"expected 0 or 1, or all of {', '.join(marks)} empty for a transfer row"
        bad.add(number, "unknown label", f"column '{odd}' holds {row[odd]!r:.40}, {expected}")
        return None
    return [name for name, mark in marks.items() if mark is not None and APPLIES[mark]]
