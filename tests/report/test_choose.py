import json
from dataclasses import replace

import pytest

from distill.commands.choose import main
from distill.report.candidates import Candidate, candidates
from distill.report.choose import Budget, choose, recommendation, sentence
from tests.command_line import invoke, python, refusal
from tests.reports import PARAMS, measured_candidates, write_json


def candidate(name: str, score: float, latency: float, size: float = 10) -> Candidate:
    figures = (score, score / 0.95, float(latency), float(size), 2.0, 160 / size)
    return Candidate(name, "onnx-int8", "news", "big", "accuracy", *figures)


FRONT = [candidate("half", 0.94, 11.3, 60), candidate("third", 0.93, 6.0, 40), candidate("tiny", 0.90, 2.0, 12)]


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (Budget(), "half"),
        (Budget(max_latency_ms=11.3), "half"),
        (Budget(max_latency_ms=11.29), "third"),
        (Budget(max_latency_ms=10.0, min_retention=0.97), "third"),
        (Budget(max_megabytes=20.0), "tiny"),
        (Budget(max_latency_ms=3.0, min_retention=0.9, max_megabytes=12.0), "tiny"),
    ],
)
def test_the_best_score_within_the_budget_is_chosen(budget: Budget, name: str) -> None:
    choice = choose(FRONT, budget)
    assert choice.best is not None
    assert (choice.best.name, choice.nearest, choice.relaxed) == (name, None, ())


@pytest.mark.parametrize(
    ("prefer", "names"), [("score", ["half", "third"]), ("latency", ["tiny", "third"]), ("size", ["tiny", "third"])]
)
def test_what_is_preferred_among_what_fits_is_chosen_and_of_equal_ones_the_better(prefer, names: list[str]) -> None:
    found = [choose(FRONT, budget, prefer).best for budget in (Budget(), Budget(max_latency_ms=10.0, min_retention=0.97))]
    assert [own and own.name for own in found] == names
    equal = [candidate("a", 0.8, 5), candidate("b", 0.9, 5)]
    assert choose(equal, Budget(), prefer).best == equal[1]
    equal = [candidate("a", 0.9, 5), candidate("b", 0.9, 4, 9), candidate("c", 0.9, 4, 8)]
    assert {choose(order, Budget()).best for order in (equal, equal[::-1])} == {equal[2]}


def test_who_sets_no_budget_is_told_the_fastest_that_keeps_97_percent() -> None:
    assert recommendation(FRONT) == (
        "ship third (onnx-int8): accuracy 93.0% (97.9% of its teacher’s), p95 6 ms, 40 MB: "
        "2.0 × as fast (median) and 4.0 × as small as big in torch"
    )
    worse = [candidate("third", 0.92, 6), candidate("tiny", 0.9, 2)]
    line = recommendation(worse)
    assert line.startswith("ship third (onnx-int8): accuracy 92.0% (96.8% of its teacher’s)")
    assert line.endswith("; the best score: none keeps 97% of its teacher’s")
    assert recommendation([]) == sentence(choose([], Budget()), Budget())


def test_where_nothing_fits_the_nearest_is_named_and_each_limit_that_would_do_alone() -> None:
    budget = Budget(max_latency_ms=10.0, min_retention=0.985)
    choice = choose(FRONT, budget)
    assert (choice.best, choice.nearest) == (None, FRONT[1])
    admitted = {(own.limit, own.value): own.candidate for own in choice.relaxed}
    assert list(admitted.items()) == [(("min-retention", 0.978), FRONT[1]), (("max-latency-ms", 11.3), FRONT[0])]
    for (limit, value), first in admitted.items():
        assert choose(FRONT, replace(budget, **{limit.replace("-", "_"): value})).best == first
    line = sentence(choice, budget)
    admits = "--min-retention 0.978 admits third (onnx-int8), or --max-latency-ms 11.3 admits half (onnx-int8)"
    assert all(part in line for part in ("the nearest, third (onnx-int8)", "misses retention by 0.61 points", admits))
    assert "misses latency by 1.3 ms" in sentence(choose(FRONT[:1], budget), budget)
    tight = Budget(max_latency_ms=1.0, min_retention=0.999)
    assert "no single limit is to blame: relax several" in sentence(choose(FRONT, tight), tight)
    assert "run `dvc repro`" in sentence(choose([], Budget()), Budget())


