"""The ledger adds up."""

from dataclasses import replace

import pytest
import vl_convert

from distill.report.content import DataSet
from distill.report.ledger import break_even, ledger, once, paid_once, sentence, students
from distill.report.parts import Chart
from distill.report.tables import to_markdown
from tests.reports import news
from tests.test_report_tables import cells

__all__ = ["news"]
A_TOKEN = 10.0 / 58_000
"""Seconds."""


def test_the_store_is_paid_for_as_soon_as_a_live_teacher_has_cost_as_much(news: DataSet) -> None:
    assert paid_once(news, news.taught) == pytest.approx(116_000 * A_TOKEN)
    even = break_even(news, news.taught)
    assert even == pytest.approx(116_000 / 81_000)
    assert even * 81_000 * A_TOKEN == pytest.approx(paid_once(news, news.taught))
    text = sentence(news, news.taught)
    assert "paid once: 20 s" in text
    assert "12 epochs" in text
    assert f"{12 * 81_000 / 116_000:.1f} × as much" in text
    assert "after 1.4 epochs" in text


def test_the_break_even_may_lie_in_a_later_student(news: DataSet) -> None:
    slow = tuple(replace(own, epochs=1, live_seconds=seconds) for own, seconds in zip(news.taught, (8.0, 8.0, 8.0), strict=True))
    assert break_even(news, slow) == pytest.approx(2.5)
    assert break_even(news, slow[:2]) is None
    assert "not paid for the store yet" in sentence(news, slow[:2])


def test_what_a_student_does_not_read_is_not_paid_for_it(news: DataSet) -> None:
    other = replace(news.targets[0], name="other", seconds=500.0)
    assert paid_once(replace(news, targets=(*news.targets, other)), news.taught) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("computed", "time", "note"),
    [
        (58_000, "20 s", "116,000 tokens read by big; resumed, scaled up from 58,000"),
        (116_000, "10 s", "116,000 tokens read by big"),
        (0, "–", "116,000 tokens read by big; from cache"),
    ],
)
def test_targets_that_were_resumed(news: DataSet, computed: int, time: str, note: str) -> None:
    targets = replace(news.targets[0], computed=computed)
    paid = cells(to_markdown(once(replace(news, targets=(targets,)))))
    assert paid["targets news"] == [time, note]
    assert paid["fine-tuning big"][0] == "41 s"


def test_each_student_with_what_a_live_teacher_would_have_added(news: DataSet) -> None:
    paid = cells(to_markdown(students(news)))
    assert paid["soft"] == ["hinton", "2", "6", "83 s", "+ 84 s"]
    assert paid["plain"][-1] == "–"


def test_without_known_times_there_is_no_chart(news: DataSet) -> None:
    chart = next(part for part in ledger(news).parts if isinstance(part, Chart))
    assert vl_convert.vegalite_to_vega(chart.spec)["marks"]
    unknown = replace(news, taught=tuple(replace(own, live_seconds=None) for own in news.taught))
    assert not any(isinstance(part, Chart) for part in ledger(unknown).parts)
