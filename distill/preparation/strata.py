"""Classes of groups of rows, by which splits are cut: some rows are looked at at a time, for there may be many."""

import numpy as np

from distill.core.arrays import Array
from distill.data.long_arrays import distinct, filled, full, new_array, places, steps, taken
from distill.data.rows import Rows


def strata_of(rows: Rows, group: Array, size: Array) -> dict[int, Array]:
    """By class (0 where labels are none), its groups, (groups,) numbers. Those with a transfer row are left out.

    The class of a group is that of most of its rows, the first of as many. `group` is the number of each row's, `size` how many
    rows each has.
    """
    known, labels = rows.labelled, rows.strata
    if labels.dtype.kind != "i":
        labels = np.broadcast_to(np.int64(0), len(known))
    classes, labelled = full(len(size), -1, np.int64), new_array(len(size), np.int64)
    for part in reversed([*steps(len(known))]):
        there = np.flatnonzero(known[part])[::-1] + part.start
        classes[group[there]] = labels[there]
        np.add.at(labelled, group[there], 1)
    _mend(classes, known, labels, group)
    found = [stratum for stratum in distinct(classes) if stratum >= 0]
    for part in steps(len(size)):
        classes[part][labelled[part] != size[part]] = -1
    made, end, strata = new_array(len(size), np.int64), 0, dict[int, Array]()
    for stratum in found:
        own = places(classes == stratum)
        made[end : end + len(own)] = own
        strata[stratum], end = made[end : end + len(own)], end + len(own)
    return strata


def _mend(classes: Array, known: Array, labels: Array, group: Array) -> None:
    """The class of each group, (groups,), of which that of its first row is given, where it is not that of most rows."""
    mixed = np.zeros(len(classes), bool)
    for part in steps(len(known)):
        own = group[part]
        mixed[own[known[part] & (labels[part] != classes[own])]] = True
    unsure = places(filled(len(known), lambda part: known[part] & mixed[group[part]]))
    if not len(unsure):
        return
    labels, group = labels[unsure], group[unsure]
    width = int(labels.max()) + 1
    pairs, first, count = np.unique(group * width + labels, return_index=True, return_counts=True)
    pairs = pairs[np.lexsort((first, -count, pairs // width))]
    groups, most = np.unique(pairs // width, return_index=True)
    classes[groups] = (pairs % width)[most]


def drawn_of(size: Array, groups: Array, quota: int, most: int) -> Array:
    """The first groups that fit what is left of a quota of rows, at least one and at most so many, (groups,) bool."""
    drawn = np.zeros(len(groups), bool)
    for part in steps(len(groups)):
        if quota <= 0 or most <= 0:
            break
        for place, rows in enumerate(size[groups[part]].tolist(), part.start):
            if rows <= quota and most > 0:
                drawn[place] = True
                quota, most = quota - rows, most - 1
    if not drawn.any():
        drawn[taken(size, groups).argmin()] = True
    return drawn


def rows_in(size: Array, groups: Array) -> int:
    """How many rows these groups have."""
    return sum(int(size[groups[part]].sum()) for part in steps(len(groups)))


def spread(positions: Array, strata: Array, most: int, rng: np.random.Generator) -> Array:
    """So many of the positions, in order: each of the strata, (positions,), is put in an order at random, and has its share."""
    place = new_array(len(positions), np.float64)
    for label in distinct(strata):
        members = places(strata == label)
        rng.shuffle(members)
        for part in steps(len(members)):
            place[members[part]] = np.arange(part.start, part.stop) / len(members)
    ordered = filled(len(place), lambda part: place[part].copy())
    ordered.partition(most - 1)
    kept: Array = place < ordered[most - 1]
    kept[places(place == ordered[most - 1])[: most - np.count_nonzero(kept)]] = True
    return taken(positions, places(kept))
