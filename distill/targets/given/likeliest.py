"""What is given of a decoder's tokens, the few likeliest ones in place of each that is predicted, as `TopK` keeps it."""

import math

import numpy as np

from distill.core.arrays import Array
from distill.data.dataset import PreparedRows
from distill.store.codecs.vocabulary import LOWEST

SPLIT = "train"
"""The rows that are learnt: what others are scored by is not in such a table."""

LEAST_REST = math.exp(-15)
"""A smaller mass of the rest is none: rounding makes such."""


def unique_positions(rows: PreparedRows) -> Array:
    """(unique rows,) int64: where each row stands first, in the order of the data."""
    return np.sort(rows.firsts())


def top_k_values(ids: Array, logs: Array) -> Array:
    """(n, 2k + 1) float32, as `TopK` has it, of (n, k) ids and their log-probabilities, the likeliest first."""
    rest = 1 - np.exp(logs).sum(axis=1, keepdims=True)
    others = np.where(rest > LEAST_REST, np.log(np.maximum(rest, LEAST_REST)), LOWEST)
    return np.concatenate([ids, np.maximum(logs, LOWEST), others], axis=1).astype(np.float32)
