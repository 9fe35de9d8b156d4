"""The page's top, as Python makes it; tests/report/test_browser.py looks at it in a browser."""

import json
from pathlib import Path

import pytest

from distill.core.errors import UserError
from distill.core.files import to_json
from distill.report.budget_explorer import answer
from distill.report.choose import recommendation
from tests.reports import NEWS, SCORES, measured_candidates, write_cascade, write_json, write_two


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("two")
    return answer(write_two(folder), folder / "data")


def test_each_data_set_has_its_line_which_is_the_recommendation(found: dict, tmp_path: Path) -> None:
    params = write_two(tmp_path)
    assert to_json(found)
    expected = measured_candidates(tmp_path / "data", dict.fromkeys(NEWS, "news") | {"wired": "wire"})
    assert [own["line"] for own in found["sets"]] == [recommendation(expected[name]) for name in ("news", "wire")]
    assert found["lines"] == [f"{own['name']}: {own['line']}" for own in found["sets"]]
    line = "news: ship soft (onnx-int8): accuracy 97.3% (100.2% of its teacher’s), p95 1.4 ms, 16 MB: 11.4 × as"
    assert found["lines"][0].startswith(line)
    alone = params.model_copy(update={"students": tuple(entry for entry in params.students if entry.name in NEWS)})
    assert answer(alone, tmp_path / "data")["lines"] == [found["sets"][0]["line"]]


def test_the_page_begins_with_what_the_line_says(found: dict) -> None:
    news, wire = found["sets"]
    chosen = news["candidates"][news["chosen"]]
    assert (chosen["label"], news["prefer"]) == ("soft (onnx-int8)", "latency")
    stops = {slider["field"]: slider["stops"][slider["start"]] for slider in news["sliders"]}
    assert stops == {"latency_ms": None, "megabytes": None, "retention": 0.97}
    assert [own["misses"] for own in news["candidates"]] == [own["retention"] < 0.97 for own in news["candidates"]]
    assert "none keeps 97%" in wire["line"]
    assert wire["prefer"] == "score"
    assert [slider["stops"][slider["start"]] for slider in wire["sliders"]] == [None, None, None]


def test_sliders_reach_from_nothing_fits_to_everything(found: dict) -> None:
    for own in found["sets"]:
        for slider in own["sliders"]:
            values = sorted(candidate[slider["field"]] for candidate in own["candidates"])
            stops = [stop for stop in slider["stops"] if stop is not None]
            assert stops == sorted(set(stops))
            assert len(slider["stops"]) == len(slider["texts"]) == len(set(slider["texts"])) <= 64
            assert stops[0] < values[0] if not slider["least"] else stops[-1] > values[-1]
            assert slider["stops"].index(None) == (0 if slider["least"] else len(stops))


def test_candidates_stand_in_the_order_of_each_preference_and_in_the_colours_of_their_students(found: dict) -> None:
    news, wire = found["sets"]
    for preference, field, sign in (("score", "score", -1), ("latency", "latency_ms", 1), ("size", "megabytes", 1)):
        order = [sign * news["candidates"][number][field] for number in news["orders"][preference]]
        assert order == sorted(order)
        assert len(order) == 12
    assert news["colours"] == {name: f"var(--series-{number})" for number, name in enumerate(NEWS)}
    assert all(own["colour"] == news["colours"][own["name"]] for own in news["candidates"])
    assert [teacher["name"] for teacher in news["charts"][0]["teachers"]] == ["big"]
    assert (news["whole"], wire["whole"], wire["charts"][0]["teachers"]) == (SCORES["big"], None, [])


def test_a_student_without_times_has_no_place_and_a_missing_benchmark_is_named(tmp_path: Path) -> None:
    params = write_two(tmp_path)
    path = tmp_path / "data/metrics/benchmark.json"
    benchmark = json.loads(path.read_text())
    del benchmark["students"]["wired"]
    write_json(path, benchmark)
    wire = answer(params, tmp_path / "data")["sets"][1]
    assert (wire["candidates"], "run `dvc repro`" in wire["line"]) == ([], True)
    path.unlink()
    with pytest.raises(UserError, match="dvc repro benchmark"):
        answer(params, tmp_path / "data")


def test_where_there_are_cascades_the_key_says_what_their_latency_is(found: dict, tmp_path: Path) -> None:
    params = write_two(tmp_path)
    write_cascade(tmp_path)
    said = answer(params, tmp_path / "data")
    assert "the p95 of rows of which some take both models’ time" in said["picture"]["shapes"][-1]["name"]
    news = said["sets"][0]
    (both,) = [own for own in news["candidates"] if own["sent"] is not None]
    assert (both["misses"], both["retention"] > 0.97, news["cascades"], said["sets"][1]["cascades"]) == (True, True, True, False)
    steps = [[chart["front"].count("H") for chart in each["sets"][0]["charts"]] for each in (said, found)]
    assert steps[0] == steps[1], "the line joins models that answer alone"
    assert not any("p95" in shape["name"] for shape in found["picture"]["shapes"])
