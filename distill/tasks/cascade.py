"""A student that answers what it is sure of and sends the rest to its teacher. Imports no torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.tasks.judged import Judged
from distill.tasks.scoring import SCORES

STEPS = 100
"""So many shares of rows to send are tried."""


def cascade(task: str, metric: str, student: Mapping[str, Judged], teacher: Mapping[str, Judged]) -> dict[str, Any]:
    """The cascade that scores as high as the teacher on `validation`, with the fewest rows sent: what it does on `test`.

    Both have judged the same rows, by split. Returns `threshold`, the confidence from which on the student answers itself,
    `sent`, the share of test rows below it, and the score of all by the metric's name; nothing where the student alone scores as
    high on validation, or has no confidence.
    """
    threshold = fit(task, metric, student["validation"], teacher["validation"])
    sure = student["test"].confidence
    if threshold is None or sure is None:
        return {}
    sent = sure < threshold
    score = SCORES[task](metric, joined(student["test"], teacher["test"], sent))
    return {"threshold": threshold, "sent": float(sent.mean()), metric: score}


def fit(task: str, metric: str, student: Judged, teacher: Judged) -> float | None:
    """The least confidence below which rows have to be sent for the teacher's score; None if none has to."""
    if student.confidence is None or student.ids != teacher.ids or len(student) == 0:
        return None
    goal = SCORES[task](metric, teacher.rows)
    levels = np.sort(student.confidence)
    counts = np.unique(np.linspace(0, len(levels) - 1, STEPS + 1).astype(np.int64))
    for threshold in [*dict.fromkeys(levels[counts].tolist()), float(np.nextafter(levels[-1], 2))]:
        if SCORES[task](metric, joined(student, teacher, student.confidence < threshold)) >= goal:
            return None if threshold == levels[0] else threshold
    return None


def joined(student: Judged, teacher: Judged, sent: Array) -> Array:
    """What is judged of each row of whoever answers it: (rows, …)."""
    return np.where(sent.reshape(-1, *[1] * (student.rows.ndim - 1)), teacher.rows, student.rows)
