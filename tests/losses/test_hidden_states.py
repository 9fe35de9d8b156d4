"""Losses between hidden states against their formulas, in float64."""

import pytest
import torch
from torch import Tensor

from distill.losses.hidden_states import cosine_distance, feature_map_mse, hidden_mse, mean_mse, normalized_mse, variance_gap
from tests.numeric import check_gradient


def unit(states: Tensor) -> Tensor:
    return states / (states**2).sum(1, keepdim=True).sqrt()


def variance(states: Tensor) -> Tensor:
    return ((states - states.mean(1, keepdim=True)) ** 2).mean(1, keepdim=True)


def normalized(states: Tensor) -> Tensor:
    return (states - states.mean(1, keepdim=True)) / (variance(states) + 1e-5).sqrt()


FORMULAS = {
    cosine_distance: lambda s, t: (1 - (unit(s) * unit(t)).sum(1)).mean(),
    hidden_mse: lambda s, t: ((s - t) ** 2).sum() / s.numel(),
    normalized_mse: lambda s, t: ((unit(s) - unit(t)) ** 2).sum() / s.numel(),
    feature_map_mse: lambda s, t: ((normalized(s) - normalized(t)) ** 2).mean(),
    mean_mse: lambda s, t: ((s.mean(1) - t.mean(1)) ** 2).mean(),
    variance_gap: lambda s, t: (variance(s) - variance(t)).abs().mean(),
}
losses = pytest.mark.parametrize("loss", FORMULAS)


@losses
def test_a_student_that_equals_its_teacher_has_no_loss(loss):
    states = torch.randn(9, 8)
    assert loss(states, states).abs() < 1e-6 if loss is cosine_distance else loss(states, states) == 0


@losses
@pytest.mark.parametrize("shape", [(1, 2), (9, 8), (40, 512)])
def test_it_is_the_formula(loss, shape):
    student, teacher = 3 * torch.randn(shape) + 0.5, torch.randn(shape) - 1
    torch.testing.assert_close(
        loss(student, teacher).double(), FORMULAS[loss](student.double(), teacher.double()), rtol=1e-5, atol=0.0
    )


@losses
def test_its_gradient_is_that_of_finite_differences(loss):
    student, teacher = torch.randn(3, 5), torch.randn(3, 5)
    check_gradient(lambda states: loss(states, teacher), lambda states: FORMULAS[loss](states, teacher.double()), student)


@losses
def test_half_precision_is_compared_in_single(loss):
    student, teacher = torch.randn(4, 8).bfloat16(), torch.randn(4, 8)
    found = loss(student, teacher)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss(student.float(), teacher))


def test_lengths_of_vectors_enter_neither_cosine_nor_normalized_difference():
    states = torch.randn(9, 8)
    assert cosine_distance(states, 3 * states).abs() < 1e-6
    torch.testing.assert_close(cosine_distance(states, -states), torch.tensor(2.0))
    assert normalized_mse(states, 7 * states) < 1e-12
    torch.testing.assert_close(normalized_mse(states, -states), torch.tensor(4 / 8))


def test_scale_and_shift_enter_the_statistics_alone():
    student, teacher = torch.randn(9, 64), torch.randn(9, 64)
    torch.testing.assert_close(feature_map_mse(5 * student + 2, teacher), feature_map_mse(student, teacher), rtol=1e-3, atol=1e-4)
    assert mean_mse(student + 2, student) == pytest.approx(4, rel=1e-4)
    assert variance_gap(2 * student, student) == pytest.approx(3 * student.var(dim=1, correction=0).mean().item(), rel=1e-4)
