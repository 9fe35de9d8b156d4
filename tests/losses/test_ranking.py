"""Losses between the scores of a query's passages, against the formulas in float64 numpy."""

import numpy as np
import pytest
import torch

from distill.losses.ranking import by_group, listwise_kl, margin_mse

RNG = np.random.default_rng(0)
SIZES = (3, 1, 5, 2)
GROUPS = np.repeat(np.arange(len(SIZES)), SIZES)
TEACHER, STUDENT = RNG.normal(0, 3, (2, len(GROUPS)))
LABELS = {
    "known": np.array([1, 0, 0, 1, 0, 0.5, 1, 0, 0.5, 0, 0]),
    "unknown": np.array([1, 0, 0, np.nan, *[np.nan] * 5, 1, 1]),
}


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array).float() if array.dtype.kind == "f" else torch.from_numpy(array) for array in arrays]


def expected_listwise(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    found = []
    for group in range(len(SIZES)):
        p, q = (np.exp(z[group == GROUPS] / temperature) for z in (teacher, student))
        p, q = p / p.sum(), q / q.sum()
        found.append(temperature**2 * (p * np.log(p / q)).sum())
    return float(np.mean(found))


def expected_margins(student: np.ndarray, teacher: np.ndarray, labels: np.ndarray) -> float:
    found = []
    for group in range(len(SIZES)):
        s, t, y = (z[group == GROUPS] for z in (student, teacher, labels))
        places = range(len(s))
        pairs = [(i, j) for i in places for j in places if (i < j if np.isnan(y).all() else y[i] > y[j])]
        found.append(np.mean([((s[i] - s[j]) - (t[i] - t[j])) ** 2 for i, j in pairs]) if pairs else 0.0)
    return float(np.mean(found))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_listwise_is_its_formula_and_0_between_equals(temperature: float) -> None:
    student, teacher, groups = tensors(STUDENT, TEACHER, GROUPS)
    found = listwise_kl(student, teacher, groups, temperature)
    assert found.item() == pytest.approx(expected_listwise(STUDENT, TEACHER, temperature), rel=1e-6, abs=1e-6)
    assert listwise_kl(teacher, teacher, groups, temperature).item() == 0
    assert listwise_kl(teacher + groups.float(), teacher, groups, temperature).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("labels", LABELS)
def test_margins_are_their_formula_and_0_between_equals(labels: str) -> None:
    student, teacher, relevance, groups = tensors(STUDENT, TEACHER, LABELS[labels], GROUPS)
    found = margin_mse(student, teacher, relevance, groups)
    assert found.item() == pytest.approx(expected_margins(STUDENT, TEACHER, LABELS[labels]), rel=1e-6)
    assert margin_mse(teacher, teacher, relevance, groups).item() == 0
    assert margin_mse(teacher + 7 * groups, teacher, relevance, groups).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("labels", LABELS)
def test_gradients_are_those_of_finite_differences(labels: str) -> None:
    _, teacher, relevance, groups = tensors(STUDENT, TEACHER, LABELS[labels], GROUPS)
    for loss, expected in (
        (lambda s: listwise_kl(s, teacher, groups, 2.0), lambda s: expected_listwise(s, TEACHER, 2.0)),
        (lambda s: margin_mse(s, teacher, relevance, groups), lambda s: expected_margins(s, TEACHER, LABELS[labels])),
    ):
        student = torch.from_numpy(STUDENT).float().requires_grad_()
        (found,) = torch.autograd.grad(loss(student), student)
        steps = 1e-5 * np.eye(len(STUDENT))
        slopes = [(expected(STUDENT + step) - expected(STUDENT - step)) / 2e-5 for step in steps]
        np.testing.assert_allclose(found.numpy(), slopes, atol=1e-5)


def test_a_line_a_group_in_its_order() -> None:
    padded = by_group(torch.arange(5.0), torch.tensor([4, 4, 4, 2, 7]), -1.0)
    assert padded.tolist() == [[0, 1, 2], [3, -1, -1], [4, -1, -1]]
