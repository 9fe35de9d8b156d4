"""`make quality`: its params files pass the check and feed their students; what it collects is what the files say."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from ruamel.yaml import YAML

from distill.pipeline.needs import missing_needs
from distill.pipeline.project import load_params
from distill.pipeline.shapes import Shape
from distill.pipeline.suggestion import COPIES
from distill.pipeline.suggestion import SEEDS as MORE
from distill.tasks.judged import TEACHER, Judged, write_judged
from tests.benchmarks.quality import efficiency
from tests.benchmarks.quality.collecting import collect, gain_over_reference, merge
from tests.benchmarks.quality.entries import ABLATION, METHODS, TASKS, methods_of
from tests.benchmarks.quality.params import task_params
from tests.benchmarks.quality.tables import efficiency_table, quality_tables, write_between
from tests.closures import ROOT
from tests.reports import write_json

SEEDS = (1, 2, 3)


def checked(folder: Path, content: dict) -> list[str]:
    """What is wrong with a params.yaml, under teachers of MiniLM's shape."""
    path = folder / "params.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    params = load_params(path)
    shapes = dict.fromkeys(params.teachers, Shape(6, 384, 12))
    return [line for target_set in params.targets for line in missing_needs(params, target_set, path, shapes)]


@pytest.mark.parametrize("name", TASKS)
def test_the_params_of_a_task_are_valid_and_its_targets_feed_its_students_of_every_recipe(tmp_path: Path, name: str) -> None:
    for hub in (False, True):
        assert checked(tmp_path, task_params(name, TASKS[name], methods_of(name), SEEDS, {"path": "/rows"}, hub)) == []
    recipes = {stage["recipe"] for method in methods_of(name).values() for stage in method.stages}
    assert recipes == {"supervised", "hinton", "distilbert", "pkd", "fitnets", "minilm", "tinybert", "mobilebert"}


def test_some_students_alone_are_valid_too(tmp_path: Path) -> None:
    for student, method in (METHODS | ABLATION).items():
        task = (method.tasks or ("sst2",))[0]
        content = task_params(task, TASKS[task], methods_of(task, (student,)), (1,), {"path": "/rows"})
        assert student in content["students"]
        assert checked(tmp_path, content) == []


def test_variants_of_the_default_are_trained_where_they_are_named() -> None:
    assert not METHODS.keys() & ABLATION.keys()
    assert not methods_of("mrpc").keys() & ABLATION.keys()
    of_answers = {"labels-long", "soft-long", "soft-long-spread", "soft-long-augmented", "default-one"}
    elsewhere = {"default-rows-hardest", "default-ends", "default-copies", "default-soft"}
    assert methods_of("mrpc", tuple(ABLATION)).keys() == ABLATION.keys() - of_answers - elsewhere
    assert methods_of("xquad", tuple(ABLATION)).keys() == of_answers
    assert methods_of("mrpc", ("hinton", "soft-twice")).keys() == {"hinton", "soft-twice"}
    assert not methods_of("bbc", tuple(ABLATION))


def test_a_student_of_cross_fitted_answers_reads_those_and_is_initialized_as_the_others() -> None:
    content = task_params("mrpc", TASKS["mrpc"], methods_of("mrpc", ("soft-twice", "soft-twice-folds")), (1,), {"path": "/rows"})
    plain, folds = (content["students"][name] for name in ("soft-twice", "soft-twice-folds"))
    assert folds == plain | {"targets": "mrpc-folds/logits"}
    assert content["targets"]["mrpc-folds"]["teacher"] == "mrpc-folds"
    assert content["teachers"]["mrpc-folds"] == content["teachers"]["mrpc"] | {"folds": 3}


def test_the_default_learns_from_copies_in_as_many_steps_as_labels_alone() -> None:
    for task in TASKS:
        content = task_params(task, TASKS[task], methods_of(task, ("default", "default-labels")), SEEDS, {"path": "/rows"})
        default, labels = content["students"].values()
        assert (default["init"], labels["targets"]) == (labels["init"], f"{task}/logits")
        if task == "snips-slots":  # tags, of which `new` makes no copies
            assert (content["augmentations"], default["targets"], default["epochs"]) == ({}, labels["targets"], labels["epochs"])
            assert default["alpha"] == 0.5
        else:
            assert default["alpha"] == 0
            further = "-seeds" if task == "xquad" else ""
            assert default["targets"] == f"{task}-copies{further}/logits"
            assert content["teachers"][f"{task}{further}"].get("seeds", []) == (MORE if further else [])
            assert content["augmentations"] == {f"{task}-copies": {"of": task, "teacher": task, "copies": COPIES}}
            assert abs(default["epochs"] * (1 + COPIES) - labels["epochs"]) <= (3 if task == "xquad" else 0)


def test_stages_are_initialized_from_one_another_and_the_last_alone_has_all_seeds() -> None:
    students = task_params("mrpc", TASKS["mrpc"], methods_of("mrpc"), SEEDS, {"path": "/rows"})["students"]
    assert students["minilm"]["init"] == {"from": "data/students/minilm-1"}
    assert students["minilm-1"]["seeds"] == [1]
    assert "seeds" not in students["minilm"]


