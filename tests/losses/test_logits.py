"""Losses between logits against their formulas, in float64; those of a vocabulary kept in part against the whole one."""

import pytest
import torch
from torch import Tensor

from distill.losses.logits import logit_mse, sampled_cross_entropy, soft_cross_entropy, soft_target_kl, topk_kl
from distill.store.codecs.vocabulary import decode_sample, decode_top_k, row_generator, sample, top_k
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


def events_kl(student: Tensor, ids: Tensor, teacher_log_probabilities: Tensor) -> Tensor:
    """KL between the kept tokens and any other."""
    q, log_p = probabilities(student), teacher_log_probabilities.double()
    others = torch.ones_like(q, dtype=torch.bool).scatter(1, ids, False)
    events = torch.cat([q.gather(1, ids), (q * others).sum(1, keepdim=True)], dim=1)
    return (log_p.exp() * (log_p - events.log())).sum(1).mean()


def test_of_a_vocabulary_in_part_a_student_that_equals_its_teacher_has_no_loss():
    logits = torch.randn(6, 40) * 3
    assert topk_kl(logits, *decode_top_k(top_k(logits, 5))).abs() < 1e-4


@pytest.mark.parametrize(("vocabulary", "k"), [(2, 1), (30, 29), (500, 16)])
def test_the_kl_of_the_likeliest_tokens_is_the_formula(vocabulary, k):
    student, kept = torch.randn(8, vocabulary) * 2, decode_top_k(top_k(torch.randn(8, vocabulary) * 3, k))
    torch.testing.assert_close(topk_kl(student, *kept).double(), events_kl(student, *kept), rtol=1e-4, atol=1e-6)


def test_the_gradient_of_the_likeliest_tokens_is_that_of_finite_differences():
    kept = decode_top_k(top_k(torch.randn(2, 9), 3))
    check_gradient(lambda z: topk_kl(z, *kept), lambda z: events_kl(z, *kept), torch.randn(2, 9))


def test_the_kl_of_the_likeliest_tokens_is_a_lower_bound_that_becomes_the_full_kl():
    student, teacher = torch.randn(8, 30), torch.randn(8, 30) * 2
    full = soft_target_kl(student, teacher, 1.0)
    bounds = [topk_kl(student, *decode_top_k(top_k(teacher, k))) for k in (1, 5, 15, 29)]
    assert all(bound < full + 1e-3 for bound in bounds)
    assert bounds == sorted(bounds)
    torch.testing.assert_close(bounds[-1], full, rtol=2e-3, atol=1e-4)


def test_a_teacher_sure_of_one_token_gives_a_finite_gradient():
    teacher = torch.full((1, 10), -1e6)
    teacher[0, 3] = 1e6
    student = (torch.randn(1, 10) * 50).requires_grad_()
    topk_kl(student, *decode_top_k(top_k(teacher, 2))).backward()
    assert student.grad.isfinite().all()


def test_cross_entropy_under_draws_is_the_formula():
    student, draws = torch.randn(3, 7), torch.tensor([[0, 0, 2], [6, 6, 6], [1, 3, 5]])
    shares = torch.stack([row.bincount(minlength=7) / 3 for row in draws])
    expected = -(shares * probabilities(student).log()).sum(1).mean()
    torch.testing.assert_close(sampled_cross_entropy(student, draws).double(), expected, rtol=1e-5, atol=0.0)


def test_the_mean_gradient_over_many_draws_is_that_of_the_full_kl():
    student, teacher = torch.randn(2, 20), torch.randn(2, 20) * 2
    exact = student.clone().requires_grad_()
    soft_target_kl(exact, teacher, 1.0).backward()
    draws = torch.cat([decode_sample(sample(teacher, 8, row_generator(str(i).encode()))) for i in range(3000)])
    many = student.repeat(3000, 1).requires_grad_()
    (3000 * sampled_cross_entropy(many, draws)).backward()
    gradients = many.grad.view(3000, 2, 20)
    error = (gradients.mean(0) - exact.grad).abs()
    p = teacher.softmax(1)
    deviation = (p * (1 - p) / 8 / 3000).sqrt() / 2
    assert (error <= 4.5 * deviation + 1e-6).all()
    torch.testing.assert_close(gradients.std(0) / 3000**0.5, deviation, rtol=0.1, atol=5e-5)


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
