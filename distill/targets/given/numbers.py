"""An answer as people and APIs write it down, into the numbers that a target set keeps: pure functions, a line each.

A line is what one distribution is over: a row, or a word. Its labels either exclude each other, or (multi-label) each applies or
not: then logits are those of a sigmoid. What is wrong is a ValueError, without a place: table.py knows that.
"""

import numpy as np

from distill.core.arrays import Array
from distill.core.numeric import log_sigmoid, log_softmax

MIN_PROBABILITY = float(np.finfo(np.float32).tiny)
"""What stands for a probability of 0: a logit has to be finite, and log MIN_PROBABILITY is −87."""
MAX_PROBABILITY = 1.0 - 2.0**-53
"""What stands for a probability of 1 where a logit is that of a sigmoid."""
OFF = 0.01
"""How far a sum of probabilities may be from 1: tables are rounded."""


def of_probabilities(found: Array, *, exclusive: bool) -> Array:
    """Logits, (labels,) float64, of probabilities with NaN at labels that are missing: these share what is left of 1."""
    known = ~np.isnan(found)
    wrong = found[known][(found[known] < 0) | (found[known] > 1 + OFF)]
    if len(wrong):
        raise ValueError(f"has the probability {wrong[0]:g}, expected 0 to 1")
    if not exclusive:
        _require_all(known, "a probability of each label, which excludes no other")
        clipped = found.clip(MIN_PROBABILITY, MAX_PROBABILITY)
        return np.asarray(np.log(clipped) - np.log1p(-clipped))
    rest = 1.0 - found[known].sum()
    if rest < -OFF or (rest > OFF and known.all()):
        raise ValueError(f"has probabilities whose sum is {1 - rest:.4g}, expected 1")
    logits: Array = np.log(np.where(known, found, max(rest, 0.0) / max(1, int((~known).sum()))).clip(MIN_PROBABILITY))
    return logits


def of_log_probabilities(found: Array, *, exclusive: bool) -> Array:
    """The same of natural logarithms, which are kept as they are where the labels exclude each other."""
    known = ~np.isnan(found)
    wrong = found[known][found[known] > np.log1p(OFF)]
    if len(wrong):
        raise ValueError(f"has the log-probability {wrong[0]:g}, expected at most 0")
    logits = of_probabilities(np.exp(found), exclusive=exclusive)
    return np.where(known, found.clip(np.log(MIN_PROBABILITY)), logits) if exclusive else logits


def of_logits(found: Array, *, exclusive: bool) -> Array:
    """Themselves; none may be missing."""
    _require_all(~np.isnan(found), "a logit of each label")
    return found


def of_votes(counts: Array, votes: Array, prior: float, *, exclusive: bool) -> Array:
    """Logits of p_c = (n_c + α) / (n + αC), the mean under a symmetric Dirichlet prior; multi-label: (n_c + α) / (n + 2α).

    Shapes: counts (lines, labels), votes (lines,) → (lines, labels) float64.
    """
    places = counts.shape[1] if exclusive else 2
    shares = (counts + prior) / (votes + prior * places)[:, None]
    return np.stack([of_probabilities(line.clip(0.0, 1.0), exclusive=exclusive) for line in shares])


def mean(logits: list[Array], *, exclusive: bool, numbers: bool) -> Array:
    """One answer, (lines, labels), of several of equal rows: the mean of their probabilities, or numbers."""
    if all(np.array_equal(logits[0], other, equal_nan=True) for other in logits[1:]):
        return logits[0]
    if numbers:
        return np.asarray(np.mean(logits, axis=0))
    logs = np.stack([log_softmax(each) if exclusive else log_sigmoid(each) for each in logits])
    shares = np.exp(logs).mean(axis=0).clip(MIN_PROBABILITY, MAX_PROBABILITY)
    return np.asarray(np.log(shares) if exclusive else np.log(shares) - np.log1p(-shares))


def _require_all(known: Array, expected: str) -> None:
    if not known.all():
        raise ValueError(f"names {int(known.sum())} of {len(known)} labels, expected {expected}")
