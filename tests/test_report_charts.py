"""The report's charts compile, carry their data and look the same throughout."""

import json
from dataclasses import replace
from typing import Any

import vl_convert

from distill.report.charts import charts, config, series
from distill.report.content import DataSet
from tests.test_report_content import news

__all__ = ["news"]


def inline_rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for rows in spec["datasets"].values() for row in rows]


def test_specs_compile_and_carry_their_data(news: DataSet) -> None:
    drawn = charts(news)
    assert [chart.title for chart in drawn] == ["Accuracy and size", "Retention", "Training loss", "Validation"]
    for chart in drawn:
        assert vl_convert.vegalite_to_vega({**chart.spec, "config": config()})["marks"]
        assert '"url"' not in json.dumps(chart.spec)
        assert chart.reading in chart.spec["description"]
        assert chart.spec["width"] == "container"
    names = {look.name for look in series(news)}
    assert {row["model"] for row in inline_rows(drawn[2].spec)} == names
    assert {row["seed"] for row in inline_rows(drawn[3].spec) if row["model"] == "soft"} == {1, 2}
    kept = {row["model"]: row["retention"] for row in inline_rows(drawn[1].spec) if "model" in row}
    assert kept == {model.name: model.metrics["retention"] for model in news.students}


def test_looks_differ_even_from_a_teacher_of_the_same_name(news: DataSet) -> None:
    twin = replace(news, students=(replace(news.students[0], name="big"), *news.students[1:]))
    looks = series(twin)
    assert [look.name for look in looks] == ["big (teacher)", "big", "soft", "tiny"]
    assert len({look.colour for look in looks}) == len({look.symbol for look in looks}) == 4


def test_nothing_trained_nothing_retained(news: DataSet) -> None:
    metrics = {name: value for name, value in news.students[0].metrics.items() if not name.startswith("retention")}
    bare = replace(
        news, teachers=(replace(news.teachers[0], runs=()),), students=(replace(news.students[0], runs=(), metrics=metrics),)
    )
    assert [chart.title for chart in charts(bare)] == ["Accuracy and size"]
    assert charts(replace(news, teachers=(), students=())) == []


def test_a_loss_of_zero_and_many_points(news: DataSet) -> None:
    run = replace(news.students[0].runs[0], losses=tuple((step, 0.0) for step in range(6000)))
    chart = charts(replace(news, students=(replace(news.students[0], runs=(run,)),)))[2]
    assert len(inline_rows(chart.spec)) > 6000
    assert vl_convert.vegalite_to_vega(chart.spec)["marks"]
