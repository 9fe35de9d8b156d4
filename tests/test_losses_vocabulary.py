import numpy as np
import pytest
import torch

from distill.losses.logits import soft_target_kl
from distill.losses.vocabulary import sampled_cross_entropy, topk_kl
from distill.targets.vocabulary import decode_sample, decode_top_k, row_generator, sample, top_k


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def reference(student: np.ndarray, ids: np.ndarray, teacher_log_probabilities: np.ndarray) -> float:
    """The formula itself, in float64, position by position."""
    losses = []
    for q, kept, log_p in zip(np.exp(log_softmax(student)), ids, teacher_log_probabilities.astype(np.float64), strict=True):
        events = np.append(q[kept], np.delete(q, kept).sum())
        losses.append((np.exp(log_p) * (log_p - np.log(events))).sum())
    return float(np.mean(losses))


def test_a_student_that_equals_its_teacher_has_no_loss():
    logits = torch.randn(6, 40) * 3
    assert topk_kl(logits, *decode_top_k(top_k(logits, 5))).abs() < 1e-4


@pytest.mark.parametrize(("vocabulary", "k"), [(2, 1), (30, 29), (500, 16)])
def test_it_is_the_formula(vocabulary, k):
    student = torch.randn(8, vocabulary) * 2
    ids, log_p = decode_top_k(top_k(torch.randn(8, vocabulary) * 3, k))
    expected = reference(student.numpy(), ids.numpy(), log_p.numpy())
    np.testing.assert_allclose(topk_kl(student, ids, log_p).item(), expected, rtol=1e-4, atol=1e-6)


def test_it_is_a_lower_bound_that_becomes_the_full_kl():
    student, teacher = torch.randn(8, 30), torch.randn(8, 30) * 2
    full = soft_target_kl(student, teacher, 1.0)
    losses = [topk_kl(student, *decode_top_k(top_k(teacher, k))) for k in (1, 5, 15, 29)]
    assert all(loss < full + 1e-3 for loss in losses)
    assert losses == sorted(losses)
    torch.testing.assert_close(losses[-1], full, rtol=2e-3, atol=1e-4)


def test_its_gradient_is_that_of_finite_differences():
    ids, log_p = decode_top_k(top_k(torch.randn(2, 9), 3))
    student = torch.randn(2, 9, requires_grad=True)
    topk_kl(student, ids, log_p).backward()
    numeric = np.zeros((2, 9))
    for place in np.ndindex(2, 9):
        step = np.zeros((2, 9))
        step[place] = 1e-5
        sides = [reference(student.detach().double().numpy() + s * step, ids.numpy(), log_p.numpy()) for s in (1, -1)]
        numeric[place] = (sides[0] - sides[1]) / 2e-5
    np.testing.assert_allclose(student.grad.numpy(), numeric, rtol=1e-3, atol=1e-6)


def test_a_teacher_sure_of_one_token_gives_a_finite_gradient():
    teacher = torch.full((1, 10), -1e6)
    teacher[0, 3] = 1e6
    student = (torch.randn(1, 10) * 50).requires_grad_()
    topk_kl(student, *decode_top_k(top_k(teacher, 2))).backward()
    assert student.grad.isfinite().all()


def test_cross_entropy_under_draws_is_the_formula():
    student, draws = torch.randn(3, 7), torch.tensor([[0, 0, 2], [6, 6, 6], [1, 3, 5]])
    weights = np.stack([np.bincount(row, minlength=7) / 3 for row in draws.numpy()])
    expected = -(weights * log_softmax(student.numpy())).sum(axis=1).mean()
    np.testing.assert_allclose(sampled_cross_entropy(student, draws).item(), expected, rtol=1e-5)


def gradient_of_draws(student: torch.Tensor, teacher: torch.Tensor, draws: int, example: bytes) -> torch.Tensor:
    student = student.clone().requires_grad_()
    sampled_cross_entropy(student, decode_sample(sample(teacher, draws, row_generator(example)))).backward()
    return student.grad


def test_the_mean_gradient_over_many_draws_is_that_of_the_full_kl():
    student, teacher = torch.randn(2, 20), torch.randn(2, 20) * 2
    exact = student.clone().requires_grad_()
    soft_target_kl(exact, teacher, 1.0).backward()
    gradients = torch.stack([gradient_of_draws(student, teacher, 8, str(i).encode()) for i in range(3000)])
    error = (gradients.mean(0) - exact.grad).abs()
    p = teacher.softmax(1)
    deviation = (p * (1 - p) / 8 / 3000).sqrt() / 2
    assert (error <= 4.5 * deviation + 1e-6).all()
    torch.testing.assert_close(gradients.std(0) / 3000**0.5, deviation, rtol=0.1, atol=5e-5)


def test_keeping_the_likeliest_tokens_as_if_they_were_all_is_biased():
    """Why the residual is kept: without it, the gradient at a token outside the top k points the wrong way."""
    teacher = torch.randn(1, 50)
    student = teacher.clone().requires_grad_()
    ids, log_p = decode_top_k(top_k(teacher, 3))
    cut = torch.log_softmax(log_p[:, :3], dim=1).exp()
    (-(cut * student.log_softmax(1).gather(1, ids)).sum()).backward()
    assert student.grad.abs().max() > 0.1
    student.grad = None
    topk_kl(student, ids, log_p).backward()
    assert student.grad.abs().max() < 1e-3