def test_a_student_of_unknown_retention_meets_no_demand_of_it() -> None:
    unknown = Candidate("odd", "torch-fp32", "news", "big", "mcc", 0.1, None, 1.0, 123.4, None, None)
    assert choose([unknown], Budget()).best == unknown
    assert choose([unknown], Budget(min_retention=0.5)).best is None
    assert sentence(choose([unknown], Budget()), Budget()) == "ship odd (torch-fp32): MCC 0.100, p95 1 ms, 123 MB"


def test_a_teacher_of_which_nothing_is_kept_is_known_all_the_same() -> None:
    students = {"soft": {"metric": "accuracy", "accuracy": 0.0, "retention": 0.0}}
    exports = {"soft": {"fp32": {"accuracy": 0.0}, "int8": {"accuracy": 0.1}}}
    found = {own.form: own.retention for own in candidates(BENCHMARK, students, exports)}
    assert found == {"torch-fp32": 0.0, "onnx-fp32": 0.0, "onnx-int8": None}  # of what, torch's score does not say
    assert "none keeps 97%" in recommendation(candidates(BENCHMARK, students, exports))
    unknown = {"soft": {"metric": "accuracy", "accuracy": 0.9}}
    assert "no teacher’s is known, and above 0, on" in recommendation(candidates(BENCHMARK, unknown, {}))


def test_limits_that_are_advised_can_be_asked_for() -> None:
    below = [replace(candidate("a", -0.1, 1), retention=-0.2), replace(candidate("b", 0.5, 12345.64, 12345.64), retention=0.5)]
    budget = Budget(max_latency_ms=9.0, min_retention=0.1)
    (relaxed,) = choose(below, budget).relaxed
    assert str(relaxed) == "--max-latency-ms 12345.64 admits b (onnx-int8)"


def test_what_a_relaxed_limit_admits_is_what_is_chosen_then() -> None:
    equal = [replace(candidate("a", 0.9, 5), form="onnx-fp32"), candidate("a", 0.9, 1), candidate("b", 0.8999, 1, 9)]
    for prefer in ("score", "latency", "size"):
        (relaxed,) = choose(equal, Budget(min_retention=1.0), prefer).relaxed
        assert relaxed.candidate == choose(equal, Budget(min_retention=relaxed.value), prefer).best


def timed(p95: float, size: int) -> dict[str, object]:
    percentiles = {"100": float(p95), "95": float(p95), "50": p95 / 2, "0": p95 / 2}
    return {"bytes": size, "latency": {"rows": {"p50": p95 / 2, "p95": p95, "speedup": 3.0, "percentiles": percentiles}}}


SOFT = {form: timed(p95, 40_000_000) for form, p95 in {"torch-fp32": 12, "torch-bf16": 1, "onnx-fp32": 8}.items()}
FORMATS = {"soft": {**SOFT, "onnx-int8": timed(4, 10_000_000)}, "plain": {"torch-fp32": timed(1, 1)}}
BENCHMARK = {
    "teachers": {"big": {"formats": {"torch-fp32": timed(24, 80_000_000)}}},
    "students": {name: {"dataset": "news", "teacher": "big", "formats": formats} for name, formats in FORMATS.items()},
}
STUDENTS = {"soft": {"metric": "accuracy", "accuracy": 0.9, "retention": 0.95}}
EXPORTS = {"soft": {"fp32": {"accuracy": 0.9}, "int8": {"accuracy": 0.88}}}


