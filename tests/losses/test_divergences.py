"""Divergences between distributions against their formulas in float64 numpy, and their gradients."""

from functools import partial

import numpy as np
import pytest
import torch

from distill.losses import divergences as of


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    powers = np.exp(logits / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


def kl(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * np.log(a / b)).sum(axis=1)


CASES = {
    "forward": (of.forward_kl, kl),
    "reverse": (of.reverse_kl, lambda p, q: kl(q, p)),
    "jensen-shannon": (
        partial(of.jensen_shannon, mixture=0.3),
        lambda p, q: 0.3 * kl(p, 0.3 * p + 0.7 * q) + 0.7 * kl(q, 0.3 * p + 0.7 * q),
    ),
    "skewed": (partial(of.skewed_kl, skew=0.1), lambda p, q: kl(p, 0.1 * p + 0.9 * q)),
    "skewed-reverse": (partial(of.skewed_reverse_kl, skew=0.2), lambda p, q: kl(q, 0.2 * q + 0.8 * p)),
}
cases = pytest.mark.parametrize(("loss", "formula"), CASES.values(), ids=CASES)


@cases
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_it_is_the_formula_a_line(loss, formula, temperature):
    student, teacher = torch.randn(7, 30) * 3, torch.randn(7, 30) * 3
    expected = temperature**2 * formula(*(softmax(each.double().numpy(), temperature) for each in (teacher, student)))
    np.testing.assert_allclose(loss(student, teacher, temperature).numpy(), expected, rtol=2e-4, atol=1e-6 * temperature**2)
    exact = loss(student.double(), teacher.double(), temperature).numpy()
    np.testing.assert_allclose(exact, expected, rtol=1e-9)


@cases
def test_a_student_that_equals_its_teacher_has_none_and_others_have_some(loss, formula):
    logits = (torch.randn(6, 5) * 3).requires_grad_()
    found = loss(logits, logits.detach() + 2, 2.0)
    assert found.abs().max() < 1e-5
    found.sum().backward()
    assert logits.grad.abs().max() < 1e-5
    assert (loss(logits, torch.randn(6, 5), 2.0) > 0.01).all()


@cases
def test_its_gradient_is_that_of_finite_differences_and_finite_where_words_are_impossible(loss, formula):
    student, teacher = (torch.randn(4, 6, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(lambda each: loss(each, teacher, 1.7), student.requires_grad_())
    far = torch.tensor([[200.0, -200.0, 0.0], [-300.0, 300.0, 0.0]], requires_grad=True)
    loss(far, torch.tensor([[-200.0, 200.0, 0.0], [300.0, 0.0, -300.0]]), 1.0).sum().backward()
    assert far.grad.isfinite().all()
