"""The whole pipeline on rows with several labels each, from columns of 0 and 1."""

import csv
import json
import random
from pathlib import Path

import pyarrow.parquet
import pytest

from distill.commands.predict import main
from tests import tiny
from tests.command_line import invoke
from tests.projects import make_origin, make_project, read, run_pipeline

PARAMS = """\
defaults:
  datasets: {tokenizer: {path: ORIGIN/checkpoint}, task: multi-label, max_length: 16, metric: macro_f1}
  teachers: {epochs: 5, batch_size: 8, learning_rate: 1e-2, precision: fp32}
  students: {epochs: 1, batch_size: 8, learning_rate: 1e-2, precision: fp32}
sources:
  marked: {path: ORIGIN/marked}
datasets:
  tiny: {source: marked, columns: {labels: [cat, dog, fish]}}
teachers:
  one: {dataset: tiny, checkpoint: {path: ORIGIN/checkpoint}, folds: 2}
  two: {dataset: tiny, checkpoint: {path: ORIGIN/checkpoint}, seed: 2}
targets:
  one: {teacher: one, dataset: tiny, hidden: [-1]}
  two: {teacher: two, dataset: tiny}
ensembles:
  both: {first: one, second: two, dataset: tiny}
students:
  hinton: {recipe: hinton, dataset: tiny, targets: both, init: {from: data/teachers/one, depth: 2}, seeds: [1, 2]}
  distilbert: {recipe: distilbert, dataset: tiny, targets: one, init: {from: data/teachers/one, depth: 2}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages have run: read only."""
    base = tmp_path_factory.mktemp("several")
    make_origin(base)
    (base / "marked").mkdir()
    rows = tiny.raw("multi-label", 120, 0).to_pylist()
    with (base / "marked/train.csv").open("w", encoding="utf-8", newline="") as file:
        marks = [[row["text"], *(int(name in row["label"]) for name in tiny.LABELS)] for row in rows]
        csv.writer(file).writerows(
            [("text", *tiny.LABELS), *marks, *([f"w{random.Random(i).randrange(40)}", "", "", ""] for i in range(9))]
        )
    project = make_project(base / "project", base, PARAMS)
    run_pipeline(project)
    return project


def test_every_stage_runs_and_the_thresholds_of_a_model_are_those_that_it_is_shipped_with(project: Path) -> None:
    train = read(project / "data/prepared/tiny/dataset.json")["splits"]["train"]
    assert train["transfer_rows"] == 9
    for kind, name in (("teachers", "one"), ("students", "hinton"), ("students", "distilbert")):
        scores, shipped = read(project / f"data/metrics/{kind}/{name}.json"), project / f"data/exports/{kind}/{name}"
        assert list(scores["thresholds"].values()) == read(shipped / "config.json")["thresholds"]
        assert list(scores["thresholds"]) == list(tiny.LABELS)
        exported = read(project / f"data/metrics/exports/{kind}/{name}.json")["fp32"]["macro_f1"]
        assert exported == pytest.approx(scores.get("shipped", scores["macro_f1"]), abs=1e-6)
        card = (shipped / "README.md").read_text(encoding="utf-8")
        assert "tells which of the labels cat, dog, fish apply" in card
        assert "probability in `thresholds` of config.json" in card
    assert read(project / "data/metrics/teachers/one.json")["macro_f1"] > 0.6
    assert {"agreement", "kl_from_teacher", "retention_low"} <= set(read(project / "data/metrics/students/hinton.json"))


def test_the_report_and_the_audit_name_labels(project: Path) -> None:
    page = (project / "data/report/index.html").read_text(encoding="utf-8")
    assert "Macro-F1" in page
    audit = pyarrow.parquet.read_table(project / "data/audits/one.parquet")
    assert len(audit) == read(project / "data/audits/one.json")["rows"]
    both = {*tiny.LABELS, *(f"not {name}" for name in tiny.LABELS)}
    assert {*audit["label"].to_pylist(), *audit["teacher"].to_pylist()} <= both


def test_soft_targets_of_labelled_rows_are_of_teachers_that_have_not_seen_them(project: Path) -> None:
    assert len(read(project / "data/runs/folds/one.json")) == 2
    assert {file.name for file in (project / "data/folds/one").iterdir()} == {"0", "1", "assignment.parquet", "folds.json"}
    assert {file.name for file in (project / "data/folds/two").iterdir()} == {"folds.json"}
    manifests = [read(project / f"data/targets/{name}/logits/manifest.json") for name in ("one", "two")]
    assert [bool(manifest["fingerprints"]["folds"]) for manifest in manifests] == [True, False]
    found = read(project / "data/audits/one.json")["certainty"]
    assert found["seen"]["lines"] == found["train"]["lines"]
    assert found["change"] > 0
    assert set(read(project / "data/audits/two.json")["certainty"]) == {"train", "validation"}
    assert "by one that has not: the soft targets" in (project / "data/report/index.html").read_text(encoding="utf-8")


def test_an_export_answers_with_all_labels_that_apply(project: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("w1 w12 w2\nw35\n", encoding="utf-8")
    done = invoke(main, str(project / "data/exports/students/hinton"), str(tmp_path / "texts.txt"))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2
    assert all(set(answer["labels"]) <= set(answer["probabilities"]) == set(tiny.LABELS) for answer in answers)
