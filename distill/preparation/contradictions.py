"""Texts that stand in a split more than once with different labels: whatever is learnt from one of them, another denies."""

from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.data.columns import ROWS, Column
from distill.data.long_arrays import counted, filled, places, taken, tally
from distill.data.rows import Rows
from distill.preparation.keys import first_rows, group_numbers, keys_of

EXAMPLES = 5
"""Texts that are shown."""


def contradictions(rows: Rows, keys: Array) -> dict[str, Any]:
    """How many texts have rows whose labels differ, and of the first such texts two rows each, by their numbers in the raw file.

    `keys` are hashes of the rows' texts, (rows, 16) uint8, alike where words are parted otherwise: tags are of the same words
    alone. Rows without a label contradict nothing.
    """
    groups = group_numbers(keys)
    often = _often(groups, rows.labelled)
    first = first_rows(_exact(rows, keys, often))
    again = places(first != counted(len(first)))
    found, shown = np.zeros(len(groups), bool), list[list[int]]()
    for start in range(0, len(again), ROWS):
        some = again[start : start + ROWS]
        own, earlier = often[some], often[first[some]]
        labels, others = (_comparable(rows.labels, which) for which in (own, earlier))
        for place, group in enumerate(groups[own].tolist()):
            if labels[place] != others[place] and not found[group]:
                found[group] = True
                if len(shown) < EXAMPLES:
                    shown.append(rows.numbers[[earlier[place], own[place]]].tolist())
    return {"texts": int(np.count_nonzero(found)), "examples": shown}


def _often(groups: Array, labelled: Array) -> Array:
    """The rows with a label whose group has several of them."""
    count = tally(taken(groups, places(labelled)), len(groups))
    return places(filled(len(groups), lambda part: labelled[part] & (count[groups[part]] > 1)))


def _exact(rows: Rows, keys: Array, which: Array) -> Array:
    """The keys of these rows, of lists of words as they stand."""
    if len(which) and isinstance(rows.texts[int(which[0])], list):
        return keys_of(map(repr, rows.texts.take(which)), len(which))
    return taken(keys, which)


def _comparable(labels: Array | Column, places: Array) -> list[Any]:
    if isinstance(labels, Column):
        return [[*label] for label in labels.take(places)]
    return [*labels[places].tolist()]
