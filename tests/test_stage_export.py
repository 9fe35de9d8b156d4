"""The export stage: what it writes, that it is the same each time, and that others can use it."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from transformers import AutoConfig, AutoTokenizer, pipeline

from distill.encoders import set_labels
from distill.exports.sessions import FP32, INT8
from distill.files import to_json, write_text
from distill.measuring import measure_teacher
from distill.prepared import Dataset
from distill.tasks.catalogue import TASKS
from stages.export import main
from tests import tiny

STUDENT = {"recipe": "hinton", "dataset": "tiny", "targets": "tiny/logits", "init": {"from": "data/teachers/big", "depth": 2}}
PIPELINES = {
    "sequence-classification": "text-classification",
    "regression": "text-classification",
    "token-classification": "token-classification",
    "masked-lm": "fill-mask",
}
"""Those that transformers 5 has."""


def make(folder: Path, task: str, kind: str = "students") -> Dataset:
    """What the stage reads: a student `small` of a data set `tiny`, and its metrics."""
    dataset = Dataset.open(tiny.prepare_task(folder / "data/prepared/tiny", task))
    head = TASKS[task].auto.removeprefix("AutoModelFor")
    model = tiny.family("bert", head, num_labels=max(1, len(dataset.labels)), vocab_size=dataset.vocabulary)
    if dataset.labels:
        set_labels(model.config, dataset.labels)
    tiny.save(model, folder / "data" / kind / "small", tiny.masking_tokenizer())
    scores = {**measure_teacher(folder / "data" / kind / "small", dataset)[0], "retention": 0.95, "retention_low": 0.9}
    write_text(folder / f"data/metrics/{kind}/small.json", to_json({**scores, "retention_high": 1.0}))
    job = {"entry": STUDENT, "teachers": ["big"]} if kind == "students" else {"entry": {"dataset": "tiny"}}
    write_text(folder / f"data/export-jobs/{kind}/small.json", to_json({**job, "export": {}}))
    return dataset


def run(kind: str = "students") -> Result:
    return CliRunner().invoke(main, [kind, "small"])


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.mark.parametrize("task", tiny.TASKS)
def test_what_it_writes_serves_transformers_and_onnx_runtime(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = make(tmp_path, task)
    result = run()
    assert result.exit_code == 0, result.output
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
    assert measured["fp32"]["sha256"] == hashlib.sha256((folder / FP32).read_bytes()).hexdigest()
    assert f"export small: fp32 {measured['fp32']['bytes'] / 1e6:.1f} MB, {dataset.metric}" in result.stderr


def test_the_card_says_what_a_stranger_has_to_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "sequence-classification")
    assert run().exit_code == 0
    card = (tmp_path / "data/exports/students/small/README.md").read_text(encoding="utf-8")
    measured = (tmp_path / "data/metrics/exports/students/small.json").read_bytes()
    scores: dict[str, Any] = json.loads(measured)
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-classification\n")
    assert "distilled by the recipe `hinton` from the teacher `big` on the data set `tiny`: 3 layers × 24" in card
    assert f"| {INT8} | ONNX, INT8 | {scores['int8']['bytes'] / 1e6:.1f} | {scores['int8']['accuracy']:.4f} |" in card
    assert "It keeps 95.0% of its teacher's score (95% interval 90.0% to 100.0%)." in card
    assert "one of the classes cat, dog, fish, of up to 10 tokens" in card
    assert f"-S {hashlib.md5(measured).hexdigest()} -- dvc.lock" in card
    assert "dvc repro --pull --allow-missing export@small" in card
    assert "  small:\n    dataset: tiny\n    init:\n      depth: 2\n" in card
    assert str(tmp_path) not in card
    assert not re.search(r"\b20\d\d-", card)


def test_a_teacher_has_a_folder_and_a_card_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "sequence-classification", "teachers")
    assert run("teachers").exit_code == 0
    card = (tmp_path / "data/exports/teachers/small/README.md").read_text(encoding="utf-8")
    assert "A model for sequence-classification, fine-tuned on the data set `tiny`" in card
    assert "dvc repro --pull --allow-missing export-teacher@small" in card


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "regression")
    assert run().exit_code == 0
    before = contents(tmp_path / "data/exports") | contents(tmp_path / "data/metrics")
    assert run().exit_code == 0
    assert contents(tmp_path / "data/exports") | contents(tmp_path / "data/metrics") == before


def test_a_part_that_the_model_lacks_is_one_line_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "regression")
    assert run().exit_code == 0
    before = contents(tmp_path / "data/exports")
    write_text(
        tmp_path / "data/export-jobs/students/small.json", to_json({"entry": STUDENT, "export": {"keep_fp32": ["layer.9"]}})
    )
    result = run()
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: params.yaml: exports.small.keep_fp32: the model has no part 'layer.9'; expected names such as")
    assert contents(tmp_path / "data/exports") == before
