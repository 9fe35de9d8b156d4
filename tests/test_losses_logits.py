import numpy as np
import pytest
import torch

from distill.losses.logits import soft_cross_entropy, soft_target_kl


def reference(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    """The formula itself, in float64."""

    def softmax(logits: np.ndarray) -> np.ndarray:
        powers = np.exp(logits / temperature - (logits / temperature).max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    p, q = softmax(teacher.astype(np.float64)), softmax(student.astype(np.float64))
    return float((p * (np.log(p) - np.log(q))).sum(axis=1).mean() * temperature**2)


def test_a_student_that_equals_its_teacher_has_no_loss():
    logits = torch.randn(6, 5) * 3
    assert soft_target_kl(logits, logits, 2.0).abs() < 1e-6


def test_a_constant_added_to_a_row_changes_nothing():
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    torch.testing.assert_close(soft_target_kl(student + 7, teacher - 3, 4.0), soft_target_kl(student, teacher, 4.0))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("shape", [(1, 2), (7, 3), (32, 150)])
def test_it_is_the_formula(shape, temperature):
    student, teacher = torch.randn(shape) * 2, torch.randn(shape) * 2
    expected = reference(student.numpy(), teacher.numpy(), temperature)
    np.testing.assert_allclose(
        soft_target_kl(student, teacher, temperature).item(), expected, rtol=2e-4, atol=1e-7 * temperature**2
    )


def test_its_gradient_is_t_times_the_difference_of_the_softened_distributions():
    temperature = 3.0
    student, teacher = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5)
    soft_target_kl(student, teacher, temperature).backward()
    difference = (student.detach() / temperature).softmax(-1) - (teacher / temperature).softmax(-1)
    torch.testing.assert_close(student.grad, temperature * difference / 4)


def test_gradients_keep_their_size_when_the_temperature_grows():
    """At high temperature the gradient tends to (z_s − z_t)/classes, centred, whatever T is (Hinton 2015, eq. 4)."""
    student, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    soft_target_kl(student, teacher, 1000.0).backward()
    centred = (student - student.mean(1, keepdim=True) - teacher + teacher.mean(1, keepdim=True)).detach()
    torch.testing.assert_close(student.grad, centred / 4 / 3, rtol=1e-2, atol=1e-4)


def entropy(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    p = (logits / temperature).softmax(-1)
    return -(p * p.log()).sum(-1).mean()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_soft_cross_entropy_of_equals_is_their_entropy_where_its_gradient_vanishes(temperature):
    logits = (torch.randn(6, 5) * 3).requires_grad_()
    loss = soft_cross_entropy(logits, logits.detach(), temperature)
    torch.testing.assert_close(loss, entropy(logits, temperature))
    loss.backward()
    assert logits.grad.abs().max() < 1e-7


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(1, 2), (7, 3), (32, 150)])
def test_the_soft_cross_entropy_is_the_formula(shape, temperature):
    student, teacher = torch.randn(shape) * 2, torch.randn(shape) * 2
    kl = reference(student.numpy(), teacher.numpy(), temperature) / temperature**2
    expected = kl + entropy(teacher.double(), temperature).item()
    np.testing.assert_allclose(soft_cross_entropy(student, teacher, temperature).item(), expected, rtol=1e-5)


def test_the_gradient_of_the_soft_cross_entropy_has_no_factor_t_squared():
    temperature = 3.0
    student, teacher = torch.randn(4, 5, requires_grad=True), torch.randn(4, 5)
    soft_cross_entropy(student, teacher, temperature).backward()
    difference = (student.detach() / temperature).softmax(-1) - (teacher / temperature).softmax(-1)
    torch.testing.assert_close(student.grad, difference / temperature / 4)
    double = student.detach().double().requires_grad_()
    target = (teacher.double() / temperature).softmax(-1)
    assert torch.autograd.gradcheck(lambda z: -(target * (z / temperature).log_softmax(-1)).sum(-1).mean(), double)
