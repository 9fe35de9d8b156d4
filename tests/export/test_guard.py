"""INT8 files that lose too much are mended, by what validation rows say; others are what they were."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from distill.data.batching import pad_batch
from distill.data.dataset import Dataset
from distill.export.export import calibration_of, write_export
from distill.export.guard import Attempt, _Guard, best_attempt, record
from distill.export.onnx_graph import inputs_of
from distill.export.quantize import quantize
from distill.export.session import FP32, INT8
from distill.models.loading import load_for
from distill.models.predict import predict
from distill.params.exports import ExportSettings
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from tests import tiny
from tests.export.test_scores import model_of

GOOD, TOO_MUCH = Attempt("dynamic", (), 0.001, 0.002, 20), Attempt("dynamic", (), 0.02, 0.005, 50)


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill.export.guard.MAX_LOST", 0.003)
    monkeypatch.setattr("distill.export.guard.MAX_CHANGED", 0.01)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tiny.prepare(tmp_path_factory.mktemp("guarded") / "rows", tiny.tokenizer(), (200, 100, 100))
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def trained(rows: Dataset) -> PreTrainedModel:
    """A DistilBERT that has learnt the rows."""
    found = tiny.family("distilbert", vocab_size=rows.vocabulary, n_layers=1)
    train, optimizer = rows.rows("train"), torch.optim.Adam(found.parameters(), 3e-3)
    batch, labels = pad_batch(train, np.arange(len(train))), torch.tensor(train.labels)
    for _ in range(40):
        optimizer.zero_grad()
        found(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
    return found.eval()


@pytest.fixture
def model(trained: PreTrainedModel) -> PreTrainedModel:
    return copy.deepcopy(trained)


def spoilt(model: PreTrainedModel) -> PreTrainedModel:
    """The same answers, but a channel before the classifier, which nothing reads, takes all of the eight bits."""
    with torch.no_grad():
        model.pre_classifier.weight[3], model.pre_classifier.bias[3] = 0.0, 1e5
        model.classifier.weight[:, 3] = 0.0
    return model


def export(model: PreTrainedModel, rows: Dataset, folder: Path, **settings: Any) -> dict[str, Any]:
    folder.mkdir()
    attempts = write_export(folder, model, tiny.tokenizer(), rows, ExportSettings(**settings)).attempts
    return record(attempts, rows.task, rows.metric)


def test_what_is_lost_and_changed_is_called_what_it_is() -> None:
    attempts = [Attempt("dynamic", (), 0.02, 0.05, 50), Attempt("static", (), 0.01, 0.04, 40)]

    def told(task: str, metric: str) -> str:
        return str(record(attempts, task, metric)["told"])

    classes = told("sequence-classification", "accuracy")
    assert "the first INT8 file, dynamic, loses 2.00 points and changes 5.00% of the answers; nothing brought that to" in classes
    assert "to 0.3 points and 1%, and the nearest is kept: static loses 1.00 points and changes 4.00%" in classes
    numbers = told("regression", "pearson")
    assert "dynamic, loses 2.00 points and correlates 0.9500 with fp32; nothing brought that to 0.3 points and 0.99" in numbers
    assert "dynamic, loses 2.00% of the likelihood and changes 5.00% of" in told("causal-lm", "likelihood")
    attempts = [Attempt("dynamic", (), -0.02, 0.05, 50), GOOD]
    assert "the first INT8 file, dynamic, gains 2.00 points and changes 5.00%" in told("sequence-classification", "accuracy")


@pytest.mark.parametrize("quantization", ["dynamic", "static"])
def test_a_file_that_loses_by_an_outlier_is_mended_and_says_so(
    quantization: str, model: PreTrainedModel, rows: Dataset, tmp_path: Path
) -> None:
    found = export(spoilt(model), rows, tmp_path / "export", quantization=quantization)
    first = found["attempts"][0]
    assert (first["how"], first["fp32"]) == (quantization, ())
    assert first["lost"] > 0.1, "the plain file does not fail: the test shows nothing"
    assert found["fits"], found
    assert found["fp32"] == ["classifier"]
    assert found["changed"] < 0.011
    assert "with `classifier` in fp32," in found["told"]
    files = sorted(file.name for file in (tmp_path / "export").iterdir())
    assert files == ["config.json", INT8, FP32, "tokenizer.json", "tokenizer_config.json"]
    if quantization == "dynamic":
        assert export(model, rows, tmp_path / "again") == found
        assert (tmp_path / "again" / INT8).read_bytes() == (tmp_path / "export" / INT8).read_bytes()


@pytest.mark.parametrize("quantization", ["dynamic", "static"])
def test_a_file_that_follows_has_the_bytes_of_the_quantizer(
    quantization: str, model: PreTrainedModel, rows: Dataset, tmp_path: Path
) -> None:
    found = export(model, rows, tmp_path / "export", quantization=quantization, calibration_rows=30)
    assert (found["told"], found["fits"], len(found["attempts"])) == ("", True, 1)
    batches = calibration_of(rows, 30, inputs_of(model)) if quantization == "static" else None
    quantize(tmp_path / "export" / FP32, tmp_path / INT8, calibration=batches)
    assert (tmp_path / INT8).read_bytes() == (tmp_path / "export" / INT8).read_bytes()


def test_where_nothing_fits_the_least_loss_is_kept(
    model: PreTrainedModel, rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill.export.guard.GROUPS_IN_FP32", ())
    found = export(spoilt(model), rows, tmp_path / "export")
    assert len(found["attempts"]) == 2
    assert found["lost"] == min(each["lost"] for each in found["attempts"])
    assert "nothing brought that to 0.3 points and 1%, and the nearest is kept" in found["told"]


def test_layers_that_do_much_harm_a_weight_stay_in_fp32_before_large_ones(
    model: PreTrainedModel, rows: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def harm(self: Any, exact: list[str], bar: Any) -> float:
        return 1.0 if any("word_embeddings" in node for node in exact) else 10.0

    monkeypatch.setattr("distill.export.guard._Guard._harm", harm)
    found = export(spoilt(model), rows, tmp_path / "export")
    assert found["attempts"][2]["fp32"] == ("classifier",)


def test_what_fits() -> None:
    assert GOOD.fits
    assert not TOO_MUCH.fits
    assert not Attempt("dynamic", (), 0.0, 0.011, 11).fits
    assert Attempt("dynamic", (), 1 / 111, 1 - 110 / 111, 1).fits, "one row of few"
    assert Attempt("dynamic", (), 0.15, 0.15, 3).fits, "three rows"
    assert not Attempt("dynamic", (), 0.2, 0.2, 4).fits
    assert not Attempt("dynamic", (), 0.05, 0.034, None).fits, "numbers, of which none has changed by itself"
    assert not Attempt("dynamic", (), 0.05, 0.001, 1, counted=False).fits, "a likelihood, of which answers tell nothing"
    assert Attempt("dynamic", (), 0.001, 0.02, 1, counted=False).fits
    assert best_attempt([TOO_MUCH, GOOD]) is GOOD
    assert best_attempt([TOO_MUCH, Attempt("static", (), 0.01, 0.3, 30)]).how == "static"


@pytest.mark.parametrize("name", tiny.TASKS)
def test_answers_that_change_are_counted_one_by_one(name: str, tmp_path: Path) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "rows", name))
    task, split = task_of(name), EvaluationSplit.from_dataset(dataset, "validation")
    guard = object.__new__(_Guard)
    guard.task, guard.split = task, split
    guard.exact = predict(load_for(model_of(name, dataset, tmp_path / "model"), dataset)[0], task, split.rows, "")
    assert guard._others(guard.exact) == (None if task.spec.correlated else 0)
    if name not in ("regression", "sentence-embedding", "multi-label", "ranking"):  # whose agreement is of something else
        others = guard.exact[::-1].copy()  # each line has another's logits
        share = guard._others(others) / len(task.lines(others, split).predicted)
        assert share == pytest.approx(1 - task.relation(others, guard.exact, split)["agreement"])
