"""Where models are right and wrong."""

from dataclasses import replace

import pytest

from distill.evaluation.details import ClassScore, Confusion, Detail
from distill.report.parts import Collapsible, Examples, Grid
from distill.report.records import DataSet
from distill.report.sections.error_analysis import (
    FAINT,
    MATRIX,
    SHOWN,
    agreement_block,
    calibration,
    class_table,
    classes,
    matrix,
    pairs,
)
from distill.report.tables import Table
from tests.reports import LABELS, cells, changed


def with_detail(news: DataSet, detail: Detail) -> DataSet:
    return changed(news, lambda model: replace(model, detail=detail))


def test_classes_by_model_the_best_students_teacher_first(news: DataSet) -> None:
    table = class_table(news)
    assert table.titles == ("Class", "Count", "big (teacher)", "soft", "plain", "half", "tiny")
    assert [row[0].text for row in table.cells] == list(LABELS)
    for row, own in zip(table.cells, news.students[1].detail.classes, strict=True):
        assert row[3].text == f"{own.f1:.1%}"
        assert (row[3].tone, row[3].share > 0) == (("miss", True) if own.f1 < 1 else ("", False))


def test_a_confusion_is_tinted_by_its_lines(news: DataSet) -> None:
    table = matrix(news.teachers[0], Confusion(("a", "b"), ((9, 0), (16, 84))))
    assert [[cell.text for cell in row] for row in table.cells] == [["a", "9", "0"], ["b", "16", "84"]]
    assert [[cell.tone for cell in row[1:]] for row in table.cells] == [["hit", "none"], ["miss", "hit"]]
    assert [cell.share for cell in table.cells[0][1:]] == [1.0, 0.0]
    assert table.cells[1][1].share == pytest.approx(FAINT + (1 - FAINT) * 0.4)
    assert matrix(news.teachers[0], Confusion(("a",), ((0,),))).cells[0][1].text == "0"


def test_of_many_labels_the_hardest_and_the_largest_pairs(news: DataSet) -> None:
    labels = tuple(f"label {number}" for number in range(MATRIX + 3))
    places = range(len(labels))
    counts = tuple(tuple(10 * row if row == column else int(column == row + 1) * row for column in places) for row in places)
    scores = tuple(ClassScore(label, 5, 0.5, 0.5, number / 20) for number, label in enumerate(labels))
    many = with_detail(news, Detail("sequence-classification", scores[::-1], Confusion(labels, counts)))
    block = classes(many)
    hardest, whole, grid, others = block.parts
    assert [row[0].text for row in hardest.cells] == list(labels[:MATRIX])
    assert list(map(type, (whole, grid, others))) == [Collapsible, Grid, Collapsible]
    assert len(whole.parts[0].cells) == len(labels)
    assert [cell.text for cell in grid.parts[0].cells[0]] == ["label 13", "label 14", "13"]
    assert len(pairs(news.teachers[0], Confusion(labels, counts)).cells) == 13


def test_who_is_right(news: DataSet) -> None:
    grid = agreement_block(news).parts[0]
    counted = cells(next(part for part in grid.parts if isinstance(part, Table)))["soft"]
    own = news.students[1].detail.agreement
    assert counted == [str(n) for n in (own.both, own.student_only, own.teacher_only, own.neither_same, own.neither_differ)]


def test_the_best_students_examples_stand_open_and_all_are_there(news: DataSet) -> None:
    parts = agreement_block(news).parts
    (opened,) = [part for part in parts if isinstance(part, Examples)]
    assert (opened.student, len(opened.examples)) == ("soft", SHOWN)
    folded = [part.parts[0] for part in parts if isinstance(part, Collapsible)]
    assert [own.student for own in folded] == ["soft", "plain", "half", "tiny"]
    assert opened.examples + folded[0].examples == news.students[1].detail.examples


def test_tasks_without_classes_say_nothing_of_them(news: DataSet) -> None:
    bare = with_detail(news, Detail("masked-lm"))
    assert (classes(bare), calibration(bare), agreement_block(bare)) == (None, None, None)
