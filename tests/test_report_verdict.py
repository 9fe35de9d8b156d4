"""The report in a paragraph."""

from dataclasses import replace

from distill.report.content import DataSet
from distill.report.tables import best_student
from distill.report.verdict import verdict
from tests.reports import news

__all__ = ["news"]


def test_verdict(news: DataSet) -> None:
    best = best_student(news)
    assert best is not None
    assert best.name == "soft"
    text = verdict(news)
    assert "97.5% accuracy on the test rows: 100.5% (95% interval 99.3–101.4%) of its teacher big’s" in text
    assert "1.5 times fewer" in text
    assert "The interval includes 100%: 445 test rows" in text
    half = replace(best, parameters=news.students[0].parameters)
    assert "plain, reaches 95.7%" in verdict(replace(news, students=(news.students[0], half)))


def test_without_students(news: DataSet) -> None:
    assert verdict(replace(news, students=())) == "No student has learnt from news yet."


def test_an_ensemble_has_no_size(news: DataSet) -> None:
    taught = replace(news.students[1], teacher="big + other")
    assert "parameters" not in verdict(replace(news, students=(taught,)))