def test_the_params_of_label_efficiency_are_valid(tmp_path: Path) -> None:
    content = efficiency.efficiency_params(tmp_path / "rows", SEEDS)
    assert (checked(tmp_path, content), len(content["students"])) == ([], 3 * 2 * 3)


@pytest.fixture
def rows(tmp_path: Path) -> list[dict]:
    """What is collected of a teacher and two students; a third has not been measured."""
    methods = methods_of("mrpc", ("supervised", "minilm", "pkd"))
    write_json(tmp_path / "data/metrics/teachers/mrpc.json", {"metric": "accuracy", "accuracy": 0.8})
    score = {"metric": "accuracy", "accuracy": 0.76, "accuracy_sd": 0.01, "seeds": {"1": 0.75, "2": 0.76, "3": 0.77}}
    score |= {"retention": 0.95, "retention_low": 0.93, "retention_high": 0.97}
    score |= {"layers": 3, "hidden_size": 384, "parameters": 17, "calibration_error": 0.02, "calibration_error_before": 0.1}
    for name in ("supervised", "minilm"):
        write_json(tmp_path / f"data/metrics/students/{name}.json", score)
    form = {"fp32": {"accuracy": 0.76, "bytes": 70}, "int8": {"accuracy": 0.757, "bytes": 20}, "metric": "accuracy"}
    write_json(tmp_path / "data/metrics/exports/students/minilm.json", form)
    return collect(tmp_path, "mrpc", methods)


def test_a_row_says_what_the_files_say(rows: list[dict]) -> None:
    assert [(row["student"], row["recipe"]) for row in rows] == [("supervised", "supervised"), ("minilm", "minilm → hinton")]
    keys = {"task", "student", "recipe", "half_depth", "score", "teacher_score", "retention", "interval", "seeds"}
    assert all(keys <= row.keys() for row in rows)
    first = rows[0]
    assert (first["score"], first["teacher_score"], first["retention"]) == (0.76, 0.8, 0.95)
    assert (first["interval"], first["seeds"], first["half_depth"]) == ([0.93, 0.97], [1, 2, 3], True)


def test_new_rows_replace_old_ones_and_all_stand_in_the_order_of_tasks_and_students(rows: list[dict]) -> None:
    old = [{"task": "sst2", "student": "pkd", "n": 1}, {"task": "mrpc", "student": "minilm", "n": 1}]
    merged = merge(old, [{**row, "n": 2} for row in rows], {"task": ["mrpc", "sst2"], "student": list(METHODS)})
    assert [(row["task"], row["student"], row["n"]) for row in merged] == [
        ("mrpc", "supervised", 2),
        ("mrpc", "minilm", 2),
        ("sst2", "pkd", 1),
    ]


def test_tables_have_a_line_for_each_student_and_a_dash_where_nothing_was_measured(rows: list[dict]) -> None:
    other = {**rows[0], "task": "bbc", "retention": 0.99, "interval": [0.98, 1.0]}
    text = quality_tables([other, *rows])
    assert "| `supervised` | 99.0 (98.0–100.0) | 95.0 (93.0–97.0) | 97.0 |" in text
    assert "| `minilm` | – | 95.0 (93.0–97.0) | 95.0 (1) |" in text
    assert "| teacher, 6 × 384 | 80.0 | 80.0 |" in text
    assert "| `supervised` | 76.0 ± 1.0 | 76.0 ± 1.0 |" in text
    assert "| `supervised` | 76.0 |" in quality_tables([{**rows[0], "seeds": [1]}])
    assert "| mrpc | `minilm` | 10.0 | 2.0 | -0.3 | 3.5 |" in text
    assert "INT8" not in quality_tables(rows[:1])


def test_scores_under_another_teacher_than_the_tables_are_marked(rows: list[dict]) -> None:
    assert "another fine-tuning" not in quality_tables(rows)
    text = quality_tables([rows[0], {**rows[1], "teacher_score": 0.775}])
    assert "| teacher, 6 × 384 | 80.0 |" in text
    assert "| `supervised` | 76.0 ± 1.0 |" in text
    assert "| `minilm` | 76.0 ± 1.0 † |" in text
    assert "\n\n† under another fine-tuning of the teacher, which scored: mrpc 77.5.\n\n" in text


