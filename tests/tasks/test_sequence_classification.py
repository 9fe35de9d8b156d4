import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from distill.core.errors import UserError
from distill.tasks.registry import task_of
from tests.evaluation_splits import split_of

RNG = np.random.default_rng(0)
CLASSES, NUMBER = task_of("sequence-classification"), task_of("regression")


def split(labels):
    return split_of([2] * len(labels), labels, ("a", "b", "c"))


def test_transfer_rows_do_not_enter_the_hard_label_loss():
    logits, labels = torch.randn(4, 3), torch.tensor([0, -100, 2, -100])
    torch.testing.assert_close(CLASSES.label_loss(logits, labels), CLASSES.label_loss(logits[[0, 2]], labels[[0, 2]]))
    numbers = torch.tensor([0.5, float("nan"), 2.0, float("nan")])
    torch.testing.assert_close(NUMBER.label_loss(logits[:, :1], numbers), (logits[[0, 2], 0] - numbers[[0, 2]]).square().mean())


@pytest.mark.parametrize(("task", "labels"), [(CLASSES, [-100, -100]), (NUMBER, [float("nan")] * 2)])
def test_a_batch_of_transfer_rows_alone_has_no_hard_label_gradient(task, labels):
    logits = torch.randn(2, 1 if task is NUMBER else 3, requires_grad=True)
    loss = task.label_loss(logits, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_scores_of_a_known_confusion():
    judged = CLASSES.judge(np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], split([0, 1, 1, 1]))
    assert CLASSES.score("accuracy", judged) == 0.75
    np.testing.assert_allclose(CLASSES.score("macro_f1", judged), (2 / 3 + 4 / 5) / 2)
    np.testing.assert_allclose(CLASSES.score("mcc", judged), 1 / np.sqrt(3))
    np.testing.assert_allclose(CLASSES.score("f1", judged), 4 / 5)
    with pytest.raises(UserError, match="take macro_f1"):
        CLASSES.score("f1", judged + 1)


def test_macro_f1_is_over_the_classes_of_the_split_whatever_is_predicted_and_resampled():
    labels, wild = [0, 0, 1, 1], np.eye(4, dtype=np.float32)[[0, 0, 1, 3]]
    judged = CLASSES.judge(wild, split(labels))
    assert CLASSES.score("macro_f1", judged) == pytest.approx((1 + 2 / 3) / 2)
    assert CLASSES.score("macro_f1", CLASSES.judge(np.eye(4, dtype=np.float32)[labels], split(labels))) == 1
    assert CLASSES.score("macro_f1", judged[:2]) == 0.5
    assert CLASSES.score("macro_f1", judged[[0, 0, 3]]) == 0.5


def test_log_loss_and_calibration_error_are_their_formulas():
    logits, labels = RNG.normal(size=(200, 4)).astype(np.float32), RNG.integers(0, 4, 200)
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(1, keepdims=True)
    found = CLASSES.measures(logits, split(labels))
    np.testing.assert_allclose(found["log_loss"], -np.log(p[np.arange(200), labels]).mean(), rtol=1e-6)
    confidence, right = p.max(1), p.argmax(1) == labels
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    np.testing.assert_allclose(found["calibration_error"], sum(gaps), atol=1e-5)
    labels = np.arange(12) % 3
    perfect = CLASSES.measures(np.eye(3, dtype=np.float32)[labels] * 50, split(labels))
    assert (perfect["accuracy"], perfect["macro_f1"], perfect["mcc"]) == (1, 1, 1)
    assert max(perfect["log_loss"], perfect["calibration_error"]) < 1e-9


def test_a_student_that_is_its_teacher_agrees_wholly_and_kl_is_of_the_teacher_against_the_student():
    logits = RNG.normal(size=(20, 3)).astype(np.float32)
    assert CLASSES.relation(logits, logits, split([0] * 20)) == {"agreement": 1.0, "kl_from_teacher": pytest.approx(0, abs=1e-12)}
    assert NUMBER.relation(logits[:, :1], logits[:, :1], split([0.0] * 20)) == {"agreement": pytest.approx(1)}
    teacher, student = np.array([[np.log(9), 0]], np.float32), np.zeros((1, 2), np.float32)
    expected = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    np.testing.assert_allclose(CLASSES.relation(student, teacher, split([0]))["kl_from_teacher"], expected, rtol=1e-5)


def test_regression_is_scored_by_correlations_and_squared_error():
    predicted, true = RNG.normal(size=30).astype(np.float32), RNG.normal(size=30).astype(np.float32)
    found = NUMBER.measures(predicted[:, None], split(true))
    assert found["pearson"] == pytest.approx(np.corrcoef(predicted, true)[0, 1], abs=1e-6)
    assert found["spearman"] == pytest.approx(spearmanr(predicted, true).statistic)
    assert found["mean_squared_error"] == pytest.approx(np.square(predicted - true).mean(), rel=1e-5)
    assert NUMBER.score("pearson", np.stack([np.ones(5), np.arange(5.0)], axis=1)) == 0
