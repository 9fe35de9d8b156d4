"""Which columns of raw rows may be labels, told from their names and values."""

from collections.abc import Sequence
from typing import Any

from distill.preparation.label_columns import LABELS
from distill.preparation.labels import LIKE_NONE
from distill.preparation.multi_label import APPLIES
from distill.preparation.nested import nested
from distill.profiling.likeness import Rank, measures, numbers, rank_of_label
from distill.profiling.raw_rows import RawRows, are_prose, nearly_all
from distill.profiling.usual_names import OF_PAIRS, TEXTS

MOST_CLASSES = 200
CLASS_CHARACTERS = 60
"""A column of more values, or of longer ones, is no column of classes unless its name says so."""
NO_NUMBERS = {*LIKE_NONE, "inf", "-inf", "infinity", "-infinity"}
"""What stands among numbers in place of one."""
FEW = 10
"""Numbers of more values than these may be measured ones."""


def marks(rows: RawRows, taken: set[str | None]) -> tuple[str, ...]:
    """All columns of 0 and 1, if there are several; beside one that says what rows mean, none that say where they are from."""
    found = [
        name
        for name in rows.values
        if name not in taken and {str(value).lower() for value in rows.present(name)} <= APPLIES.keys()
    ]
    ranks = {name: rank_of_label(name) for name in found}
    found = [name for name in found if ranks[name] < Rank.DESCRIBES or Rank.MEANS not in ranks.values()]
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
        if name in (*taken, *together, *plain) or _is_text(name, values) or not classes:
            continue
        distinct = set(map(str, values))
        if 2 <= len(distinct) <= min(MOST_CLASSES, len(values) / 3) and max(map(len, distinct)) <= CLASS_CHARACTERS:
            few[name] = len(distinct)
    return [*plain, *sorted(few, key=lambda name: (rank_of_label(name), few[name]))]


def _is_text(name: str, values: list[Any]) -> bool:
    """Whether a name is that of a text, and so no label's; an answer may be both."""
    if name.lower() == "answer":
        return are_prose(values)
    return name.lower() in (*TEXTS, *OF_PAIRS)


def outweigh(together: Sequence[str], label: str) -> bool:
    """Whether columns of 0 and 1 are likelier labels than one of a few values: three are, unless that says what a row means.

    What a row is or has (`is_reply`, `has_link`) does not count.
    """
    return rank_of_label(label) > Rank.MEANS and sum(not name.lower().startswith(("is_", "has_")) for name in together) > 2


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
    others = {str(value).strip().lower() for value in values if numbers([value]) is None}
    if not nearly_all(lambda value: numbers([value]) is not None, values) or not others <= NO_NUMBERS or len(distinct) <= FEW:
        return False
    return len(distinct) > MOST_CLASSES or measures(name) or not all(each.is_integer() for each in distinct)
