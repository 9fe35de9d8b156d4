"""The page's top, as Python makes it; tests/test_report_browser.py looks at it in a browser."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from distill.choosing import measured, recommendation
from distill.errors import UserError
from distill.files import to_json
from distill.params.whole import load_params
from distill.report.answer import answer
from tests.reports import SCORES, write_json
from tests.served import NEWS, write_served


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_served(tmp_path)
    return tmp_path


def found_in(project: Path) -> dict:
    return answer(load_params(project / "params.yaml"), project / "data")


def test_each_data_set_has_its_line_which_is_the_recommendation(project):
    found = found_in(project)
    assert to_json(found)
    expected = measured(project / "data", dict.fromkeys(NEWS, "news") | {"wired": "wire"})
    assert [own["line"] for own in found["sets"]] == [recommendation(expected[name]) for name in ("news", "wire")]
    assert found["lines"] == [f"{own['name']}: {own['line']}" for own in found["sets"]]
    assert found["lines"][0].startswith(
        "news: ship soft (onnx-int8): accuracy 97.3% (100.2% of its teacher’s), 1.4 ms, 16 MB: 11.4 × as"
    )


def test_of_one_data_set_the_line_stands_alone(project):
    params = load_params(project / "params.yaml")
    alone = replace(params, students={name: params.students[name] for name in NEWS})
    assert answer(alone, project / "data")["lines"] == [found_in(project)["sets"][0]["line"]]


def test_the_page_begins_with_what_the_line_says(project):
    news, wire = found_in(project)["sets"]
    chosen = news["candidates"][news["chosen"]]
    assert (chosen["label"], news["prefer"]) == ("soft (onnx-int8)", "latency")
    stops = {knob["field"]: knob["stops"][knob["start"]] for knob in news["knobs"]}
    assert stops == {"latency_ms": None, "megabytes": None, "retention": 0.97}
    assert [own["misses"] for own in news["candidates"]] == [own["retention"] < 0.97 for own in news["candidates"]]
    assert "none keeps 97%" in wire["line"]
    assert wire["prefer"] == "score"
    assert [knob["stops"][knob["start"]] for knob in wire["knobs"]] == [None, None, None]


def test_sliders_reach_from_nothing_fits_to_everything(project):
    for own in found_in(project)["sets"]:
        for knob in own["knobs"]:
            values = sorted(candidate[knob["field"]] for candidate in own["candidates"])
            stops = [stop for stop in knob["stops"] if stop is not None]
            assert stops == sorted(set(stops))
            assert len(knob["stops"]) == len(knob["texts"]) <= 64
            assert len(set(knob["texts"])) == len(knob["texts"])
            assert stops[0] < values[0] if not knob["least"] else stops[-1] > values[-1]
            assert knob["stops"].index(None) == (0 if knob["least"] else len(stops))


def test_candidates_stand_in_the_order_of_each_preference(project):
    news = found_in(project)["sets"][0]
    for preference, field, sign in (("score", "score", -1), ("latency", "latency_ms", 1), ("size", "megabytes", 1)):
        order = [sign * news["candidates"][number][field] for number in news["orders"][preference]]
        assert order == sorted(order)
        assert len(order) == 12


def test_the_teacher_is_the_reference_of_its_own_data_set_alone(project):
    news, wire = found_in(project)["sets"]
    assert [teacher["name"] for teacher in news["charts"][0]["teachers"]] == ["big"]
    assert (news["whole"], wire["whole"]) == (SCORES["big"], None)
    assert wire["charts"][0]["teachers"] == []


def test_a_student_without_times_has_no_place_and_its_data_set_says_so(project):
    path = project / "data/metrics/benchmark.json"
    benchmark = json.loads(path.read_text())
    del benchmark["students"]["wired"]
    write_json(path, benchmark)
    wire = found_in(project)["sets"][1]
    assert (wire["candidates"], "run `dvc repro`" in wire["line"]) == ([], True)


def test_colours_are_by_the_place_among_the_students_of_the_data_set(project):
    news = found_in(project)["sets"][0]
    assert news["colours"] == {name: f"var(--series-{number})" for number, name in enumerate(NEWS)}
    assert all(own["colour"] == news["colours"][own["name"]] for own in news["candidates"])


def test_a_missing_benchmark_is_named(project):
    (project / "data/metrics/benchmark.json").unlink()
    with pytest.raises(UserError, match="dvc repro benchmark"):
        found_in(project)
