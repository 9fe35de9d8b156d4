import numpy as np
import pytest
import torch

from distill.data.dataset import Dataset
from distill.evaluation.retention import over_seeds, retention
from distill.models.predict import predict
from distill.tasks.registry import task_of
from tests import tiny

RNG = np.random.default_rng(0)
SEQUENCE = task_of("sequence-classification")


def judged(predictions, labels):
    return np.stack([predictions, labels, np.full(len(labels), 3)], axis=-1)


def test_retention_is_the_ratio_of_scores_and_its_interval_covers_it():
    labels = np.zeros(400, int)
    teacher, student = (RNG.random(400) < 0.1).astype(int), (RNG.random(400) < 0.2).astype(int)
    found = retention(SEQUENCE, "accuracy", np.stack([judged(student, labels)] * 2), judged(teacher, labels))
    np.testing.assert_allclose(found["retention"], (student == 0).mean() / (teacher == 0).mean())
    assert found["retention_low"] < found["retention"] < found["retention_high"]
    assert 0.02 < found["retention_high"] - found["retention_low"] < 0.2
    mean, deviation = (student == 0).mean(), (student == 0).std() / 20
    np.testing.assert_allclose([found["score_low"], found["score_high"]], mean + deviation * np.array([-1.96, 1.96]), atol=0.01)


@pytest.mark.parametrize(("rows", "wrong"), [(4, 1), (1, 0)])
def test_a_student_that_is_its_teacher_retains_all_unless_that_is_worthless_or_there_is_one_row(rows, wrong, monkeypatch):
    monkeypatch.setattr("distill.core.numeric.RESAMPLES", 200)
    same = judged(RNG.integers(0, 3, 20), RNG.integers(0, 3, 20))
    found = retention(SEQUENCE, "accuracy", same[None], same)
    assert (found["retention"], found["retention_low"], found["retention_high"]) == (1, 1, 1)
    labels = np.zeros(rows, int)
    found = retention(SEQUENCE, "accuracy", judged(labels, labels)[None], judged(labels + wrong, labels))
    assert found == ({} if rows == 1 else {"score_low": 1.0, "score_high": 1.0})


def test_nobody_retains_a_share_of_a_correlation_that_may_be_nothing():
    labels, student = RNG.random(12), RNG.random(12)
    regression = task_of("regression")
    noise = RNG.normal(size=12)
    noise -= np.polyval(np.polyfit(labels, noise, 1), labels)
    good, poor = (np.stack([labels + share * noise, labels], axis=-1) for share in (0.1, 10))
    assert 0 < regression.score("pearson", poor) < 0.1
    own = np.stack([student, labels], axis=-1)[None]
    assert set(retention(regression, "pearson", own, poor)) == {"score_low", "score_high"}
    found = retention(regression, "pearson", own, good)
    assert found["retention_low"] <= found["retention"] <= found["retention_high"]


def test_several_seeds_give_mean_and_deviation():
    assert over_seeds([{"accuracy": 0.8}]) == {"accuracy": 0.8}
    found = over_seeds([{"accuracy": 0.8}, {"accuracy": 0.9}])
    np.testing.assert_allclose([found["accuracy"], found["accuracy_sd"]], [0.85, np.sqrt(0.005)])


def test_predictions_come_in_the_order_of_the_rows_and_without_dropout(prepared):
    rows = Dataset.open(prepared).rows("test")
    model = tiny.bert().train()
    logits = predict(model, SEQUENCE, rows, "test")
    alone = tiny.bert().eval()
    assert model.training
    for i in (0, 7, 19):
        tokens = torch.from_numpy(rows.tokens[rows.offsets[i] : rows.offsets[i + 1]].astype(np.int64))
        np.testing.assert_allclose(logits[i], alone(input_ids=tokens[None]).logits[0].detach(), atol=1e-5)
