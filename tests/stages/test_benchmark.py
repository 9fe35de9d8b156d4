import json
import shutil

import pytest
from click.testing import CliRunner

from distill.commands import check
from distill.data.dataset import Dataset
from stages import benchmark
from tests import tiny

PARAMS = """\
datasets: {tiny: {source: tiny, tokenizer: {path: origin}}}
teachers: {big: {dataset: tiny, checkpoint: {path: origin}}}
targets: {logits: {teacher: big, dataset: tiny, hidden: [-1]}}
students:
  half: {recipe: hinton, dataset: tiny, targets: logits/logits, init: {from: data/teachers/big, depth: 1}}
  first: {recipe: tinybert, stage: intermediate, dataset: tiny, targets: logits, init: {from: data/teachers/big, depth: 1}}
"""


@pytest.fixture
def project(in_project, monkeypatch, prepared, teacher, tokenizer):
    """A project with a teacher and a student, and one student more whose head is not trained."""
    monkeypatch.setattr(
        "distill.benchmark.benchmark.peak_memories", lambda jobs: [{"process_bytes": 2, "model_bytes": 1}] * len(jobs)
    )
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    folder = in_project(PARAMS)
    (folder / "data/raw/tiny").mkdir(parents=True)
    shutil.copytree(prepared, folder / "data/prepared/tiny")
    shutil.copytree(teacher, folder / "data/teachers/big")
    tiny.save(tiny.bert(layers=1), folder / "data/students/half", tokenizer)
    done = CliRunner().invoke(check.main, ["--jobs", "data/jobs"])
    assert done.exit_code == 0, done.output
    return folder


def test_teachers_and_students_with_a_trained_head_are_measured(project) -> None:
    done = CliRunner().invoke(benchmark.main, ["--seconds", "0", "--length", "4", "--batch", "2", "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "benchmark: 2 models, 1 threads" in done.output
    found = json.loads((project / "data/metrics/benchmark.json").read_text(encoding="utf-8"))
    assert (list(found["teachers"]), list(found["students"])) == (["big"], ["half"])
    assert found["students"]["half"]["teacher"] == "big"
    timed = found["students"]["half"]["formats"]["torch-fp32"]["latency"]
    assert set(timed) == {"4", "rows"}
    assert timed["rows"]["speedup"] > 0


def test_a_student_that_is_not_there_is_one_line(project) -> None:
    shutil.rmtree(project / "data/students/half")
    done = CliRunner().invoke(benchmark.main, ["--seconds", "0"])
    assert done.exit_code == 1
    assert "data/students/half: no model; run the stage that writes it" in done.output
    assert not (project / "data/metrics/benchmark.json").exists()
    assert Dataset.open(project / "data/prepared/tiny").task == "sequence-classification"
