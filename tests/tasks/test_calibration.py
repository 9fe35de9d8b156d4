import numpy as np
import pytest
import torch
from scipy.special import log_softmax as reference
from transformers import pipeline

from distill.data.dataset import Dataset
from distill.models.calibration import calibrate, last_linear
from distill.models.predict import predict
from distill.tasks.base import EvaluationSplit
from distill.tasks.calibration import calibration_error, fit_temperature
from distill.tasks.registry import TASKS
from tests import tiny
from tests.export.test_scores import model_of

RNG = np.random.default_rng(0)
HONEST = RNG.normal(0, 2, (4000, 5))
LABELS = (HONEST + RNG.gumbel(size=HONEST.shape)).argmax(axis=1)
"""Drawn from the softmax of HONEST."""


@pytest.mark.parametrize("factor", [0.3, 0.9, 4.0])
def test_the_temperature_undoes_what_made_logits_too_sure_or_unsure(factor: float) -> None:
    found = fit_temperature(factor * HONEST, LABELS)
    assert found == pytest.approx(factor, rel=0.05)

    def loss(temperature: float) -> float:
        logs = reference(factor * HONEST / temperature, axis=1)
        return -logs[np.arange(len(LABELS)), LABELS].mean() - logs.mean() / len(LABELS)

    assert all(loss(found) <= loss(found * other) for other in (0.98, 0.999, 1.001, 1.02))
    right = HONEST.argmax(axis=1) == LABELS
    after, before = (np.exp(reference(factor * HONEST / by, axis=1)).max(axis=1) for by in (found, 1.0))
    assert calibration_error(after, right) < 0.02
    assert calibration_error(after, right) <= calibration_error(before, right) + 0.002


@pytest.mark.parametrize("scale", [4.0, 40.0])
def test_few_rows_that_are_all_right_make_no_model_certain(scale: float) -> None:
    sure = scale * np.eye(3)[np.arange(30) % 3]
    confidence = np.exp(reference(sure / fit_temperature(sure, np.arange(30) % 3), axis=1)).max()
    assert 0.9 < confidence < 0.99
    assert fit_temperature(sure[:9], np.arange(9) % 3) == fit_temperature(sure[:0], np.arange(0)) == 1


@pytest.mark.parametrize(("factor", "rows", "kept"), [(1.0, 4000, True), (1.0, 100, True), (1.3, 30, True), (1.3, 4000, False)])
def test_what_rows_cannot_tell_from_chance_changes_nothing(factor: float, rows: int, kept: bool) -> None:
    assert (fit_temperature(factor * HONEST[:rows], LABELS[:rows]) == 1) == kept


@pytest.mark.parametrize("name", tiny.TASKS)
def test_a_calibrated_model_answers_the_same_with_honest_probabilities(name: str, tmp_path) -> None:
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "prepared", name))
    from distill.models.loading import load_for

    model, _ = load_for(model_of(name, dataset, tmp_path / "model"), dataset)
    task, split = TASKS[name], EvaluationSplit.from_dataset(dataset, "validation")
    before = predict(model, task, split.rows, "")
    calibrate(model, task, split)
    after = predict(model, task, split.rows, "")
    if not task.calibrates:
        np.testing.assert_array_equal(before, after)
        assert not hasattr(model.config, "calibration_temperature")
        return
    half = slice(None, before.shape[1] // 2) if name == "multi-label" else slice(None)
    np.testing.assert_allclose(after[:, half] * model.config.calibration_temperature, before[:, half], rtol=1e-3, atol=1e-3)
    assert task.loss(after, split) <= task.loss(before, split) + 1e-3


@pytest.mark.parametrize("family", [*tiny.FAMILIES, "modernbert"])
@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification", "QuestionAnswering"])
def test_the_last_layer_of_every_family_divides_its_logits(family: str, head: str) -> None:
    model, batch = tiny.family(family, head), tiny.padded([5, 3])
    layer = last_linear(model)

    def logits() -> torch.Tensor:
        with torch.no_grad():
            return model(**batch)[0][batch["attention_mask"].bool()] if "Seq" not in head else model(**batch)[0]

    before = logits()
    with torch.no_grad():
        layer.weight.div_(2)
        layer.bias.div_(2)
    torch.testing.assert_close(2 * logits(), before)


def test_pipelines_of_transformers_give_calibrated_probabilities(dataset, teacher, tmp_path) -> None:
    from distill.models.loading import load_for

    model, tokenizer = load_for(teacher, dataset)
    with torch.no_grad():
        model.classifier.weight.mul_(20_000)
    split = EvaluationSplit.from_dataset(dataset, "validation")
    calibrate(model, TASKS[dataset.task], split)
    assert model.config.calibration_temperature > 2
    logits = predict(model, TASKS[dataset.task], split.rows, "")
    texts = dataset.texts("validation")["text"]
    classifier = pipeline("text-classification", model=tiny.save(model, tmp_path, tokenizer).as_posix())
    found = classifier(texts, truncation=True, max_length=dataset.max_length)
    expected = np.exp(reference(logits.astype(float), axis=1)).max(axis=1)
    np.testing.assert_allclose([row["score"] for row in found], expected, atol=1e-4)
