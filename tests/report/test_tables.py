"""The report's tables."""

from dataclasses import replace

import pytest

from distill.evaluation.details import Detail
from distill.report.records import DataSet
from distill.report.tables import Column, data, duration, make_table, results, times, to_markdown
from tests.reports import PARAMETERS, SCORES, cells


def test_every_model_with_its_numbers(news: DataSet) -> None:
    scores, others = map(cells, results(news))
    for model in news.models:
        assert scores[model.name][2].strip("*").startswith(f"{SCORES[model.name]:.1%}")
        assert scores[model.name][4].strip("*") == f"{PARAMETERS[model.name] / 1e6:.1f}"
    assert scores["soft"] == ["hinton", "2 × 384", "**97.5% ± 0.3%**", "**100.5% (99.3–101.4%)**", "15.6", "62.5", "2"]
    assert scores["big"][3] == "–"
    assert others["plain"] == ["95.5%", "0.947", "0.136", "0.042", "98.7%", "0.019"]
    assert others["big"][-2:] == ["–", "–"]


def test_captions_say_which_rows_retention_is_over_where_the_teacher_has_not_answered_all(news: DataSet) -> None:
    plain, *rest = news.students
    captions = [table.caption for table in results(replace(news, students=(replace(plain, retention_rows=300), *rest)))]
    assert captions == [
        "Scores on 445 test rows, and sizes; retention, on those test rows that the teacher has answered: 300 of plain",
        "Other measures on the same rows; log-loss and KL in nats; agreement and KL, on those test rows that the teacher has "
        "answered: 300 of plain",
    ]
    assert "retention" not in results(news)[0].caption


def test_what_scores_are_means_over_and_what_agreement_is_are_called_by_the_task(news: DataSet) -> None:
    def of(task: str) -> DataSet:
        models = [replace(model, detail=Detail(task)) for model in news.students]
        return replace(news, students=tuple(models), teachers=())

    for task, units in {"question-answering": "questions", "ranking": "queries", "regression": "rows"}.items():
        assert results(of(task))[0].caption == f"Scores on 445 test {units}, and sizes"
    for task in ("regression", "sentence-embedding"):
        table = results(of(task))[1]
        place = table.titles.index("Correlation with teacher")
        assert table.cells[0][place].text == "0.987"


def test_columns_are_aligned(news: DataSet) -> None:
    for table in (*results(news), *data(news)):
        lines = to_markdown(table).splitlines()[2:]
        assert len({len(line) for line in lines}) == 1, table.caption


def test_the_best_ties_and_a_tint_that_yields_to_the_best() -> None:
    column = Column[float]("n", lambda n: f"{n:.1f}", rank=lambda n: n)
    assert [row[0].tone for row in make_table("t", [column], [1.0, 2.04, 2.0]).cells] == ["", "best", "best"]
    assert [row[0].tone for row in make_table("t", [column], [2.0, 2.04]).cells] == ["", ""]
    assert make_table("t", [column], []).cells == ()
    spread = Column[float]("n", lambda n: f"2.0 ± {n}", rank=lambda n: 2.0)
    assert [row[0].tone for row in make_table("t", [spread], [0.1, 0.2]).cells] == ["", ""]
    tinted = [Column[float]("n", lambda n: f"{n}", rank=lambda n: n, tint=lambda n: ("miss", n))]
    assert [(row[0].tone, row[0].share) for row in make_table("t", tinted, [0.5, 0.7]).cells] == [("miss", 0.5), ("best", 0.0)]


def test_the_teacher_does_not_compete(news: DataSet) -> None:
    better = replace(news.teachers[0], metrics={**news.teachers[0].metrics, "accuracy": 0.999})
    table = results(replace(news, teachers=(better,)))[0]
    assert [row[3].tone for row in table.cells] == ["", "", "best", "", ""]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
def test_every_metric_is_told_once(news: DataSet, metric: str) -> None:
    titles = [title for table in results(replace(news, metric=metric)) for title in table.titles]
    assert all(titles.count(name) == 1 for name in ("Accuracy", "Macro-F1", "MCC"))


def test_durations_and_ratios_need_few_digits() -> None:
    texts = {0.25: "0.2 s", 59.0: "59 s", 119.0: "119 s", 150.0: "2.5 min", 9000.0: "2.5 h"}
    assert {seconds: duration(seconds) for seconds in texts} == texts
    assert [times(ratio) for ratio in (None, 0.99, 9.96, 99.4, 123.4)] == ["–", "1.0 ×", "10.0 ×", "99.4 ×", "123 ×"]
