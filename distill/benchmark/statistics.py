"""What times say: percentiles, and intervals from a bootstrap of the rounds.

Times come as (rounds, calls) float64 arrays of seconds. Calls of one round share its disturbances (another process, a slow
clock), so rounds, not calls, are resampled; and where two models are compared, both are resampled with the same rounds.
"""

from typing import Any

import numpy as np

from distill.core.arrays import Array

RESAMPLES, SEED = 1000, 1
INTERVAL = (2.5, 97.5)
"""Percentiles of the resampled values: 95% between them."""
PERCENTILES = (*range(0, 90, 5), *range(90, 101))
"""Percentages of the percentiles that tell a distribution of times."""


def latency(seconds: Array) -> dict[str, Any]:
    """`p50`, `p95`, `p99` of the time of a call, and `p50_low`, `p50_high` (95%), in milliseconds, and `calls`, their number.

    `percentiles` are more of them, by percentage: what `choose` makes the latency of two models of.
    """
    percentiles = {str(at): ms for at, ms in zip(PERCENTILES, (1000 * np.percentile(seconds, PERCENTILES)).tolist(), strict=True)}
    low, high = (1000 * np.percentile(_medians(seconds), INTERVAL)).tolist()
    figures = {f"p{at}": percentiles[at] for at in ("50", "95", "99")}
    return {**figures, "p50_low": low, "p50_high": high, "calls": seconds.size, "percentiles": percentiles}


def throughput(seconds: Array, rows: int) -> dict[str, float]:
    """Rows a second by the median time of a batch of `rows` rows: `rows_a_second`, `_low`, `_high` (95%), and `calls`."""
    low, high = np.percentile(_medians(seconds), INTERVAL).tolist()
    return {
        "rows_a_second": rows / float(np.median(seconds)),
        "rows_a_second_low": rows / high,
        "rows_a_second_high": rows / low,
        "calls": seconds.size,
    }


def speedup(reference: Array, seconds: Array) -> dict[str, float]:
    """How many times faster than the reference, by medians of the same rounds: `speedup`, and `_low` and `_high` (95%)."""
    if len(reference) != len(seconds):
        raise ValueError(f"{len(reference)} rounds and {len(seconds)}: these were not timed in one run")
    ratios = _medians(reference) / _medians(seconds)
    low, high = np.percentile(ratios, INTERVAL).tolist()
    return {"speedup": float(np.median(reference) / np.median(seconds)), "speedup_low": low, "speedup_high": high}


def _medians(seconds: Array) -> Array:
    """The median of each resampling of the rounds, (RESAMPLES,)."""
    chosen = np.random.default_rng(SEED).integers(0, len(seconds), (RESAMPLES, len(seconds)))
    medians: Array = np.median(seconds[chosen].reshape(RESAMPLES, -1), axis=1)
    return medians
