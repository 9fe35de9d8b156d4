"""Losses between logits against their formulas, in float64."""

import pytest
import torch
from torch import Tensor

from distill.losses.logits import logit_mse, soft_cross_entropy, soft_target_kl
from tests.numeric import check_gradient


def probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    powers = (logits.double() / temperature).exp()
    return powers / powers.sum(-1, keepdim=True)


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    p, q = probabilities(teacher, temperature), probabilities(student, temperature)
    return (p * (p.log() - q.log())).sum(1).mean() * temperature**2


def cross_entropy(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return -(probabilities(teacher, temperature) * probabilities(student, temperature).log()).sum(1).mean()


FORMULAS = {soft_target_kl: (kl, 2e-4, 1e-7), soft_cross_entropy: (cross_entropy, 1e-5, 0.0)}
"""And the relative error, and the absolute one over T²."""
losses = pytest.mark.parametrize("loss", FORMULAS)


@losses
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_student_that_equals_its_teacher_has_the_least_loss_which_of_the_cross_entropy_is_the_entropy(loss, temperature):
    logits = (torch.randn(6, 5) * 3).requires_grad_()
    least = loss(logits, logits.detach(), temperature)
    if loss is soft_target_kl:
        assert least.abs() < 1e-6
    else:
        torch.testing.assert_close(least.double(), cross_entropy(logits, logits, temperature), rtol=1.3e-6, atol=1e-5)
    least.backward()
    assert logits.grad.abs().max() < 1e-7


@losses
def test_a_constant_added_to_a_row_changes_nothing(loss):
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    torch.testing.assert_close(loss(student + 7, teacher - 3, 4.0), loss(student, teacher, 4.0))


@losses
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("shape", [(1, 2), (7, 3), (32, 150)])
def test_it_is_the_formula(loss, shape, temperature):
    student, teacher = torch.randn(shape) * 2, torch.randn(shape) * 2
    formula, rtol, atol = FORMULAS[loss]
    expected = formula(student, teacher, temperature)
    torch.testing.assert_close(loss(student, teacher, temperature).double(), expected, rtol=rtol, atol=atol * temperature**2)


@losses
def test_its_gradient_is_the_difference_of_the_softened_distributions(loss):
    """T times it for the KL, whose factor T² the cross-entropy lacks."""
    temperature, student, teacher = 3.0, torch.randn(4, 5), torch.randn(4, 5)
    point = student.clone().requires_grad_()
    loss(point, teacher, temperature).backward()
    difference = (student / temperature).softmax(-1) - (teacher / temperature).softmax(-1)
    scale = temperature if loss is soft_target_kl else 1 / temperature
    torch.testing.assert_close(point.grad, difference * scale / 4)
    check_gradient(lambda z: loss(z, teacher, temperature), lambda z: FORMULAS[loss][0](z, teacher, temperature), student)


def test_gradients_keep_their_size_when_the_temperature_grows():
    """At high temperature the gradient tends to (z_s − z_t)/classes, centred, whatever T is (Hinton 2015, eq. 4)."""
    student, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    soft_target_kl(student, teacher, 1000.0).backward()
    centred = (student - student.mean(1, keepdim=True) - teacher + teacher.mean(1, keepdim=True)).detach()
    torch.testing.assert_close(student.grad, centred / 4 / 3, rtol=1e-2, atol=1e-4)


def test_squared_error_of_logits_is_the_mean_over_what_counts():
    student, teacher = (torch.randn(4, 3) for _ in range(2))
    every = torch.ones(4, 3, dtype=torch.bool)
    expected = torch.stack([((s.double() - t.double()) ** 2).mean() for s, t in zip(student, teacher, strict=True)]).mean()
    torch.testing.assert_close(logit_mse(student, teacher, every).double(), expected, rtol=1e-6, atol=0)
    wider = torch.cat([torch.ones(4, 2, dtype=torch.bool), torch.zeros(4, 1, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(logit_mse(student, teacher, wider), logit_mse(student[:, :2], teacher[:, :2], every[:, :2]))
    check_gradient(lambda own: logit_mse(own, teacher, every), lambda own: (own - teacher.double()).square().mean(), student)
    equal = teacher.clone().requires_grad_()
    loss = logit_mse(equal, teacher, every)
    loss.backward()
    assert (loss.item(), float(equal.grad.abs().max())) == (0.0, 0.0)


def test_soft_targets_of_a_high_temperature_are_half_the_squared_error_of_centred_logits():
    student, teacher = (part - part.mean(dim=1, keepdim=True) for part in torch.randn(2, 5, 4).double())
    expected = logit_mse(student, teacher, torch.ones(5, 4, dtype=torch.bool)) / 2
    torch.testing.assert_close(soft_target_kl(student, teacher, 200.0), expected, rtol=2e-2, atol=0)
