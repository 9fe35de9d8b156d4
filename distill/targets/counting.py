"""How many vectors of an output a row has, and where they stand among its tokens."""

from typing import Any

import numpy as np

from distill.prepared import UNLABELLED, PreparedRows
from distill.targets.schema import Per

Array = np.ndarray[Any, np.dtype[Any]]


def masked(rows: PreparedRows, positions: Array) -> Array:
    """Which tokens of these rows, one row after the other, are to be predicted: (tokens,) bool."""
    stretches = [rows.labels[rows.offsets[i] : rows.offsets[i + 1]] for i in positions]
    found: Array = np.concatenate(stretches) != UNLABELLED if stretches else np.zeros(0, bool)
    return found


def vectors_a_row(per: Per, rows: PreparedRows, positions: Array) -> Array:
    """Vectors of these rows in an output that has one of each `per`: (n,) int64."""
    lengths = rows.lengths[positions]
    if per == "row":
        return np.ones_like(lengths)
    if per == "token":
        return lengths
    before: Array = np.concatenate([[0], np.cumsum(masked(rows, positions))])
    ends = np.cumsum(lengths)
    counts: Array = before[ends] - before[ends - lengths]
    return counts