def test_candidates_have_the_score_of_their_own_format_and_none_without_one() -> None:
    found = {own.form: own for own in candidates(BENCHMARK, STUDENTS, EXPORTS)}
    assert set(found) == {"torch-fp32", "onnx-fp32", "onnx-int8"}
    int8 = found["onnx-int8"]
    assert (int8.score, int8.latency_ms, int8.megabytes, int8.speedup, int8.smaller) == (0.88, 4, 10.0, 3.0, 8.0)
    assert int8.retention == pytest.approx(0.95 * 0.88 / 0.9)
    assert {own.form for own in candidates(BENCHMARK, STUDENTS, {})} == {"torch-fp32"}
    assert candidates(BENCHMARK, STUDENTS, EXPORTS, "128") == []
    seeds = {"soft": {**STUDENTS["soft"], "shipped": 0.92}}
    torch = next(own for own in candidates(BENCHMARK, seeds, {}) if own.form == "torch-fp32")
    assert (torch.score, torch.retention) == (0.92, pytest.approx(0.95 * 0.92 / 0.9))
    assert candidates(BENCHMARK, STUDENTS, EXPORTS, "rows", "p50")[0].latency_ms == 4
    assert candidates(BENCHMARK | {"teachers": {}}, STUDENTS, EXPORTS)[0].smaller is None


def test_a_share_that_is_kept_is_not_missed_by_the_last_digit_of_a_float() -> None:
    students = {"soft": {"metric": "accuracy", "accuracy": 56 / 90, "retention": (56 / 90) / (50 / 90)}}
    found = candidates(BENCHMARK, students, {"soft": {"fp32": {"accuracy": 56 / 90}}})
    assert [own.form for own in found if not Budget(min_retention=1.12).misses(own)] == ["onnx-fp32", "torch-fp32"]
    (relaxed,) = choose(found, Budget(min_retention=1.13)).relaxed
    assert relaxed.value == 1.12


def test_a_cascade_has_the_score_of_both_and_the_time_of_the_student_and_for_some_rows_of_the_teacher(project) -> None:
    teacher = {"big": {"formats": {form: timed(24, 80_000_000) for form in ("torch-fp32", "onnx-fp32")}}}
    scored = {
        "soft": {**EXPORTS["soft"], "int8": {"accuracy": 0.88, "cascade": {"threshold": 0.8, "sent": 0.25, "accuracy": 0.94}}}
    }
    found = candidates(BENCHMARK | {"teachers": teacher}, STUDENTS, scored)
    (both,) = [own for own in found if own.sent is not None]
    assert (both.name, both.form, both.sent, both.threshold, both.score) == ("soft", "onnx-int8", 0.25, 0.8, 0.94)
    assert (both.latency_ms, both.megabytes) == (pytest.approx(3.33 + 20, abs=0.05), 90.0)  # of a sent row at 80%
    assert both.retention == pytest.approx(0.95 * 0.94 / 0.9)
    assert both.speedup == pytest.approx(3.0 * 2 / 2.74, abs=0.01)  # of a row that is not sent, at two thirds
    assert both.smaller == pytest.approx(80 / 90)
    assert choose(found, Budget(max_latency_ms=24.0, min_retention=0.98, cascades=True)).best == both
    assert choose(found, Budget(max_latency_ms=10.0, cascades=True)).best != both
    assert choose(found, Budget(max_latency_ms=10.0)).best in [own for own in found if own.sent is None]
    assert choose([both], Budget()).best is None
    assert "behind it" not in recommendation(found)
    assert sentence(choose([both], Budget(cascades=True)), Budget(cascades=True)).endswith(
        "; it answers what it is 80.0% sure of, the teacher the other 25.0%"
    )
    write_json(project / "data/metrics/benchmark.json", BENCHMARK | {"teachers": teacher})
    write_json(project / "data/metrics/exports/students/soft.json", scored["soft"])
    refused = invoke(main, "--min-retention", "0.98")
    assert (refused.returncode, refused.stdout.startswith("nothing fits; the nearest, soft (onnx-fp32): ")) == (1, True)
    assert "; --cascades admits soft (onnx-int8) with big behind it, or --min-retention 0.95 admits soft" in refused.stdout
    assert invoke(main, "--cascades").stdout == recommendation(found, cascades=True) + "\n"
    assert recommendation([replace(both, retention=0.5)], cascades=True).endswith(
        "; the best score: none keeps 97% of its teacher’s"
    )
    line = invoke(main, "--min-retention", "0.98", "--cascades").stdout
    assert line.startswith(
        "ship soft (onnx-int8) with big behind it: accuracy 94.0% (99.2% of its teacher’s), p95 23 ms, 90 MB: "
    )
    assert [
        own.sent for own in measured_candidates(project / "data", {"soft": "news"}, ensembles=frozenset({"soft"}))["news"]
    ] == [None] * 3
    slow = {"soft": {**FORMATS["soft"], "onnx-int8": {"bytes": 1, "latency": {"rows": {"p50": 2, "p95": 4}}}}}
    unlike = {"students": {"soft": {"dataset": "news", "teacher": "big", "formats": slow["soft"]}}, "teachers": teacher}
    assert all(own.sent is None for own in candidates(unlike, STUDENTS, scored)), "not timed on the same rows"


