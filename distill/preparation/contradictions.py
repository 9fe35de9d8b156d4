"""Texts that stand in a split more than once with different labels: whatever is learnt from one of them, another denies."""

from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.data.columns import Column
from distill.data.rows import Rows
from distill.preparation.keys import group_numbers


def contradictions(rows: Rows, keys: Array, examples: int = 5) -> dict[str, Any]:
    """How many texts have rows whose labels differ, and of the first such texts two rows each, by their numbers in the raw file.

    `keys` are hashes of the rows' texts, (rows, 16) uint8, alike where words are parted otherwise: tags are of the same words
    alone. Rows without a label contradict nothing.
    """
    places = np.flatnonzero(rows.labelled)
    groups = group_numbers(keys)[places]
    often = np.flatnonzero(np.bincount(groups, minlength=1)[groups] > 1)
    places, groups = places[often], groups[often]
    labels = _comparable(rows.labels, places)
    words = [tuple(text) if isinstance(text, list) else None for text in rows.texts.take(places)]
    first: dict[Any, int] = {}
    found: dict[int, tuple[int, int]] = {}
    for row, (place, group) in enumerate(zip(places.tolist(), groups.tolist(), strict=True)):
        earlier = first.setdefault((group, words[row]), row)
        if labels[row] != labels[earlier] and group not in found:
            found[group] = int(rows.numbers[places[earlier]]), int(rows.numbers[place])
    return {"texts": len(found), "examples": [list(pair) for pair in list(found.values())[:examples]]}


def _comparable(labels: Array | Column, places: Array) -> list[Any]:
    if isinstance(labels, Column):
        return [[*label] for label in labels.take(places)]
    return [*labels[places].tolist()]
