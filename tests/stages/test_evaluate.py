"""What `evaluate` writes: scores, what is told of predictions, and the tables of plots."""

import json
from pathlib import Path

import pytest

from distill.core.files import to_json, write_text
from distill.data.dataset import Dataset
from distill.evaluation.details import read_detail
from distill.evaluation.plots import PLOTS
from distill.models.loading import set_labels
from stages.evaluate import main
from tests import tiny
from tests.command_line import contents, invoke, refusal
from tests.stores import materialize
from tests.target_specs import target_spec

PARAMS = """\
teachers:
  big: {dataset: tiny, checkpoint: {path: x}}
students:
  small: {recipe: hinton, dataset: tiny, targets: tiny/logits, init: {from: data/teachers/big, depth: 2}, seeds: [7]}
"""
RUN = {"seed": 7, "history": [{"step": 1, "epoch": 1.0, "loss": 2.5}]}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("distill.core.numeric.RESAMPLES", 200)


@pytest.fixture
def project(in_project, tokenizer) -> Path:
    """A teacher, a student, and the teacher's logits."""
    folder = in_project(PARAMS)
    dataset = Dataset.open(tiny.prepare(folder / "data/prepared/tiny", tokenizer))
    teacher = tiny.bert(layers=3)
    set_labels(teacher.config, dataset.labels)
    tiny.save(teacher, folder / "data/teachers/big", tokenizer)
    tiny.save(tiny.bert(seed=5), folder / "data/students/small", tokenizer)
    materialize(teacher, dataset, folder / "data/targets/tiny", target_spec())
    write_text(folder / "data/runs/students/small.json", to_json([RUN]))
    write_text(folder / "data/runs/teachers/big.json", to_json({**RUN, "history": []}))
    return folder


def run(*arguments: str) -> None:
    done = invoke(main, *arguments)
    assert done.returncode == 0, done.stderr


def written(folder: Path) -> dict[str, bytes]:
    written = ("metrics", "evaluations", "plots")
    return {name: content for name, content in contents(folder / "data").items() if name.split("/")[0] in written}


def test_a_student_has_scores_detail_and_every_plot_twice_the_same(project):
    run("students", "small")
    found = written(project)
    plots = {f"plots/{plot}/students/small/tiny.csv" for plot in PLOTS}
    kept = {f"evaluations/students/small/{name}" for name in ("detail.json", "judged.parquet")}
    assert set(found) == {"metrics/students/small.json", *kept, *plots}
    detail = read_detail(project / "data/evaluations/students/small/detail.json", "evaluate@small")
    scores = json.loads(found["metrics/students/small.json"])
    shares = detail.agreement
    assert (shares.both + shares.student_only) / scores["rows"] == pytest.approx(scores["accuracy"])
    assert shares.both + shares.neither_same == pytest.approx(scores["agreement"] * scores["rows"])
    assert len(detail.examples) == shares.student_only + shares.teacher_only + shares.neither_differ > 0
    run("students", "small")
    assert written(project) == found


def test_a_teacher_that_was_not_trained_has_no_curves(project):
    run("teachers", "big")
    assert set(written(project)) == {
        "metrics/teachers/big.json",
        "evaluations/teachers/big/detail.json",
        "plots/confusion/teachers/big/tiny.csv",
        "plots/calibration/teachers/big/tiny.csv",
    }
    assert list((project / "data/plots/training/teachers/big").iterdir()) == []
    assert read_detail(project / "data/evaluations/teachers/big/detail.json", "x").agreement is None


def test_without_a_record_of_the_training_the_stage_is_named(project):
    (project / "data/runs/students/small.json").unlink()
    complaint = "data/runs/students/small.json: is missing; expected what the student stage writes"
    assert refusal(invoke(main, "students", "small")).startswith(complaint)
    assert written(project) == {}
