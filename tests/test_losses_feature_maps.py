import numpy as np
import pytest
import torch

from distill.losses.feature_maps import feature_map_mse, mean_mse, variance_gap

LOSSES = (feature_map_mse, mean_mse, variance_gap)
Array = np.ndarray


def normalized(states: Array) -> Array:
    mean, variance = states.mean(axis=1, keepdims=True), states.var(axis=1, keepdims=True)
    return (states - mean) / np.sqrt(variance + 1e-5)


REFERENCES = {
    feature_map_mse: lambda s, t: ((normalized(s) - normalized(t)) ** 2).mean(),
    mean_mse: lambda s, t: ((s.mean(axis=1) - t.mean(axis=1)) ** 2).mean(),
    variance_gap: lambda s, t: np.abs(s.var(axis=1) - t.var(axis=1)).mean(),
}
"""The formulas, in float64."""


@pytest.mark.parametrize("loss", LOSSES)
def test_a_student_that_equals_its_teacher_has_no_loss(loss):
    states = torch.randn(9, 8)
    assert loss(states, states) == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(1, 2), (9, 8), (40, 512)])
def test_it_is_the_formula(loss, shape):
    student, teacher = 3 * torch.randn(shape) + 0.5, torch.randn(shape) - 1
    expected = REFERENCES[loss](student.double().numpy(), teacher.double().numpy())
    np.testing.assert_allclose(loss(student, teacher).item(), expected, rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_its_gradient_is_that_of_finite_differences(loss):
    student, teacher = torch.randn(3, 5, requires_grad=True), torch.randn(3, 5)
    loss(student, teacher).backward()
    numeric = np.zeros((3, 5))
    for place in np.ndindex(3, 5):
        step = np.zeros((3, 5))
        step[place] = 1e-6
        sides = [REFERENCES[loss](student.detach().double().numpy() + s * step, teacher.double().numpy()) for s in (1, -1)]
        numeric[place] = (sides[0] - sides[1]) / 2e-6
    np.testing.assert_allclose(student.grad.numpy(), numeric, rtol=1e-3, atol=1e-5)


def test_scale_and_shift_enter_the_statistics_alone():
    student, teacher = torch.randn(9, 64), torch.randn(9, 64)
    torch.testing.assert_close(feature_map_mse(5 * student + 2, teacher), feature_map_mse(student, teacher), rtol=1e-3, atol=1e-4)
    assert mean_mse(student + 2, student) == pytest.approx(4, rel=1e-4)
    assert variance_gap(2 * student, student) == pytest.approx(3 * student.var(dim=1, correction=0).mean().item(), rel=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_compared_in_single(loss):
    student, teacher = torch.randn(4, 8).bfloat16(), torch.randn(4, 8)
    assert loss(student, teacher).dtype == torch.float32
