"""The scores of rankings against scikit-learn, and against all orders of passages with one score."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score
from torch.nn.functional import binary_cross_entropy_with_logits

from distill.data.dataset import Dataset
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from tests import tiny

TASK = task_of("ranking")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSplit:
    dataset = Dataset.open(tiny.prepare_task(tmp_path_factory.mktemp("ranking") / "tiny", "ranking"))
    return EvaluationSplit.from_dataset(dataset, "train")


def arranged(split: EvaluationSplit, groups: list[int], labels: list[float]) -> EvaluationSplit:
    """A split of as many rows in these groups."""
    rows = split.rows.take(np.arange(len(groups)) % len(split.rows))
    return replace(split, rows=replace(rows, groups=np.array(groups), labels=np.array(labels, np.float32)))


def one_query(split: EvaluationSplit, labels: list[float], scores: list[float]) -> list[float]:
    kept = np.array(scores, np.float32)[:, None]
    (found,) = TASK.judge(kept, arranged(split, [0] * len(labels), labels)).tolist()
    return found


@pytest.mark.parametrize("seed", range(8))
def test_ndcg_is_that_of_scikit_learn_with_graded_labels_and_equal_scores(split: EvaluationSplit, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, size := int(rng.integers(2, 40))) / 3
    labels[0] = 1.0
    scores = rng.integers(0, 6, size).astype(float) if seed % 2 else rng.normal(size=size)
    assert one_query(split, labels.tolist(), scores.tolist())[0] == pytest.approx(ndcg_score([labels], [scores], k=10), abs=1e-6)


@pytest.mark.parametrize("scores", [[1, 1, 1, 1], [2, 1, 1, 0], [0, 3, 3, 3], [1, 2, 3, 4], [2, 2, 0, 0]])
@pytest.mark.parametrize("labels", [[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0.5]])
def test_equal_scores_count_as_the_mean_of_all_orders(split: EvaluationSplit, labels: list[float], scores: list[float]) -> None:
    ranks, gains = [], []
    for order in itertools.permutations(range(4)):
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order)):
            ranks.append(next(1 / place for place, row in enumerate(order, 1) if labels[row]))
            gains.append(sum(labels[row] / np.log2(place + 1) for place, row in enumerate(order, 1)))
    best = sum(label / np.log2(place + 1) for place, label in enumerate(sorted(labels, reverse=True), 1))
    assert one_query(split, labels, scores) == pytest.approx([np.mean(gains) / best, np.mean(ranks)], abs=1e-6)


def test_queries_are_scored_apart_wherever_their_rows_stand_and_one_without_a_relevant_passage_not_at_all(
    split: EvaluationSplit,
) -> None:
    mixed = arranged(split, [5, 2, 5, 2, 9, 9], [1, 0, 0, 1, 0, 0])
    kept = np.array([[1.0], [4.0], [2.0], [3.0], [9.0], [1.0]], np.float32)
    judged = TASK.judge(kept, mixed)
    np.testing.assert_allclose(judged, [[1 / np.log2(3), 0.5], [1 / np.log2(3), 0.5]])
    assert (TASK.score("mrr", judged), len(TASK.ids(mixed)), len(TASK.judged(kept, mixed))) == (0.5, 2, 2)
    lines = TASK.lines(kept, mixed)
    assert (lines.labels.tolist(), lines.predicted.tolist(), lines.right.tolist()) == ([3, 0], [1, 2], [False, False])
    np.testing.assert_allclose(lines.confidence, [1 / (1 + np.exp(-1))] * 2)
    assert TASK.relation(kept, kept, mixed) == {"agreement": 1.0, "kl_from_teacher": 0.0}
    assert TASK.relation(kept, -kept, mixed)["agreement"] == 0 < TASK.relation(kept, 2 * kept, mixed)["kl_from_teacher"]
    assert TASK.measures(kept, arranged(split, [1, 1], [0, 0]))["ndcg_at_10"] == 0


def test_the_loss_against_labels_is_binary_cross_entropy_of_what_has_one() -> None:
    logits, labels = torch.tensor([[0.3], [-2.0], [1.0]]), torch.tensor([1.0, torch.nan, 0.5])
    expected = binary_cross_entropy_with_logits(logits[[0, 2], 0].double(), labels[[0, 2]].double())
    assert TASK.label_loss(logits, labels).item() == pytest.approx(expected.item(), abs=1e-6)
    weighted = TASK.label_loss(logits, labels, torch.tensor([1.0, 5.0, 0.0]))
    assert weighted.item() == pytest.approx(np.log1p(np.exp(-0.3)), abs=1e-6)
    assert TASK.label_loss(logits, torch.full((3,), torch.nan)).item() == 0


def test_the_loss_of_a_split_is_the_cross_entropy_of_a_query_s_passages(split: EvaluationSplit) -> None:
    kept = np.array([[1.0], [0.0], [2.0], [0.0], [0.0]], np.float32)
    found = TASK.loss(kept, arranged(split, [0, 0, 0, 1, 1], [1, 0.5, 0, 1, 0]))
    logs = np.array([1.0, 0, 2]) - np.log(np.exp([1.0, 0, 2]).sum())
    assert found == pytest.approx((-(2 * logs[0] + logs[1]) / 3 + np.log(2)) / 2)
