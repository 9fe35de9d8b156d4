"""A description of a model's predictions."""

from dataclasses import replace
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.evaluation.breakdown import agreement, calibration, classes_of
from distill.evaluation.details import Detail, Example
from distill.evaluation.excerpts import text_of
from distill.tasks.base import EvaluationSplit, Predictions, Task

EXAMPLES = 20


def detail_of(
    task: Task, kept: Array, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase, teacher: Array | None = None
) -> Detail:
    """What predictions show beyond scores.

    `kept` is what `predict` gives of the model, `teacher` the same of a student's teacher (None of a teacher).
    """
    lines = task.lines(kept, split)
    detail = Detail(task.name, *classes_of(task, lines, split), calibration(lines))
    if teacher is None:
        return detail
    expected = task.lines(teacher, split)
    return replace(
        detail,
        agreement=agreement(lines, expected) if lines.confidence is not None else None,
        examples=tuple(_example(task, i, lines, expected, split, tokenizer) for i in disagreements(task, lines, expected, split)),
    )


def disagreements(task: Task, student: Predictions, teacher: Predictions, split: EvaluationSplit) -> list[int]:
    """At most EXAMPLES lines where the two part, one a row: the surest first, of numbers those farthest apart."""
    if student.confidence is None or teacher.confidence is None:
        weight = np.abs(student.predicted - teacher.predicted)
    else:
        alike = (student.predicted == teacher.predicted) | (student.right & teacher.right)
        weight = np.where(alike, 0, student.confidence + teacher.confidence)
    order = np.argsort(-weight, kind="stable")
    order = order[weight[order] > 0]
    if task.spec.labels_per_token:
        rows = np.searchsorted(split.rows.offsets, split.labelled_tokens[order], side="right")
        order = order[np.sort(np.unique(rows, return_index=True)[1])]
    found: list[int] = order[:EXAMPLES].tolist()
    return found


def _example(
    task: Task, line: int, student: Predictions, teacher: Predictions, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase
) -> Example:
    values = [student.labels[line], teacher.predicted[line], student.predicted[line]]
    label, expected, predicted = (task.label_name(value, split, tokenizer) for value in values)
    return Example(
        text=text_of(task, line, split, tokenizer, near=values if split.examples is not None else ()),
        label=label,
        teacher=expected,
        student=predicted,
        teacher_confidence=None if teacher.confidence is None else float(teacher.confidence[line]),
        student_confidence=None if student.confidence is None else float(student.confidence[line]),
        right=_right(line, student, teacher),
    )


def _right(line: int, student: Predictions, teacher: Predictions) -> Literal["teacher", "student", "neither"]:
    if student.confidence is None:
        errors = [abs(float(each.predicted[line]) - float(student.labels[line])) for each in (student, teacher)]
        return "student" if errors[0] < errors[1] else "teacher"
    if teacher.right[line]:
        return "teacher"
    return "student" if student.right[line] else "neither"
