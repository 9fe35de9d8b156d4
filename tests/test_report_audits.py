"""What teachers think of labels."""

from dataclasses import replace

from distill.report.audits import SHORT, SHOWN, audit, audits, shortened
from distill.report.content import DataSet, Suspect
from distill.report.parts import Fold, Note
from distill.report.tables import Table
from tests.reports import LABELS, TEXTS, news

__all__ = ["news"]


def test_counts_and_the_worst_rows(news: DataSet) -> None:
    note, table, more, hard = audit(news.targets[0])
    assert isinstance(note, Note)
    assert "contradicts 12 of 62 training labels (19.4%)" in note.text
    assert "20 rows hard (32.3%)" in note.text
    assert "the label is business where it says entertainment: 7 rows" in note.text
    assert isinstance(table, Table)
    assert [cell.text for cell in table.cells[0]] == [TEXTS[0], LABELS[0], LABELS[1], "99.0%"]
    assert len(table.cells) == SHOWN
    assert isinstance(more, Fold)
    assert more.summary == "4 more"
    assert isinstance(hard, Fold)
    assert len(hard.parts[0].cells) == 20


def test_numbers_have_no_confidence_and_no_answer_is_a_dash(news: DataSet) -> None:
    own = Suspect("how warm", "", "4.5", None, "suspect")
    entry = replace(news.targets[0], audit=replace(news.targets[0].audit, confused={}, worst=(own,)))
    note, table = audit(entry)
    assert "Most often" not in note.text
    assert [cell.text for cell in table.cells[0]] == ["how warm", "–", "4.5", "–"]


def test_long_texts_are_cut_between_words() -> None:
    text = shortened("word " * 100)
    assert len(text) <= SHORT + 2
    assert text.endswith("word …")
    assert shortened("x" * 500) == "x" * SHORT + " …"
    assert shortened(" a\n b ") == "a b"


def test_tasks_without_labels_have_no_audit(news: DataSet) -> None:
    empty = replace(news.targets[0], audit=replace(news.targets[0].audit, rows=0, suspect=0, hard=0, worst=()))
    assert audits(replace(news, targets=(empty,))) is None