LEFT_OUT = "left out, as they have not been timed and scored: plain, half, tiny; run `dvc repro`\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml and metrics, the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    content = {"benchmark": BENCHMARK, "students/soft": STUDENTS["soft"], "exports/students/soft": EXPORTS["soft"]}
    for name, value in content.items():
        write_json(tmp_path / f"data/metrics/{name}.json", value)
    return tmp_path


def test_the_command_names_the_student_takes_a_preference_and_without_any_wish_recommends(project) -> None:
    done = invoke(main, "--max-latency-ms", "10", "--min-retention", "0.94")
    assert (done.returncode, done.stderr) == (0, LEFT_OUT)
    assert done.stdout == (
        "ship soft (onnx-fp32): accuracy 90.0% (95.0% of its teacher’s), p95 8 ms, 40 MB: "
        "3.0 × as fast (median) and 2.0 × as small as big in torch\n"
    )
    assert invoke(main, "--prefer", "size").stdout.startswith("ship soft (onnx-int8)")
    assert ", p50 2 ms, 10 MB: " in invoke(main, "--prefer", "size", "--percentile", "p50").stdout
    done = invoke(main)
    assert done.stdout.startswith("ship soft (onnx-fp32)")
    assert ("none keeps 97%" in done.stdout, done.returncode) == (True, 0)


def test_formats_that_nobody_has_scored_are_told(project) -> None:
    (project / "data/metrics/exports/students/soft.json").unlink()
    done = invoke(main)
    assert "half, tiny, soft (onnx-fp32), soft (onnx-int8); run `dvc repro`" in done.stderr
    assert done.stdout.startswith("ship soft (torch-fp32)")


def test_only_students_that_are_asked_for_are_compared_by_data_set(project) -> None:
    assert [len(own) for own in measured_candidates(project / "data", {"soft": "news"}).values()] == [3]
    assert measured_candidates(project / "data", {"other": "wire"}) == {"wire": []}


def test_a_project_without_students_and_a_damaged_benchmark_are_named(project) -> None:
    (project / "data/metrics/benchmark.json").write_text('{"students": {"soft": {}}}', encoding="utf-8")
    done = invoke(main)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "a file is damaged or of an older version (KeyError: 'teachers')" in done.stderr
    params = project / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").partition("\nstudents:")[0] + "\nstudents: {}\n", encoding="utf-8")
    line = "params.yaml: no student has a trained head; add one to students (docs/choosing.md), then run `dvc repro`"
    assert refusal(invoke(main)) == line


def test_the_command_exits_with_1_where_nothing_fits_or_anything_is_missing(project) -> None:
    done = invoke(main, "--max-latency-ms", "3", "--json")
    found = json.loads(done.stdout)["news"]
    assert (done.returncode, found["best"], found["nearest"]["form"], found["relaxed"][0]["value"]) == (1, None, "onnx-int8", 4)
    assert "did you mean 'news'?" in refusal(invoke(main, "--dataset", "newss"))
    (project / "data/metrics/benchmark.json").unlink()
    assert "dvc repro benchmark" in refusal(invoke(main))


@pytest.mark.parametrize("limit", ["--max-latency-ms", "--min-retention", "--max-megabytes"])
def test_a_limit_that_is_no_number_is_refused(project, limit: str) -> None:
    done = invoke(main, limit, "nan")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'nan' is not a number." in done.stderr


def test_choosing_needs_no_torch(project) -> None:
    run = "from distill.commands.choose import main; main([], standalone_mode=False)"
    done = python(project, "-c", f"import sys; {run}; assert 'torch' not in sys.modules")
    assert (done.returncode, done.stderr) == (0, LEFT_OUT)
