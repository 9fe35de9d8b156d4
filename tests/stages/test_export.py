"""The export stage: what it writes, that it is the same each time, and that others can use it."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from transformers import AutoConfig, AutoTokenizer, pipeline

from distill.commands import predict as predict_command
from distill.core.files import to_json, write_text
from distill.data.dataset import Dataset
from distill.evaluation.evaluate import measure_teacher
from distill.export.hub import PLACES, files_for_hub
from distill.export.session import FP32, INT8
from distill.models.loading import load_for
from distill.models.predict import predict
from distill.tasks.base import EvaluationSplit
from distill.tasks.judged import FILE, TEACHER, write_judged
from distill.tasks.registry import task_of
from stages.export import main
from tests import tiny
from tests.command_line import contents, invoke, refusal
from tests.export.test_scores import model_of

STUDENT = {"recipe": "hinton", "dataset": "tiny", "targets": "tiny/logits", "init": {"from": "data/teachers/big", "depth": 2}}
PIPELINES = {
    "sequence-classification": "text-classification",
    "multi-label": "text-classification",
    "regression": "text-classification",
    "token-classification": "token-classification",
    "masked-lm": "fill-mask",
}
"""Those that transformers 5 has."""


def make(folder: Path, task: str, kind: str = "students") -> Dataset:
    """What the stage reads: a student `small` of a data set `tiny`, and its metrics."""
    dataset = Dataset.open(tiny.prepare_task(folder / "data/prepared/tiny", task))
    model = model_of(task, dataset, folder / "data" / kind / "small")
    scores = {**measure_teacher(model, dataset)[0], "retention": 0.95, "retention_low": 0.9}
    write_text(folder / f"data/metrics/{kind}/small.json", to_json({**scores, "retention_high": 1.0}))
    if kind == "students":
        task, (network, _) = task_of(dataset.task), load_for(model, dataset)
        splits = {split: EvaluationSplit.from_dataset(dataset, split) for split in ("validation", "test")}
        rows = {name: task.judged(predict(network, task, split.rows, ""), split) for name, split in splits.items()}
        (folder / "data/evaluations/students/small").mkdir(parents=True)
        kept = {(name, TEACHER): judged for name, judged in rows.items()}
        write_judged(folder / "data/evaluations/students/small" / FILE, kept)
    job = {"entry": STUDENT, "teachers": ["big"]} if kind == "students" else {"entry": {"dataset": "tiny"}}
    write_text(folder / f"data/jobs/exports/{kind}/small.json", to_json({**job, "export": {}}))
    return dataset


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("task", [*tiny.TASKS, tiny.EMBEDDING])
def test_what_it_writes_serves_transformers_and_onnx_runtime(task: str, tmp_path: Path) -> None:
    dataset = make(tmp_path, task)
    done = invoke(main, "students", "small")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "data/exports/students/small"
    assert set(contents(folder)) == {"README.md", "config.json", FP32, INT8, "tokenizer.json", "tokenizer_config.json"}
    config = AutoConfig.from_pretrained(folder)
    if dataset.labels:
        assert tuple(config.id2label[i] for i in sorted(config.id2label)) == dataset.labels
    text = "w1 [MASK] w3" if task == "masked-lm" else "w1 w2 w3"
    batch = AutoTokenizer.from_pretrained(folder)(text, return_tensors="np")
    for name in (FP32, INT8):
        logits = onnxruntime.InferenceSession(str(folder / name)).run(None, {key: batch[key] for key in batch})
        assert all(np.isfinite(part).all() and part.shape[0] == 1 for part in logits)
    if task in PIPELINES:
        found = pipeline(PIPELINES[task], model="data/students/small")(text)
        assert isinstance(found, list)
    measured = json.loads((tmp_path / "data/metrics/exports/students/small.json").read_text(encoding="utf-8"))
    assert measured["fp32"]["files"][FP32]["sha256"] == hashlib.sha256((folder / FP32).read_bytes()).hexdigest()
    assert f"export small: fp32 {measured['fp32']['bytes'] / 1e6:.2g} MB, {dataset.metric}" in done.stderr
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    (command,) = [line.split() for line in lines if line.startswith("python -m distill predict")]
    row = json.dumps({part.strip('{",:'): text for part in command[7::2]}) if len(command) > 6 else text
    Path(command[5]).write_text(row, encoding="utf-8")
    assert len(invoke(predict_command.main, *command[4:6]).stdout.splitlines()) == 1


def test_the_card_and_the_hub_have_the_weights_of_a_large_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "sequence-classification")
    monkeypatch.setattr("distill.export.onnx_graph.INLINE", 0)
    assert invoke(main, "students", "small").returncode == 0
    export = tmp_path / "data/exports/students/small"
    for place, content in files_for_hub(export, tmp_path / "data/students/small").items():
        (tmp_path / "hub" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hub" / place).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    card = (tmp_path / "hub/README.md").read_text(encoding="utf-8")
    for name, place in PLACES.items():
        session = onnxruntime.InferenceSession(str(tmp_path / "hub" / place))
        size = sum((export / file).stat().st_size for file in (name, f"{name}.data"))
        assert session.get_outputs()[0].name == "logits"
        assert re.search(rf"\| {place} \| ONNX, \w+, weights in `{name}.data` beside it \| {size / 1e6:.2g} \|", card)


def test_the_card_of_a_student_of_labels_alone_says_so(tmp_path: Path) -> None:
    make(tmp_path, "sequence-classification")
    job = {"entry": {**STUDENT, "recipe": "supervised"}, "teachers": ["big"], "export": {}}
    write_text(tmp_path / "data/jobs/exports/students/small.json", to_json(job))
    assert invoke(main, "students", "small").returncode == 0
    card = (tmp_path / "data/exports/students/small/README.md").read_text(encoding="utf-8")
    assert "A model for sequence-classification, trained on the labels alone, without a teacher, on the data set `tiny`" in card


def test_the_card_says_over_which_rows_retention_is_where_the_teacher_has_not_answered_all(tmp_path: Path) -> None:
    make(tmp_path, "sequence-classification")
    place = tmp_path / "data/metrics/students/small.json"
    write_text(place, to_json({**json.loads(place.read_bytes()), "retention_rows": 7}))
    assert invoke(main, "students", "small").returncode == 0
    card = (tmp_path / "data/exports/students/small/README.md").read_text(encoding="utf-8")
    assert "It keeps 95.0% of its teacher's score on the 7 test rows that it has answered (95% interval" in card


def test_the_card_says_what_a_stranger_has_to_know(tmp_path: Path) -> None:
    make(tmp_path, "sequence-classification")
    assert invoke(main, "students", "small").returncode == 0
    card = (tmp_path / "data/exports/students/small/README.md").read_text(encoding="utf-8")
    measured = (tmp_path / "data/metrics/exports/students/small.json").read_bytes()
    scores: dict[str, Any] = json.loads(measured)
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-classification\n")
    assert "distilled by the recipe `hinton` from the teacher `big` on the data set `tiny`: 3 layers × 24, 0.01" in card
    assert f"| {INT8} | ONNX, INT8 | {scores['int8']['bytes'] / 1e6:.2g} | {scores['int8']['accuracy']:.4f} |" in card
    assert "It keeps 95.0% of its teacher's score (95% interval 90.0% to 100.0%)." in card
    assert "one of the classes cat, dog, fish, of up to 10 tokens" in card
    assert f"-S {hashlib.md5(measured).hexdigest()} -- dvc.lock" in card
    assert "dvc repro --pull --allow-missing export@small" in card
    assert "  small:\n    dataset: tiny\n    init: {depth: 2" in card
    assert str(tmp_path) not in card
    assert not re.search(r"\b20\d\d-", card)


def test_a_teacher_has_a_folder_and_a_card_of_its_own(tmp_path: Path) -> None:
    make(tmp_path, "sequence-classification", "teachers")
    assert invoke(main, "teachers", "small").returncode == 0
    card = (tmp_path / "data/exports/teachers/small/README.md").read_text(encoding="utf-8")
    assert "A model for sequence-classification, fine-tuned on the data set `tiny`" in card
    assert "dvc repro --pull --allow-missing export-teacher@small" in card


def test_the_same_model_gives_the_same_bytes_and_a_part_that_it_lacks_is_one_line(tmp_path: Path) -> None:
    make(tmp_path, "regression")

    def written() -> dict[str, bytes]:
        return contents(tmp_path / "data/exports") | contents(tmp_path / "data/metrics")

    assert invoke(main, "students", "small").returncode == 0
    before = written()
    assert invoke(main, "students", "small").returncode == 0
    assert written() == before
    job = {"entry": STUDENT, "export": {"keep_fp32": ["layer.9"]}}
    write_text(tmp_path / "data/jobs/exports/students/small.json", to_json(job))
    done = invoke(main, "students", "small")
    assert "params.yaml: exports.small.keep_fp32: the model has no part 'layer.9'; expected names such as" in refusal(done)
    assert len(done.stderr.splitlines()) == 1
    assert written() == before
