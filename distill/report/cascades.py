"""The latency of a student with its teacher behind it, from how long each takes."""

from collections.abc import Mapping

import numpy as np

from distill.core.arrays import Array

POINTS = 1000
"""As finely a distribution of times is looked at."""


def both_latency(student: Mapping[str, float], teacher: Mapping[str, float], sent: float, percentile: float) -> float:
    """A percentile of the milliseconds that a row takes: the student's, and for a share of rows, `sent`, the teacher's on top.

    `student` and `teacher` are `percentiles` of data/metrics/benchmark.json. A row that takes one of them long is taken to take
    the other long: both read its length. Which rows are sent is taken not to depend on it.
    """
    alone, behind = _quantiles(student), _quantiles(teacher)
    times = np.concatenate([alone, alone + behind])
    order = np.argsort(times)
    share = np.repeat([1 - sent, sent], POINTS)[order].cumsum() / POINTS
    place = min(int(np.searchsorted(share, percentile / 100)), len(times) - 1)
    return float(times[order][place])


def _quantiles(percentiles: Mapping[str, float]) -> Array:
    """(POINTS,) times, each as likely as the other."""
    known = sorted(percentiles, key=float)
    results: Array = np.interp((np.arange(POINTS) + 0.5) * 100 / POINTS, [*map(float, known)], [percentiles[at] for at in known])
    return results
