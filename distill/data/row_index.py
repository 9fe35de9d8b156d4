"""Rows by their example ids, which data sets, target sets and folds have in common."""

import numpy as np

from distill.core.arrays import Array


def row_keys(ids: Array) -> Array:
    """Example ids, (rows, 16) uint8, as one sortable value a row."""
    keys: Array = np.ascontiguousarray(ids).view(f"S{ids.shape[1]}").ravel()
    return keys


class RowIndex:
    """Where each example id stands among some rows; of an id that is there twice, either place will do."""

    def __init__(self, ids: Array) -> None:
        """Order the ids of the rows, (rows, 16) uint8."""
        keys = row_keys(ids)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def find(self, ids: Array) -> Array:
        """The positions of example ids, (n, 16) uint8 → (n,) int64; −1 where a row is not there."""
        asked = row_keys(ids)
        if len(self._keys) == 0:
            return np.full(len(asked), -1, np.int64)
        places = np.minimum(np.searchsorted(self._keys, asked), len(self._keys) - 1)
        return np.where(self._keys[places] == asked, self._order[places], -1)
