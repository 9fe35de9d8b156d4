"""Groups of rows that are ranked together: the passages of a query."""

import numpy as np

from distill.core.arrays import Array


def groups_of(groups: Array | None) -> list[Array]:
    """The positions of the rows of each group, in the order of the groups' numbers."""
    if groups is None:
        raise ValueError("these rows are in no groups")
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(order) else []
