"""What training and prediction share and numpy alone computes: a model is run in ONNX Runtime without importing torch."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from distill.core.arrays import Array

FULL_BATCH = 1024
"""Tokens from which on a batch is worth running on its own: below it, rows of another length join and are padded."""
RESAMPLES, SEED = 2000, 1
TAILS = (0.025, 0.975)
"""95% of the resamples are between these quantiles."""


def bootstrap(measure: Callable[[Array], Any], rows: int) -> Array:
    """What `measure` says of each of RESAMPLES draws of so many rows with replacement, (RESAMPLES, …).

    It is given positions, (rows,) int64. Whatever it compares is scored on the same rows of a draw (a paired bootstrap), so
    that rows which are hard for all cancel out.
    """
    generator = np.random.default_rng(SEED)
    return np.array([measure(generator.integers(rows, size=rows)) for _ in range(RESAMPLES)])


def length_batches(lengths: Array, batch_tokens: int) -> Iterator[Array]:
    """Positions of rows in batches of like length, the longest first.

    A batch holds rows of one length, up to `batch_tokens` tokens. If they are few (under FULL_BATCH), shorter rows join, padded.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        most = max(1, batch_tokens // longest)
        enough = -(-FULL_BATCH // longest)
        stop = start + 1
        while stop < len(order) and stop - start < most and (lengths[order[stop]] == longest or stop - start < enough):
            stop += 1
        yield order[start:stop]
        start = stop


def log_softmax(logits: Array) -> Array:
    """Log-probabilities in float64, (n, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def log_sigmoid(logits: Array) -> Array:
    """Of each logit the log-probability that its label applies, in float64."""
    return np.asarray(-np.logaddexp(0.0, -logits.astype(np.float64)))
