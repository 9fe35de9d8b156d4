"""All that is told of a model's predictions."""

from typing import Any, Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.detail.counts import agreement, calibration, classes_of
from distill.detail.form import Detail, Example
from distill.detail.lines import Said, places, said
from distill.detail.texts import text_of
from distill.tasks.base import Gold

Array = np.ndarray[Any, np.dtype[Any]]
EXAMPLES = 20
NO_ANSWER = "(no answer)"


def detail_of(task: str, kept: Array, gold: Gold, tokenizer: PreTrainedTokenizerBase, teacher: Array | None = None) -> Detail:
    """What is worth telling of predictions beyond scores.

    Args:
        task: Its name.
        kept: What `distill.evaluation.predict` gives of the model.
        gold: The split.
        tokenizer: Of its rows.
        teacher: The same as `kept` of a student's teacher; None of a teacher.
    """
    lines = said(task, kept, gold)
    classes, confusion = classes_of(task, lines, gold)
    if teacher is None:
        return Detail(task, classes, confusion, calibration(lines))
    theirs = said(task, teacher, gold)
    return Detail(
        task,
        classes,
        confusion,
        calibration(lines),
        agreement(lines, theirs) if lines.confidence is not None else None,
        tuple(_example(task, line, lines, theirs, gold, tokenizer) for line in apart(task, lines, theirs, gold)),
    )


def apart(task: str, student: Said, teacher: Said, gold: Gold) -> list[int]:
    """At most EXAMPLES lines where the two part, one a row: the surest first, of numbers those farthest apart."""
    if student.confidence is None or teacher.confidence is None:
        weight = np.abs(student.own - teacher.own)
    else:
        alike = (student.own == teacher.own) | (student.right & teacher.right)
        weight = np.where(alike, 0, student.confidence + teacher.confidence)
    order = np.argsort(-weight, kind="stable")
    order = order[weight[order] > 0]
    if task in ("token-classification", "masked-lm"):
        rows = np.searchsorted(gold.rows.offsets, places(gold)[order], side="right")
        order = order[np.sort(np.unique(rows, return_index=True)[1])]
    found: list[int] = order[:EXAMPLES].tolist()
    return found


def _example(task: str, line: int, student: Said, teacher: Said, gold: Gold, tokenizer: PreTrainedTokenizerBase) -> Example:
    values = [student.labels[line], teacher.own[line], student.own[line]]
    label, theirs, own = (_name(task, value, gold, tokenizer) for value in values)
    return Example(
        text=text_of(task, line, gold, tokenizer, near=values if gold.examples is not None else ()),
        label=label,
        teacher=theirs,
        student=own,
        teacher_confidence=None if teacher.confidence is None else float(teacher.confidence[line]),
        student_confidence=None if student.confidence is None else float(student.confidence[line]),
        right=_right(line, student, teacher),
    )


def _right(line: int, student: Said, teacher: Said) -> Literal["teacher", "student", "neither"]:
    if student.confidence is None:
        errors = [abs(float(each.own[line]) - float(student.labels[line])) for each in (student, teacher)]
        return "student" if errors[0] < errors[1] else "teacher"
    if teacher.right[line]:
        return "teacher"
    return "student" if student.right[line] else "neither"


def _name(task: str, value: Any, gold: Gold, tokenizer: PreTrainedTokenizerBase) -> str:
    """A label as people read it."""
    if task == "regression":
        return f"{value:.4g}"
    if task == "question-answering":
        return value or NO_ANSWER
    return str(tokenizer.decode([int(value)])).strip() if task == "masked-lm" else gold.labels[value]
