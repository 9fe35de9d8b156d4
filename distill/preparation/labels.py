"""Raw labels, tags and scores into numbers."""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED

OUTSIDE = "O"
"""The tag of a word that is in no entity."""

NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
"""A number that a file of text holds, such as a CSV."""

BIO = re.compile(r"O|[BI]-.+")


def class_names(table: pa.Table, label: str) -> tuple[str, ...] | None:
    """The class names that a hub data set carries in its schema for a column of labels, or of lists of them, if it does."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(label, {})
    while isinstance(feature, list) or (isinstance(feature, dict) and "feature" in feature):
        feature = feature[0] if isinstance(feature, list) else feature["feature"]
    return tuple(feature["names"]) if isinstance(feature, dict) and "names" in feature else None


def label_names(
    train_labels: Iterable[Any], carried: Sequence[str] | None, given: Sequence[str] | None, setting: str = "columns.label"
) -> tuple[str, ...]:
    """The label names in the model's order: those given, else those the source carries, else the sorted values."""
    if given or carried:
        return tuple(given or carried or ())
    values = {value for value in train_labels if value is not None and value != -1}
    numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    names = tuple(str(value) for value in (sorted(values) if numbers else sorted(map(str, values))))
    if len(names) < 2:
        raise UserError(f"the training split has the labels {list(names)}; expected at least two classes; see {setting}")
    if numbers and list(names) != [str(i) for i in range(len(names))]:
        raise UserError(f"the labels are the numbers {', '.join(names)}, expected 0, 1, …; give their names in `labels`")
    return names


def tag_names(train_tags: Iterable[Any], carried: Sequence[str] | None, given: Sequence[str] | None) -> tuple[str, ...]:
    """The tag names in the model's order: as `label_names`, with O first where they are sorted."""
    values = [tag for tags in train_tags if tags is not None for tag in tags]
    names = label_names(values, carried, given, "columns.tags")
    wrong = [name for name in names if not BIO.fullmatch(name)]
    if wrong:
        raise UserError(f"the tag {wrong[0]!r:.60} is not of the BIO scheme (O, B-type, I-type); rename the tags")
    return names if carried or given else tuple(sorted(names, key=lambda name: (name != OUTSIDE, name)))


def number_labels(values: Iterable[Any], names: Sequence[str], where: str, carried: Sequence[str] | None = None) -> Array:
    """Labels as indices into `names`, (rows,) int64; UNLABELLED for None and for the hub's −1."""
    number = _numbering(names, carried, "the training rows' labels, or the data set's `labels`")
    return np.array([number(value, f"{where}: row {row}: label") for row, value in enumerate(values)], dtype=np.int64)


def number_tags(values: Iterable[Any], names: Sequence[str], where: str, carried: Sequence[str] | None = None) -> Array:
    """Lists of tags as lists of indices into `names`, (rows,) objects; None for a row without any tag."""
    number = _numbering(names, carried, "the training rows' tags, or the data set's `labels`")
    rows = [
        [number(tag, f"{where}: row {row}: token {i}: tag") for i, tag in enumerate(tags or [])]
        for row, tags in enumerate(values)
    ]
    return np.fromiter((tags if set(tags) - {UNLABELLED} else None for tags in rows), object, len(rows))


def number_scores(values: Iterable[Any], where: str) -> Array:
    """Scores of regression, (rows,) float32; NaN for None. A split of −1 alone is the hub's way to say that it has none."""
    values = [float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value for value in values]
    for row, value in enumerate(values):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)):
            raise UserError(f"{where}: row {row}: label {value!r:.60}, expected a finite number, or null for a transfer row")
    hidden = set(values) == {-1}
    return np.array([math.nan if value is None or hidden else value for value in values], np.float32)


def _numbering(names: Sequence[str], carried: Sequence[str] | None, origin: str) -> Callable[[Any, str], int]:
    """What numbers one label, given what to call it in an error.

    An integer is a position in `carried` (the source's own order) if these are the same names; else it is a name where names
    are numbers, and a position in `names` where they are words.
    """
    index: dict[Any, int] = {name: i for i, name in enumerate(names)}
    positions = carried if carried and set(carried) == set(names) else names
    names_are_numbers = not carried and any(name.isdigit() for name in names)

    def number(value: Any, what: str) -> int:
        if value is None or (value == -1 and "-1" not in index):
            return UNLABELLED
        if isinstance(value, int) and not isinstance(value, bool) and not names_are_numbers and 0 <= value < len(names):
            return index[positions[value]]
        if str(value) in index:
            return index[str(value)]
        raise UserError(f"{what} {value!r:.60} is unknown; expected one of {', '.join(names)} ({origin})")

    return number