def test_students_of_the_ablation_are_held_against_one_of_them_row_by_row(tmp_path: Path, rows: list[dict]) -> None:
    for student, right in {"soft-twice": [0, 0, 1, 1], "hardest-twice": [1, 1, 1, 1]}.items():
        judged = Judged(tuple("abcd"), None, np.array(right, bool), np.array([[1, value] for value in right], float))
        place = tmp_path / "data/evaluations/students" / student
        place.mkdir(parents=True)
        teacher = Judged(tuple("abcd"), None, np.array([1, 0, 1, 1], bool), np.array([[1, 1], [1, 0], [1, 1], [1, 1]], float))
        write_judged(place / "judged.parquet", {("test", "1"): judged, ("test", TEACHER): teacher})
        (place / "detail.json").write_text('{"task": "sequence-classification"}', encoding="utf-8")
    row = {"metric": "accuracy", "seeds": [1]}
    found = gain_over_reference(tmp_path, "hardest-twice", "soft-twice", row)
    assert (found["gain"], found["teacher_gain"]) == (0.5, 0.25)
    assert 0 <= found["by_rows"][0] < 0.5 < found["by_rows"][1] <= 1
    assert gain_over_reference(tmp_path, "soft-twice", None, row) == gain_over_reference(tmp_path, "soft-twice", "pkd", row) == {}
    assert gain_over_reference(tmp_path, "hardest-twice", "soft-twice", {**row, "seeds": [1, 2]}) == found
    assert gain_over_reference(tmp_path, "hardest-twice", "soft-twice", {**row, "seeds": [2]}) == {}
    assert {method.against for method in (METHODS | ABLATION).values()} - {None} <= METHODS.keys() | ABLATION.keys()
    text = quality_tables([{**rows[0], "student": "hardest-twice", **found, "kl_from_teacher": 0.0756}, rows[1]])
    assert "Gain over `soft-twice`" in text
    assert "| its teacher | +25.0 (" in text
    assert "| `hardest-twice` | +50.0 (" in text
    assert "| `hardest-twice` | 0.076 |" in text


def test_the_marked_part_of_a_page_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- quality -->\nold\n<!-- /quality -->\nafter\n", encoding="utf-8")
    write_between(page, "quality", "new \\1")
    write_between(page, "quality", "newer \\1")
    assert page.read_text(encoding="utf-8") == "before\n<!-- quality -->\n\nnewer \\1\n\n<!-- /quality -->\nafter\n"
    with pytest.raises(ValueError, match="markers of 'nothing'"):
        write_between(page, "nothing", "")
    text = (ROOT / "docs/quality.md").read_text(encoding="utf-8")
    assert all(text.count(f"<!-- {name} -->") == 1 for name in ("quality", "ablation", "label-efficiency"))


def test_sizes_are_nested_and_unlabelled_rows_have_no_label_and_stand_in_no_labelled_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efficiency, "ALL", 8)
    monkeypatch.setattr(efficiency, "SIZES", {"500": 3, "all": 8})
    monkeypatch.setattr(efficiency, "UNLABELLED_ROWS", 5)
    train = pa.table({"sentence": [f"s{i}" for i in range(20)], "label": [i % 2 for i in range(20)]})
    efficiency.write_rows({"train": train, "validation": train.slice(0, 2), "test": train.slice(2, 2)}, tmp_path)
    few, many, more = (
        pa.parquet.read_table(tmp_path / name / "train.parquet") for name in ("rows-500", "rows-all", "rows-500-more")
    )
    assert many.slice(0, 3) == few == more.slice(0, 3)
    spare = more.slice(3)
    assert (spare.num_rows, spare["label"].null_count) == (5, 5)
    assert set(spare["sentence"].to_pylist()).isdisjoint(many["sentence"].to_pylist())


def test_a_gain_has_the_intervals_of_its_rows_and_of_its_seeds() -> None:
    rng = np.random.default_rng(0)
    baseline = rng.random((3, 400)) < 0.7
    right = baseline | (rng.random((3, 400)) < 0.2)
    found = efficiency.gain(right, baseline)
    differences = right.mean(axis=1) - baseline.mean(axis=1)
    assert found["gain"] == pytest.approx(differences.mean())
    half = 4.302652729911275 * differences.std(ddof=1) / 3**0.5
    assert found["by_seeds"] == pytest.approx([differences.mean() - half, differences.mean() + half])
    low, high = found["by_rows"]
    spread = (right.mean(axis=0) - baseline.mean(axis=0)).std() / 400**0.5
    assert (low, high) == pytest.approx((found["gain"] - 1.96 * spread, found["gain"] + 1.96 * spread), abs=0.3 * spread)
    assert efficiency.gain(baseline, baseline) == {"gain": 0.0, "by_rows": [0.0, 0.0], "by_seeds": [0.0, 0.0]}


def test_the_table_of_gains() -> None:
    row = {"student": "tiny", "labelled": 2000, "teacher_score": 0.845}
    row |= {"training": "supervised", "score": 0.71, "score_sd": 0.004}
    none = {"gain": None, "by_rows": None, "by_seeds": None}
    gained = {"gain": 0.094, "by_rows": [0.07, 0.12], "by_seeds": [-0.01, 0.2]}
    lines = efficiency_table([{**row, **none}, {**row, "training": "more", **gained}]).splitlines()
    assert lines[2] == "| tiny | 2,000 | 84.5 | supervised | 71.0 ± 0.4 | – | – | – |"
    assert lines[3] == "| tiny | 2,000 | 84.5 | more | 71.0 ± 0.4 | +9.4 | +7.0 to +12.0 | -1.0 to +20.0 |"
