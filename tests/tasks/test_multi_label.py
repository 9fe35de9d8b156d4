"""Decisions for each label: their losses, thresholds and scores."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from distill.data.dataset import UNLABELLED
from distill.losses.logits import soft_cross_entropy, soft_target_kl
from distill.tasks.multi_label import best_threshold
from distill.tasks.registry import task_of
from tests.evaluation_splits import split_of
from tests.numeric import check_gradient

TASK = task_of("multi-label")
RNG = np.random.default_rng(0)
LOGITS, TRUE = RNG.normal(size=(40, 3)).astype(np.float32), (RNG.random((40, 3)) < 0.4).astype(np.int64)
TRUE[:, 2] &= np.arange(40) < 1
"""The third label is rare, or there is none."""
SPLIT = split_of([2] * 40, TRUE, ("a", "b", "c"))
KEPT = TASK.tuned(np.concatenate([LOGITS, LOGITS], axis=1), {})


def lines(logits: torch.Tensor) -> torch.Tensor:
    return TASK.align(logits, None)


def test_hard_labels_are_the_binary_cross_entropy_of_rows_that_have_them():
    logits, labels = torch.randn(5, 3), torch.randint(0, 2, (5, 3))
    labels[[1, 4]] = UNLABELLED
    found = TASK.label_loss(lines(logits), TASK.align_labels(labels, None))
    torch.testing.assert_close(found, bce(logits[[0, 2, 3]], labels[[0, 2, 3]].float()))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_targets_are_the_binary_cross_entropy_of_sigmoids_less_the_teachers_entropy(temperature):
    student, teacher = torch.randn(6, 4).requires_grad_(), torch.randn(6, 4) * 3
    chances = (teacher / temperature).sigmoid()
    expected = bce(student / temperature, chances)
    torch.testing.assert_close(soft_cross_entropy(lines(student), lines(teacher), temperature), expected)
    kl = soft_target_kl(lines(student), lines(teacher), temperature)
    torch.testing.assert_close(kl, (expected - bce(teacher / temperature, chances)) * temperature**2, atol=1e-6, rtol=1e-4)
    found, same = (torch.autograd.grad(loss, student, retain_graph=True)[0] for loss in (kl, expected * temperature**2))
    torch.testing.assert_close(found, same)
    assert soft_target_kl(lines(teacher), lines(teacher), temperature).abs() < 1e-6
    check_gradient(
        lambda z: soft_target_kl(lines(z), lines(teacher), temperature),
        lambda z: bce(z / temperature, (teacher.double() / temperature).sigmoid()) * temperature**2,
        student.detach(),
    )


def test_a_threshold_has_the_highest_f1_and_is_nearest_to_a_half():
    for label in range(2):
        probabilities, true = RNG.random(40), TRUE[:, label]
        best = best_threshold(probabilities, true)
        grid = np.concatenate([np.linspace(0.001, 0.999, 4000), [best]])
        decisions = {(probabilities >= cut).tobytes(): probabilities >= cut for cut in grid}
        score = {key: f1_score(true, decided) for key, decided in decisions.items()}
        scores = [score[(probabilities >= cut).tobytes()] for cut in grid]
        assert len(score) > 30
        assert scores[-1] == max(scores)
        assert abs(best - 0.5) <= abs(grid[np.array(scores) == max(scores)] - 0.5).min() + 0.05
    assert best_threshold(np.array([0.9, 0.8, 0.2]), np.array([1, 1, 0])) == 0.5
    assert best_threshold(np.array([0.4, 0.3, 0.1]), np.array([1, 1, 0])) == pytest.approx(0.2)
    assert best_threshold(np.array([1.0, 1.0, 0.0]), np.array([0, 1, 0])) == 0.5
    assert best_threshold(RNG.random(5), np.zeros(5, np.int64)) == 0.5


def test_what_is_tuned_on_a_split_decides_there_as_its_thresholds_say():
    tuned = TASK.tuned(KEPT, thresholds := TASK.tune(KEPT, SPLIT))
    decided = 1 / (1 + np.exp(-LOGITS.astype(float))) >= np.array(thresholds["thresholds"])
    np.testing.assert_array_equal(TASK.judge(tuned, SPLIT)[:, 0], decided)
    each = [f1_score(TRUE[:, i], decided[:, i]) for i in range(3)]
    assert all(after >= f1_score(TRUE[:, i], LOGITS[:, i] >= 0) for i, after in enumerate(each))
    assert TASK.measures(tuned, SPLIT)["macro_f1"] == pytest.approx(np.mean(each))
    assert TASK.measures(tuned, SPLIT)["map"] == TASK.measures(KEPT, SPLIT)["map"]


def test_scores_are_those_of_sklearn_with_absent_labels_counted_alike_in_every_sample():
    found, decided = TASK.measures(KEPT, SPLIT), LOGITS >= 0
    assert found["micro_f1"] == pytest.approx(f1_score(TRUE, decided, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(TRUE, decided, average="macro", zero_division=0.0))
    assert found["map"] == pytest.approx(average_precision_score(TRUE, LOGITS, average="macro"))
    assert found["exact_match"] == (decided == TRUE).all(axis=1).mean()
    assert found["log_loss"] == pytest.approx(float(bce(torch.tensor(LOGITS), torch.tensor(TRUE).float())), rel=1e-5)
    judged = TASK.judge(KEPT, SPLIT)[1:]
    assert not judged[:, 1, 2].any()
    assert TASK.score("map", judged) == pytest.approx(average_precision_score(TRUE[1:, :2], LOGITS[1:, :2], average="macro"))
    assert TASK.score("macro_f1", judged) == pytest.approx(f1_score(TRUE[1:], decided[1:], average="macro", zero_division=0.0))
    assert TASK.score("map", judged[:0]) == TASK.score("micro_f1", judged[:0]) == 0


def test_student_and_teacher_agree_by_their_own_thresholds_and_lines_are_sets(tokenizer):
    same = TASK.relation(KEPT, KEPT, SPLIT)
    assert (same["agreement"], same["kl_from_teacher"]) == (1, 0)
    other = TASK.tuned(KEPT, {"thresholds": [0.999] * 3})
    assert TASK.relation(KEPT, other, SPLIT)["agreement"] == pytest.approx((LOGITS < 0).mean())
    found = TASK.lines(KEPT, SPLIT)
    assert [TASK.label_name(each, SPLIT, tokenizer) for each in ((), (0, 2))] == ["(none)", "a, c"]
    chances = 1 / (1 + np.exp(-np.abs(LOGITS.astype(float))))
    np.testing.assert_allclose(found.confidence, chances.prod(axis=1))
    assert found.right.tolist() == ((LOGITS >= 0) == TRUE).all(axis=1).tolist()
