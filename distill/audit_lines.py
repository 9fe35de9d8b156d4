"""Labels against what a teacher says of them, line by line.

A teacher that was fine-tuned on these very rows is over-confident about them, so no fixed probability means "sure". The
thresholds are those of confident learning (Northcutt, Jiang & Chuang 2021, arXiv 1911.00068, eq. 2): a class is confidently
predicted where its probability reaches the mean that the rows labelled so give to it. Here it has to be the likeliest class
besides: a rare class, which the teacher hardly knows, has a threshold next to nothing. What a teacher has learnt by heart it does
not contradict: counts of suspects are a lower bound.

    suspect   another class is confidently predicted: likely a label error
    hard      the label has less than half of the probability, and no other class is confident

A line is a row, a tag of a row, or the answer of a window (probabilities are geometric means over its start and its end).
Regression has no probabilities: a line has an error, in standard deviations from the mean error; `hard` from HARD_Z on, `suspect`
from SUSPECT_Z on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from distill.prepared import UNLABELLED, PreparedRows
from distill.tasks.base import log_softmax
from distill.tasks.span import best_stretch

Array = np.ndarray[Any, np.dtype[Any]]
HARD, SUSPECT_Z, HARD_Z = 0.5, 3.0, 2.0
KINDS = ("fine", "hard", "suspect")
"""What `Lines.kinds` counts from 0."""


@dataclass(frozen=True)
class Lines:
    """What was labelled and what the teacher says of it, one entry a line."""

    rows: Array
    """(lines,) int64: the row that each is of."""
    labels: Array
    """(lines,) strings"""
    own: Array
    """(lines,) strings: the teacher's labels."""
    confidence: Array
    """(lines,) float64: the probability of the teacher's label."""
    margin: Array
    """(lines,) float64: the label's probability less that of the best other class."""
    loss: Array
    """(lines,) float64."""
    kinds: Array
    """(lines,) int64: places in KINDS."""
    places: Array
    """(lines,) int64: the token among those of all rows that each is of; −1 where it is of a whole row."""


def classes(logits: Array, labels: Array, rows: Array, names: Sequence[str], *, tokens: bool = False) -> Lines:
    """Lines that each have a class.

    Args:
        logits: (lines, classes) float32.
        labels: (lines,) int64; those that are UNLABELLED are left out.
        rows: (lines,) int64: the row of each.
        names: Of the classes.
        tokens: Whether each line is a token.
    """
    labelled = labels != UNLABELLED
    logits, labels, rows = logits[labelled], labels[labelled], rows[labelled]
    logs, each = log_softmax(logits) if len(logits) else logits.astype(np.float64), np.arange(len(labels))
    probabilities = np.exp(logs)
    own = probabilities[each, labels]
    others = probabilities.copy()
    others[each, labels] = -np.inf
    rival = others.argmax(axis=1) if len(others) else labels
    first = probabilities.argmax(axis=1) if len(labels) else labels
    contradicted = (first != labels) & (probabilities[each, first] >= thresholds(own, labels, len(names))[first])
    return Lines(
        rows,
        np.array(names, object)[labels],
        np.array(names, object)[first],
        probabilities[each, first],
        own - others[each, rival],
        -logs[each, labels],
        kinds(own < HARD, contradicted),
        np.flatnonzero(labelled) if tokens else np.full(len(labels), -1),
    )


def thresholds(own: Array, labels: Array, classes: int) -> Array:
    """The mean probability that lines give to their own label, by label, (classes,) float64; infinite for labels of no line."""
    found = np.full(classes, np.inf)
    for label in np.unique(labels).tolist():
        found[label] = own[labels == label].mean()
    return found


