"""Samples of rows that keep the share of each of several labels, or groups whole."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.groups import groups_of
from distill.data.rows import Rows

DEFAULT_FRACTION = 0.1
"""Of the training rows, for a split that neither the source nor params.yaml has; or as much as holds a row of each class."""


def rows_of(split: str, fraction: float | None, rows: int, classes: int) -> int:
    """How many rows a split gets that is cut from so many of so many classes, each of which it has to hold."""
    count = round((DEFAULT_FRACTION if fraction is None else fraction) * rows)
    if count >= classes or classes == 1:
        return max(1, count)
    if fraction is not None:
        least = enough(rows, classes)
        raise UserError(f"splits.{split}: {count} of {rows} rows cannot hold each of {classes} classes; write {least} or more")
    print_result(f"splits.{split}: {classes} of {rows} rows are cut, not {count}, so that each of {classes} classes is there")
    return classes


def enough(rows: int, classes: int) -> float:
    """The usual fraction of so many rows, or the least that holds a row of each class."""
    return max(DEFAULT_FRACTION, math.ceil(1000 * classes / max(1, rows)) / 1000)


def assign_by_labels(rows: Rows, cuts: Mapping[str, float | None], group: Array, seed: int) -> tuple[Array, Array]:
    """The part of each row, (rows,) int64: 0 for training, then those of `cuts`; and the labels that are too rare to be cut.

    Rows of one `group`, (rows,) numbers, are drawn together, as if all had the labels of each; with a transfer row among them
    they stay. So do all rows of a label in fewer groups than there are parts. Each other label is in each part, if it can be.
    """
    labels = np.asarray(rows.labels)
    applies: Array = np.zeros((group.max() + 1, labels.shape[1]), bool)
    np.logical_or.at(applies, group, labels == 1)
    counts = applies.sum(axis=0)
    rare, often = (counts > 0) & (counts <= len(cuts)), counts > len(cuts)
    transfer = np.isin(np.arange(len(applies)), group[~rows.labelled])
    free, room = np.flatnonzero(~transfer & ~applies[:, rare].any(axis=1)), list[int]()
    for split, fraction in cuts.items():
        room.append(rows_of(split, fraction, int((~transfer).sum()), 1))
        if sum(room) >= len(free):
            left = len(free) - sum(room[:-1])
            raise UserError(
                f"splits.{split}: {room[-1]} of {left} different texts cannot be cut; change the fraction, or add rows"
            )
    parts, applies = np.zeros(len(applies), np.int64), applies[free]
    parts[free] = _cut(applies, room, np.full(len(free), -1), seed)
    if not all(applies[parts[free] == number][:, often].any(axis=0).all() for number in range(len(room) + 1)):
        parts[free] = _cut(applies, room, _one_each(applies, room, seed), seed)
    return parts[group], np.flatnonzero(rare)


def _cut(applies: Array, room: Sequence[int], placed: Array, seed: int) -> Array:
    """The part of each row, (rows,): 0, or one of those with room for so many; rows of which `placed` is not −1 are there."""
    parts, left = np.zeros(len(applies), np.int64), np.arange(len(applies))
    for number, count in enumerate(room, start=1):
        sides = np.where(placed[left] == number, 1, np.minimum(placed[left], 0))
        drawn = left[sample_by_labels(applies[left], count, seed, sides)]
        parts[drawn], left = number, np.setdiff1d(left, drawn)
    return parts


def _one_each(applies: Array, room: Sequence[int], seed: int) -> Array:
    """The part of some rows, −1 of the others, (rows,): as far as there are rows and room, each label is in each part."""
    rng, placed, free = np.random.default_rng(seed), np.full(len(applies), -1), [len(applies) - sum(room), *room]
    for label in np.argsort(applies.sum(axis=0), kind="stable"):
        for part in range(len(free)):
            able = np.flatnonzero(applies[:, label] & (placed < 0))
            if free[part] and len(able) and not applies[placed == part, label].any():
                placed[rng.choice(able)] = part
                free[part] -= 1
    return placed


def sample_by_labels(applies: Array, count: int, seed: int, placed: Array | None = None) -> Array:
    """Positions of `count` rows in which each label has its share: iterative stratification, the rarest label first.

    Sechidis, Tsoumakas & Vlahavas 2011, "On the Stratification of Multi-Label Data". `applies` is (rows, labels) bool; rows
    without a label are as if they had one of their own. `placed`, (rows,), is 1 for rows that are drawn already, 0 for those that
    are not to be, −1 for the others.
    """
    rng, share = np.random.default_rng(seed), count / len(applies)
    applies = np.column_stack([applies, ~applies.any(axis=1)])
    wanted = np.outer([1 - share, share], applies.sum(axis=0))
    room, part = np.array([len(applies) - count, count]), np.full(len(applies), -1) if placed is None else placed.copy()
    for side in (0, 1):
        room[side] -= (part == side).sum()
        wanted[side] -= applies[part == side].sum(axis=0)
    while (part < 0).any():
        left = applies[part < 0].sum(axis=0)
        label = int(np.where(left > 0, left, len(applies) + 1).argmin())
        for row in rng.permutation(np.flatnonzero((part < 0) & applies[:, label])):
            best = max((side for side in (0, 1) if room[side] > 0), key=lambda side: (wanted[side, label], room[side]))
            part[row] = best
            room[best] -= 1
            wanted[best] -= applies[row]
    return np.flatnonzero(part == 1)


def sample_groups(groups: Array, most: int, seed: int) -> Array:
    """Positions of whole groups, in order, that are at most so many rows together: (rows,) int64, drawn at random."""
    parts = groups_of(groups)
    chosen: list[Array] = []
    for place in np.random.default_rng(seed).permutation(len(parts)):
        if sum(map(len, chosen)) + len(parts[place]) <= most:
            chosen.append(parts[place])
    if not chosen:
        least = min(map(len, parts))
        raise UserError(f"limit, labelled: {most} rows hold no whole group, the smallest has {least} passages; raise it")
    return np.sort(np.concatenate(chosen))
