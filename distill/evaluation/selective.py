"""Which rows a model can answer alone: the share of the surest rows that is right (El-Yaniv & Wiener 2010)."""

import numpy as np

from distill.evaluation.details import AnsweredAlone, Coverage
from distill.tasks.judged import Judged

POINTS = 40
"""Of a curve."""
GOALS = (0.99, 0.98, 0.95, 0.9, 0.8)
"""Shares that are to be right, the first that enough rows reach."""
MIN_ANSWERED = 0.5
"""Enough rows: half of them."""


def coverage(judged: Judged) -> tuple[Coverage, ...]:
    """Of the surest rows, from a fortieth of them to all, the share that is right."""
    if judged.confidence is None or not len(judged):
        return ()
    order = np.argsort(-judged.confidence, kind="stable")
    right = np.cumsum(judged.right[order])
    counts = np.unique(np.ceil(np.linspace(0, len(judged), POINTS + 1)[1:]).astype(np.int64)).tolist()
    return tuple(Coverage(count / len(judged), float(right[count - 1] / count)) for count in counts)


def answered(validation: Judged, test: Judged) -> AnsweredAlone | None:
    """A confidence from which on, on validation, half of the rows or more reach the highest of GOALS: what it does on test.

    None where no goal is, or rows have no confidence.
    """
    if validation.confidence is None or test.confidence is None or not len(validation):
        return None
    order = np.argsort(-validation.confidence, kind="stable")
    levels = validation.confidence[order]
    shares = np.cumsum(validation.right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(levels[:-1] > levels[1:], True)
    for goal in GOALS:
        enough = np.flatnonzero(ends & (shares >= goal) & (np.arange(1, len(order) + 1) >= MIN_ANSWERED * len(order)))
        if len(enough):
            threshold = 0.0 if enough[-1] == len(order) - 1 else float(levels[enough[-1]])
            chosen = test.confidence >= threshold
            right = float(test.right[chosen].mean()) if chosen.any() else 0.0
            return AnsweredAlone(float(chosen.mean()), right, goal, threshold)
    return None
