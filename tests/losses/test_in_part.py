"""Losses against a teacher's distributions that are kept in part, against their formulas in float64 and the whole ones."""

import pytest
import torch
from torch import Tensor

from distill.losses.divergences import drawn_cross_entropy, forward_kl, likeliest_kl
from distill.store.codecs.vocabulary import Draws, TopK
from tests.numeric import check_gradient


def likeliest(teacher: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Ids, and log-probabilities of k + 1 events, as the loss takes them."""
    kept = TopK(teacher.shape[1], k, exact=True).keep(teacher)
    return kept[:, :k].long(), kept[:, k:]


def events_kl(student: Tensor, ids: Tensor, logs: Tensor) -> Tensor:
    """KL between the kept tokens and any other."""
    q, log_p = student.double().softmax(1), logs.double()
    others = torch.ones_like(q, dtype=torch.bool).scatter(1, ids, False)
    events = torch.cat([q.gather(1, ids), (q * others).sum(1, keepdim=True)], dim=1)
    return (log_p.exp() * (log_p - events.log())).sum(1)


def test_a_student_that_equals_its_teacher_has_no_loss_and_no_gradient():
    logits = (torch.randn(6, 40) * 3).requires_grad_()
    found = likeliest_kl(logits, *likeliest(logits.detach() - 2, 5))
    assert found.abs().max() < 1e-5
    found.sum().backward()
    assert logits.grad.abs().max() < 1e-5


@pytest.mark.parametrize(("vocabulary", "k"), [(2, 1), (30, 29), (500, 16)])
def test_the_kl_of_the_likeliest_tokens_is_the_formula_a_line(vocabulary, k):
    student, kept = torch.randn(8, vocabulary) * 2, likeliest(torch.randn(8, vocabulary) * 3, k)
    torch.testing.assert_close(likeliest_kl(student, *kept).double(), events_kl(student, *kept), rtol=1e-4, atol=1e-6)


def test_the_gradient_of_the_likeliest_tokens_is_that_of_finite_differences():
    kept = likeliest(torch.randn(2, 9), 3)
    check_gradient(lambda z: likeliest_kl(z, *kept).mean(), lambda z: events_kl(z, *kept).mean(), torch.randn(2, 9))


def test_the_kl_of_the_likeliest_tokens_is_a_lower_bound_and_of_all_tokens_the_whole_kl_with_its_gradient():
    student, teacher = (torch.randn(8, 30) * 2).requires_grad_(), torch.randn(8, 30) * 2
    full = forward_kl(student, teacher, 1.0)
    bounds = torch.stack([likeliest_kl(student, *likeliest(teacher, k)) for k in (1, 5, 15, 30)])
    assert (bounds.diff(dim=0) > -1e-5).all()
    assert (bounds[0] < full).all()
    torch.testing.assert_close(bounds[-1], full, rtol=1e-5, atol=1e-6)
    own, exact = (torch.autograd.grad(each.sum(), student, retain_graph=True)[0] for each in (bounds[-1], full))
    torch.testing.assert_close(own, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [2, 10])
def test_a_teacher_sure_of_one_token_gives_a_finite_gradient(k):
    teacher = torch.full((1, 10), -1e6)
    teacher[0, 3] = 1e6
    student = (torch.randn(1, 10) * 50).requires_grad_()
    likeliest_kl(student, *likeliest(teacher, k)).sum().backward()
    assert student.grad.isfinite().all()


def test_cross_entropy_under_draws_is_the_formula_a_line():
    student, draws = torch.randn(3, 7), torch.tensor([[0, 0, 2], [6, 6, 6], [1, 3, 5]])
    shares = Draws(7, 3, 1).shares(draws)
    expected = -(shares * student.double().log_softmax(1)).sum(1)
    torch.testing.assert_close(drawn_cross_entropy(student, draws).double(), expected, rtol=1e-5, atol=0.0)
    check_gradient(lambda z: drawn_cross_entropy(z, draws).mean(), lambda z: -(shares * z.log_softmax(1)).sum(1).mean(), student)


def test_the_mean_gradient_over_many_draws_is_that_of_the_full_kl():
    """Rows of 3,000 example ids; the error is held against what independent draws would leave, which is more."""
    student, teacher, codec = torch.randn(2, 20), torch.randn(2, 20) * 2, Draws(20, 8, 1)
    exact = student.clone().requires_grad_()
    forward_kl(exact, teacher, 1.0).sum().backward()
    numbers = [torch.from_numpy(codec.uniform(str(i).encode(), 2)) for i in range(3000)]
    many = student.repeat(3000, 1).requires_grad_()
    drawn_cross_entropy(many, codec.keep(teacher.repeat(3000, 1), torch.cat(numbers))).sum().backward()
    gradients, p = many.grad.view(3000, 2, 20), teacher.softmax(1)
    independent = (p * (1 - p) / 8).sqrt()
    assert ((gradients.mean(0) - exact.grad).abs() <= 4.5 * independent / 3000**0.5 + 1e-6).all()
    assert gradients.var(0).sum() < 0.9 * independent.square().sum()
