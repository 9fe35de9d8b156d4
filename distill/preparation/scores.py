"""Scores as a source has them: numbers, or classes of the hub, whose numbers are places among names."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.groups import groups_of
from distill.data.long_arrays import filled, full, joined, places, taken
from distill.data.rows import Rows
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.labels import NUMBER, Reader, shown
from distill.sources.streams import class_names

LARGEST = float(np.finfo(np.float32).max)
STAND_INS = (-1, -9, -99, -999, -9999)


def score_readers(
    rows: Mapping[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings
) -> dict[str, Reader]:
    """What reads the scores of each split.

    Names that are numbers are read as these; of others the places are the scores, which is said, for nobody knows whether the
    last is the highest. −1 is no label among either.
    """
    made, told = {}, set[tuple[str, ...]]()
    for split, part in rows.items():
        name = str(settings.columns.label)
        names = class_names(tables[split], name) if any(label is not None for label in part.labels) else None
        if names and not all(NUMBER.fullmatch(each.strip()) for each in names):
            if names not in told:
                pairs = ", ".join(f"{each} is {place}" for place, each in enumerate(names[:5]))
                print_result(f"{where}: '{name}' has classes, {shown(names)}, whose numbers are read as scores: {pairs}")
            told.add(names)
            names = tuple(map(str, range(len(names))))
        made[split] = Reader(names, settings.unlabelled or ())
    return made


def read_scores(part: Rows, score: Callable[[Any], float | None], bad: BadRows, lowest: float, expected: str) -> Array:
    """What `score` reads of each label, (rows,) float64: NaN where it says None, or a score is not from `lowest` to LARGEST.

    The latter are bad rows, which say what was `expected`.
    """
    scores = full(len(part), math.nan, np.float64)
    for place, value in enumerate(part.labels):
        found = score(value)
        if found is not None and not lowest <= found <= LARGEST:
            details = f"label {value!r:.60}, expected {expected}, or null for a transfer row"
            bad.add(int(part.numbers[place]), "unknown label", details)
        elif found is not None:
            scores[place] = found
    return scores


def rounded(scores: Array, where: str) -> Array:
    """Scores, (rows,) float64 with NaN for none, as fp32, in which labels that differ little from large numbers would be one."""
    made = filled(len(scores), lambda part: scores[part].astype(np.float32))
    known = taken(scores, places(np.isfinite(scores)))
    gaps = filled(len(known), lambda part: np.abs(known[part].astype(np.float32) - known[part]))
    if len(known) and 0 < known.std() / 100 < gaps.max():
        raise UserError(
            f"{where}: labels such as {known[gaps.argmax()]:.17g} differ from each other by less than fp32 tells apart there "
            f"({gaps.max():.3g}); take a constant away from all, so that they are near 0"
        )
    return made


def look_for_stand_ins(rows: Mapping[str, Rows], where: str) -> None:
    """Say it where the least label looks like one that stands for none: −1, −99 and the like, while all others are 0 or more."""
    labels = joined([taken(np.asarray(part.labels), places(part.labelled)) for part in rows.values()])
    least = labels.min(initial=0)
    if least in STAND_INS and ((labels != least) & (labels >= 0)).any() and ((labels == least) | (labels >= 0)).all():
        print_result(
            f"{where}: {int((labels == least).sum())} of {len(labels)} labels are {least:.0f}, all others 0 or more; if it "
            f"stands for no label: unlabelled: {least:.0f}"
        )


def tell_alike(part: Rows, where: str, names: Sequence[str], rare: Array) -> None:
    """Say it where all labels of a split that is scored are one: correlations are 0 then, and guessing is right.

    Of several labels a row, say which no row has, less those that are too `rare` to be cut.
    """
    labels = part.labels if isinstance(part.labels, np.ndarray) else np.empty((0, 0))  # of a word or an answer, no array
    if names and labels.ndim == 1 and len(labels) > 1 and (labels == labels[0]).all():
        name = names[int(labels[0])] if labels.dtype.kind == "i" else f"{labels[0]:.4g}"
        print_result(f"{where}: all its {len(labels)} labels are {name}, so its scores tell no good model from a bad one")
    absent = np.flatnonzero(~(labels == 1).any(axis=0)).tolist() if labels.ndim > 1 else []
    if told := [names[i] for i in absent if i not in rare]:
        print_result(f"{where}: no row has {shown(told)}, so its scores tell nothing of such labels; give it more rows")


def look_for_ranks(part: Rows, where: str) -> None:
    """Say it where labels number the passages of each query, as places in a result list do, of which 1 is the best."""
    found = [np.sort(np.asarray(part.labels)[members]) for members in groups_of(part.groups)]
    ranked = [labels for labels in found if not np.isnan(labels).any()]
    if ranked and all((labels == np.arange(1, len(labels) + 1)).all() for labels in ranked):
        print_result(
            f"{where}: the labels of each query are 1, 2, 3 …, as ranks are; the highest is read as the most relevant: if 1 is "
            "the best, turn them round"
        )
