import numpy as np
import pytest
import torch

from distill.evaluation import agreement, over_seeds, predict, retention, scores
from distill.prepared import Dataset
from tests import tiny

DICE = np.random.default_rng(0)


def test_perfect_predictions_score_one_and_lose_nothing():
    labels = np.arange(12) % 3
    found = scores(np.eye(3, dtype=np.float32)[labels] * 50, labels)
    assert (found["accuracy"], found["macro_f1"], found["mcc"]) == (1, 1, 1)
    assert found["log_loss"] < 1e-9
    assert found["calibration_error"] < 1e-9


def test_log_loss_and_calibration_error_are_their_formulas():
    logits, labels = DICE.normal(size=(200, 4)).astype(np.float32), DICE.integers(0, 4, 200)
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    found = scores(logits, labels)
    np.testing.assert_allclose(found["log_loss"], -np.log(p[np.arange(200), labels]).mean(), rtol=1e-6)
    confidence, right = p.max(1), p.argmax(1) == labels
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    np.testing.assert_allclose(found["calibration_error"], sum(gaps), atol=1e-5)


def test_a_student_that_is_its_teacher_agrees_wholly():
    logits = DICE.normal(size=(20, 3)).astype(np.float32)
    assert agreement(logits, logits) == {"agreement": 1.0, "kl_from_teacher": pytest.approx(0, abs=1e-12)}
    found = retention("accuracy", logits.argmax(1)[None], logits.argmax(1), DICE.integers(0, 3, 20))
    assert (found["retention"], found["retention_low"], found["retention_high"]) == (1, 1, 1)


def test_kl_is_of_the_teacher_against_the_student():
    teacher, student = np.array([[np.log(9), 0]], np.float32), np.zeros((1, 2), np.float32)
    expected = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    np.testing.assert_allclose(agreement(student, teacher)["kl_from_teacher"], expected, rtol=1e-5)


def test_retention_is_the_ratio_of_scores_and_its_interval_covers_it():
    labels = np.zeros(400, int)
    teacher, student = (DICE.random(400) < 0.1).astype(int), (DICE.random(400) < 0.2).astype(int)
    found = retention("accuracy", np.stack([student, student]), teacher, labels)
    np.testing.assert_allclose(found["retention"], (student == 0).mean() / (teacher == 0).mean())
    assert found["retention_low"] < found["retention"] < found["retention_high"]
    assert 0.02 < found["retention_high"] - found["retention_low"] < 0.2


def test_a_worthless_teacher_gives_no_retention():
    assert retention("accuracy", np.zeros((1, 4), int), np.ones(4, int), np.zeros(4, int)) == {}


def test_several_seeds_give_mean_and_deviation():
    assert over_seeds([{"accuracy": 0.8}]) == {"accuracy": 0.8}
    found = over_seeds([{"accuracy": 0.8}, {"accuracy": 0.9}])
    np.testing.assert_allclose([found["accuracy"], found["accuracy_sd"]], [0.85, np.sqrt(0.005)])


def test_predictions_come_in_the_order_of_the_rows_and_without_dropout(prepared):
    rows = Dataset.open(prepared).rows("test")
    model = tiny.bert().train()
    logits = predict(model, rows, "test")
    alone = tiny.bert().eval()
    for i in (0, 7, 19):
        tokens = torch.from_numpy(rows.tokens[rows.offsets[i] : rows.offsets[i + 1]].astype(np.int64))
        np.testing.assert_allclose(logits[i], alone(input_ids=tokens[None]).logits[0].detach(), atol=1e-5)
