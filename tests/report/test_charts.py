"""The report's charts compile, carry their data and look the same throughout."""

import json
from dataclasses import replace
from typing import Any

import pytest
import vl_convert

from distill.report import charts
from distill.report.parts import Chart
from distill.report.records import DataSet
from distill.report.vega import config, series
from tests.reports import SCORES, changed

ALL = [getattr(charts, f"{what}_chart") for what in ("retention", "loss", "validation", "calibration", "disagreement", "latency")]


def inline_rows(chart: Chart | None) -> list[dict[str, Any]]:
    assert chart is not None
    return [row for rows in chart.spec["datasets"].values() for row in rows]


@pytest.mark.parametrize("draw", ALL)
def test_specs_compile_and_carry_their_data(news: DataSet, draw: Any) -> None:
    chart = draw(news)
    assert vl_convert.vegalite_to_vega({**chart.spec, "config": config()})["marks"]
    assert '"url"' not in json.dumps(chart.spec)
    assert chart.reading in chart.spec["description"]
    assert chart.spec["width"] == "container"
    named = {row["model"] for row in inline_rows(chart) if "model" in row}
    looks = {look.name for look in series(news)}
    assert named == (looks if draw not in (charts.retention_chart, charts.disagreement_chart) else looks - {"big (teacher)"})


def test_every_seed_has_a_line(news: DataSet) -> None:
    rows = inline_rows(charts.validation_chart(news))
    assert {row["seed"] for row in rows if row["model"] == "soft"} == {1, 2}
    kept = {row["model"]: row["retention"] for row in inline_rows(charts.retention_chart(news)) if "model" in row}
    assert kept == {name: SCORES[name] / SCORES["big"] for name in ("plain", "soft", "half", "tiny")}


def test_what_the_student_loses_stands_on_the_left(news: DataSet) -> None:
    rows = [row for row in inline_rows(charts.disagreement_chart(news)) if row.get("model") == "soft"]
    found = news.students[1].detail.agreement
    expected = {("the student", found.student_only), ("the teacher", found.teacher_only)}
    assert {(row["only"], row["rows"]) for row in rows} == expected
    assert [row["share"] > 0 for row in rows] == [row["only"] == "the student" for row in rows]


def test_few_predictions_are_left_out_of_calibration(news: DataSet) -> None:
    def thin(model: Any) -> Any:
        bins = (replace(model.detail.calibration[0], count=4), *model.detail.calibration[1:])
        return replace(model, detail=replace(model.detail, calibration=bins))

    before, after = (
        [row for row in inline_rows(charts.calibration_chart(own)) if "model" in row]
        for own in (news, replace(news, students=tuple(map(thin, news.students))))
    )
    assert len(after) == len(before) - len(news.students)


def test_looks_differ_even_from_a_teacher_of_the_same_name(news: DataSet) -> None:
    twin = replace(news, students=(replace(news.students[0], name="big"), *news.students[1:]))
    looks = series(twin)
    assert [look.name for look in looks] == ["big (teacher)", "big", "soft", "half", "tiny"]
    assert len({look.colour for look in looks}) == len({look.symbol for look in looks}) == 5


@pytest.mark.parametrize("draw", ALL)
def test_nothing_measured_nothing_drawn(news: DataSet, draw: Any) -> None:
    assert draw(changed(news, lambda model: replace(model, runs=(), formats=(), detail=None, metrics={}))) is None


def test_a_loss_of_zero_and_many_points(news: DataSet) -> None:
    run = replace(news.students[0].runs[0], losses=tuple((step, 0.0) for step in range(6000)))
    chart = charts.loss_chart(replace(news, students=(replace(news.students[0], runs=(run,)),)))
    assert len(inline_rows(chart)) > 6000
    assert vl_convert.vegalite_to_vega(chart.spec)["marks"]