def answers(rows: PreparedRows, logits: Array, contexts: Sequence[str]) -> Lines:
    """Windows that each have an answer, or say with both ends at the first token that they have none.

    The teacher's answer is its likeliest stretch, or none if that is likelier. It is suspect if it shares no token with the label
    and is as confident as labels of its kind (answers, or none) are on average.

    Args:
        rows: The windows, with `spans`.
        logits: (tokens, 2) float32, starts and ends.
        contexts: Of each window.
    """
    if rows.spans is None:
        raise ValueError("these rows are no windows of questions")
    chosen = np.flatnonzero(rows.labels[:, 0] >= 0)
    found = [_window(rows, logits, int(row)) for row in chosen]
    spans, own, loss, rivals = (list(part) for part in zip(*found, strict=True)) if found else ([], [], [], [])
    sure, taken, true = np.exp(np.array(own)), np.array(spans).reshape(-1, 2), rows.labels[chosen]
    probability = np.exp(-np.array(loss))
    limits = thresholds(probability, (true[:, 0] > 0).astype(np.int64), 2)
    apart = (taken[:, 0] > true[:, 1]) | (true[:, 0] > taken[:, 1])
    contradicted = apart & (sure >= limits[(taken[:, 0] > 0).astype(np.int64)])
    return Lines(
        chosen,
        _stretches(rows, chosen, true, contexts),
        _stretches(rows, chosen, taken, contexts),
        sure,
        probability - np.exp(np.array(rivals)),
        np.array(loss, np.float64),
        kinds(probability < HARD, contradicted),
        np.full(len(chosen), -1),
    )


def numbers(labels: Array, predicted: Array) -> Lines:
    """Rows that each have a number, (rows,) float32 both; NaN is no label."""
    chosen = np.flatnonzero(np.isfinite(labels))
    errors = predicted[chosen].astype(np.float64) - labels[chosen]
    deviation = float(errors.std()) if len(errors) else 0.0
    z = (errors - errors.mean()) / deviation if deviation else np.zeros(len(errors))
    return Lines(
        chosen,
        np.array([f"{value:g}" for value in labels[chosen].tolist()], object),
        np.array([f"{value:.4g}" for value in predicted[chosen].tolist()], object),
        np.zeros(len(chosen)),
        z,
        np.square(errors),
        kinds(np.abs(z) >= HARD_Z, np.abs(z) >= SUSPECT_Z),
        np.full(len(chosen), -1),
    )


def kinds(hard: Array, suspect: Array) -> Array:
    """Places in KINDS, (lines,) int64."""
    found: Array = np.where(suspect, KINDS.index("suspect"), np.where(hard, KINDS.index("hard"), KINDS.index("fine")))
    return found.astype(np.int64)


def worst_lines(lines: Lines) -> Lines:
    """Of each row the line that is most suspect, then that of the highest loss, then the first; in the order of rows."""
    order = np.lexsort((np.arange(len(lines.rows)), -lines.loss, -lines.kinds, lines.rows))
    _, firsts = np.unique(lines.rows[order], return_index=True)
    return Lines(*(getattr(lines, field.name)[order[firsts]] for field in fields(lines)))


def _window(rows: PreparedRows, logits: Array, row: int) -> tuple[tuple[int, int], float, float, float]:
    """The teacher's stretch, its mean log-probability, the label's loss, and the log-probability of the best other stretch."""
    start, stop = int(rows.offsets[row]), int(rows.offsets[row + 1])
    logs = log_softmax(logits[start:stop].T)
    candidates = [(float(logs[:, 0].mean()), (0, 0))]
    places = np.flatnonzero(rows.spans[start:stop, 0] >= 0) if rows.spans is not None else np.empty(0, np.int64)
    if len(places):
        score, first, last = best_stretch(logs[0, places], logs[1, places])
        candidates.append((score / 2, (int(places[first]), int(places[last]))))
    own, taken = max(candidates)
    label = tuple(rows.labels[row].tolist())
    rival = max((value for value, place in candidates if place != label), default=-np.inf)
    return taken, own, -float(logs[[0, 1], rows.labels[row]].mean()), rival


def _stretches(rows: PreparedRows, chosen: Array, places: Array, contexts: Sequence[str]) -> Array:
    """The characters between two tokens of each window, strings; "" where they say that there is no answer."""
    found = []
    for row, (first, last) in zip(chosen.tolist(), places.tolist(), strict=True):
        spans = rows.spans[int(rows.offsets[row]) :] if rows.spans is not None else np.zeros((0, 2))
        found.append(contexts[row][int(spans[first, 0]) : int(spans[last, 1])] if last else "")
    return np.array(found, object)
