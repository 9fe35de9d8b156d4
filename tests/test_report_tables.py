"""The report's tables."""

from dataclasses import replace

import pytest

from distill.report.content import DataSet, Model
from distill.report.tables import Cell, Column, costs, data, full_seconds, make_table, millions, results, to_markdown
from tests.test_report_content import PARAMETERS, SCORES, news

__all__ = ["news"]


def cells(markdown: str) -> dict[str, list[str]]:
    """A Markdown table's rows by the first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def test_every_model_with_its_numbers(news: DataSet) -> None:
    scores, others = (cells(to_markdown(table)) for table in results(news))
    for model in news.models:
        assert scores[model.name][2].strip("*").startswith(f"{SCORES[model.name]:.1%}")
        assert scores[model.name][4].strip("*") == f"{PARAMETERS[model.name] / 1e6:.1f}"
    assert scores["soft"] == ["hinton", "3 × 384", "**97.5% ± 0.3%**", "**100.5% (99.3–101.4%)**", "17.4", "69.6", "2"]
    assert scores["big"][3] == "–"
    assert others["plain"] == ["95.5%", "0.947", "0.136", "0.042", "98.7%", "0.019"]
    assert others["big"][-2:] == ["–", "–"]


def test_columns_are_aligned(news: DataSet) -> None:
    for table in (*results(news), *costs(news), *data(news)):
        lines = to_markdown(table).splitlines()[2:]
        assert len({len(line) for line in lines}) == 1, table.caption


def test_best_and_ties() -> None:
    column = Column[float]("n", lambda n: f"{n:.1f}", rank=lambda n: n)
    assert [row[0].tone for row in make_table("t", [column], [1.0, 2.04, 2.0]).cells] == ["", "best", "best"]
    assert [row[0].tone for row in make_table("t", [column], [2.0, 2.04]).cells] == ["", ""]
    assert make_table("t", [column], []).cells == ()


def test_the_teacher_does_not_compete(news: DataSet) -> None:
    better = replace(news.teachers[0], metrics={**news.teachers[0].metrics, "accuracy": 0.999})
    table = results(replace(news, teachers=(better,)))[0]
    assert [row[3].tone for row in table.cells] == ["", "", "best", ""]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
def test_every_metric_is_told_once(news: DataSet, metric: str) -> None:
    titles = [title for table in results(replace(news, metric=metric)) for title in table.titles]
    assert all(titles.count(name) == 1 for name in ("Accuracy", "Macro-F1", "MCC"))


@pytest.mark.parametrize(
    ("computed", "seconds", "note"),
    [
        (500, "20", "1,000 tokens read by big; resumed, scaled up from 500"),
        (1000, "10", "1,000 tokens read by big"),
        (0, "–", "1,000 tokens read by big; from cache"),
    ],
)
def test_targets_that_were_resumed(news: DataSet, computed: int, seconds: str, note: str) -> None:
    targets = replace(news.targets[0], computed=computed)
    once = cells(to_markdown(costs(replace(news, targets=(targets,)))[0]))
    assert once["targets news"] == [seconds, note]
    assert once["fine-tuning big"][0] == "41"
    assert full_seconds(targets) == {500: 20.0, 1000: 10.0, 0: None}[computed]


def test_costs_of_students_and_disk(news: DataSet) -> None:
    _, students, disk = (cells(to_markdown(table)) for table in costs(news))
    assert students["soft"] == ["hinton", "83", "2", "42"]
    assert disk["news"] == ["logits", "0.081"]


def test_duplicates_stand_out(news: DataSet) -> None:
    assert all(not cell.tone for row in data(news)[1].cells for cell in row)
    found = replace(news, duplicates=(replace(news.duplicates[1], exact=3),))
    assert data(found)[1].cells == ((Cell("train and test"), Cell("3", "warn"), Cell("0")),)


def test_markdown_is_escaped() -> None:
    table = make_table("t", [Column[str]("n", lambda text: text, number=False)], ["a|b", "<b>\nx", "*"])
    assert to_markdown(table).splitlines()[4:] == ["| a\\|b    |", "| \\<b\\> x |", "| \\*      |"]


@pytest.mark.parametrize(("count", "text"), [(1_340_000_000, "1,340.0"), (17_391_749, "17.4"), (81_234, "0.081"), (0, "0")])
def test_millions(count: int, text: str) -> None:
    assert millions(count) == text


def test_a_checkpoint_that_was_not_tuned(news: DataSet) -> None:
    kept: Model = replace(news.teachers[0], runs=(replace(news.teachers[0].runs[0], seconds=0.0, losses=(), scores=()),))
    assert cells(to_markdown(costs(replace(news, teachers=(kept,)))[0]))["fine-tuning big"] == ["0.0", "checkpoint kept as it is"]
