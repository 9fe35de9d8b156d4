"""Which columns of raw rows may be labels, told from their names and values."""

from collections.abc import Sequence
from typing import Any

from distill.preparation.label_columns import LABELS
from distill.preparation.multi_label import APPLIES
from distill.preparation.nested import nested
from distill.profiling.likeness import Rank, is_prose, measures, most, numbers, rank_of_label
from distill.profiling.raw_rows import RawRows, are_text, nearly_all
from distill.profiling.usual_names import OF_PAIRS, TEXTS

MOST_CLASSES = 200
CLASS_CHARACTERS = 60
"""A column of more values, or of longer ones, is no column of classes unless its name says so."""
FEW = 10
"""Numbers of more values than these may be measured ones."""


def marks(rows: RawRows, taken: set[str | None]) -> tuple[str, ...]:
    """All columns of 0 and 1, if there are several; of those whose names say where a row is from none, if others are left."""
    found = [
        name
        for name in rows.values
        if name not in taken and {str(value).lower() for value in rows.present(name)} <= APPLIES.keys()
    ]
    found = [name for name in found if rank_of_label(name) < Rank.DESCRIBES] or found
    return tuple(found) if len(found) > 1 else ()


def candidates(rows: RawRows, taken: set[str]) -> list[str]:
    """Columns that may be labels, the likeliest first: of usual names, then of few and short values that recur, and no marks.

    Of other names the likeliest say what a row means, the last where it is from. Lists and records in place of labels come alone,
    to be refused: another column is not what is meant. Columns of the usual names of texts are none.
    """
    found = {name.lower(): name for name in reversed(rows.values) if name not in taken}
    usual = [found[name] for name in LABELS if name in found]
    plain = [name for name in usual if are_lists_of_labels(rows.present(name)) or not all(map(nested, rows.present(name)))]
    if usual and not plain:
        return usual
    few, together = {}, marks(rows, {*taken})
    for name in rows.values:
        values = rows.present(name)
        classes = all(isinstance(value, (str, int)) or (isinstance(value, float) and value.is_integer()) for value in values)
        text = name.lower() in TEXTS or (name.lower() in OF_PAIRS and are_text(values) and most(is_prose, values, len(values)))
        if name in (*taken, *together, *plain) or text or not classes:
            continue
        distinct = set(map(str, values))
        if 2 <= len(distinct) <= min(MOST_CLASSES, len(values) / 3) and max(map(len, distinct)) <= CLASS_CHARACTERS:
            few[name] = len(distinct)
    return [*plain, *sorted(few, key=lambda name: (rank_of_label(name), few[name]))]


def outweigh(together: Sequence[str], label: str) -> bool:
    """Whether several columns of 0 and 1 are likelier labels than one of a few values.

    So if that says where a row is from; if its name says nothing, three of them are.
    """
    rank = rank_of_label(label)
    return (rank == Rank.DESCRIBES and len(together) > 1) or (rank == Rank.UNKNOWN and len(together) > 2)


def are_lists_of_labels(values: list[Any]) -> bool:
    """Whether all are lists of names, or of whole numbers."""
    return bool(values) and all(
        isinstance(value, list) and all(isinstance(item, str | int) for item in value) for value in values
    )


def are_measured(name: str, values: list[Any]) -> bool:
    """Whether labels are numbers to be predicted: broken ones, whole ones of a wide range, or of a name that says so.

    A few that are no numbers (`NA`, `inf`) do not make classes of the others: `prepare` names their rows.
    """
    distinct = {each for value in values for each in numbers([value]) or []}
    if not nearly_all(lambda value: numbers([value]) is not None, values) or len(distinct) <= FEW:
        return False
    return len(distinct) > MOST_CLASSES or measures(name) or not all(each.is_integer() for each in distinct)
