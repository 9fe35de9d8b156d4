"""What a model says line by line: of each test row, question, tag or masked token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.prepared import UNLABELLED
from distill.tasks.base import Gold, log_softmax
from distill.tasks.span import best_match, found_answers

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Said:
    """One entry a line."""

    labels: Array
    """(lines,) int64 classes or token ids, strings or float32 numbers."""
    own: Array
    """(lines,) the same of the model."""
    right: Array
    """(lines,) bool; of numbers, none is."""
    confidence: Array | None
    """(lines,) float64: the probability of what the model says; None of numbers."""


def said(task: str, kept: Array, gold: Gold) -> Said:
    """What a model says of each line.

    Args:
        task: Its name.
        kept: What `distill.evaluation.predict` gives.
        gold: The split.
    """
    return SAID[task](kept, gold)


def places(gold: Gold) -> Array:
    """Of tags and masked tokens: the token, among those of all rows, that each line is of; (lines,) int64."""
    return np.flatnonzero(gold.rows.labels != UNLABELLED)


def _classes(logits: Array, labels: Array) -> Said:
    own = logits.argmax(axis=1)
    return Said(labels, own, own == labels, np.exp(log_softmax(logits).max(axis=1)))


def _rows(kept: Array, gold: Gold) -> Said:
    return _classes(kept, gold.rows.labels)


def _tags(kept: Array, gold: Gold) -> Said:
    lines = places(gold)
    return _classes(kept[lines], gold.rows.labels[lines])


def _numbers(kept: Array, gold: Gold) -> Said:
    return Said(gold.rows.labels, kept[:, 0], np.zeros(len(kept), bool), None)


def _answers(kept: Array, gold: Gold) -> Said:
    found = found_answers(kept, gold)
    true = gold.examples["answers"].to_pylist() if gold.examples is not None else []
    right = [best_match(answer.text, texts)[0] == 1 for answer, texts in zip(found, true, strict=True)]
    return Said(
        np.array([texts[0] if texts else "" for texts in true], object),
        np.array([answer.text for answer in found], object),
        np.array(right, bool),
        np.array([answer.confidence for answer in found], np.float64),
    )


def _masked(kept: Array, gold: Gold) -> Said:
    labels, own = gold.rows.labels[places(gold)], kept[:, 1].astype(np.int64)
    return Said(labels, own, own == labels, np.exp(kept[:, 2].astype(np.float64)))


SAID: dict[str, Callable[[Array, Gold], Said]] = {
    "sequence-classification": _rows,
    "regression": _numbers,
    "token-classification": _tags,
    "question-answering": _answers,
    "masked-lm": _masked,
}
