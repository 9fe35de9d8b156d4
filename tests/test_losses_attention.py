import numpy as np
import pytest
import torch

from distill.losses.attention import attention_kl, score_mse


def masked(*lengths: int) -> torch.Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


def reference(student: torch.Tensor, teacher: torch.Tensor, lengths: list[int]) -> float:
    """The formula itself, in float64, row by row."""
    s, t = student.double().numpy(), teacher.double().numpy()
    rows = [((s[i, :, :n, :n] - t[i, :, :n, :n]) ** 2).ravel() for i, n in enumerate(lengths)]
    return float(np.concatenate(rows).mean())


def test_a_student_that_equals_its_teacher_has_no_loss():
    scores = torch.randn(3, 2, 5, 5)
    assert score_mse(scores, scores) == 0
    assert score_mse(scores, scores, masked(5, 2, 1)) == 0


@pytest.mark.parametrize("lengths", [[1], [4, 4], [7, 1, 3], [30, 12, 64, 1, 9]])
@pytest.mark.parametrize("heads", [1, 12])
def test_it_is_the_formula(lengths, heads):
    shape = (len(lengths), heads, max(lengths), max(lengths))
    student, teacher = torch.randn(shape) * 3, torch.randn(shape)
    expected = reference(student, teacher, lengths)
    np.testing.assert_allclose(score_mse(student, teacher, masked(*lengths)).item(), expected, rtol=1e-5)
    if len(set(lengths)) == 1:
        np.testing.assert_allclose(score_mse(student, teacher, None).item(), expected, rtol=1e-5)


@pytest.mark.parametrize("rubbish", [1e30, float("inf"), float("nan")])
def test_what_stands_at_padding_enters_neither_loss_nor_gradient(rubbish):
    lengths = [3, 5, 1]
    student, teacher = torch.randn(3, 2, 5, 5), torch.randn(3, 2, 5, 5)
    mask = masked(*lengths)
    padding = ~(mask[:, None, :, None] & mask[:, None, None, :]).bool().expand_as(student)
    student[padding] = rubbish
    teacher[padding] = -rubbish
    student.requires_grad_()
    loss = score_mse(student, teacher, mask)
    loss.backward()
    np.testing.assert_allclose(loss.item(), reference(student.detach(), teacher, lengths), rtol=1e-5)
    assert (student.grad[padding] == 0).all()
    assert (student.grad[~padding] != 0).all()


def test_its_gradient_is_that_of_finite_differences():
    mask, teacher = masked(3, 2), torch.randn(2, 2, 3, 3)
    student = torch.randn(2, 2, 3, 3, requires_grad=True)
    score_mse(student, teacher, mask).backward()
    pairs = (mask[:, None, :, None] * mask[:, None, None, :]).double()

    def loss(scores: torch.Tensor) -> torch.Tensor:
        return ((scores - teacher.double()) ** 2 * pairs).sum() / (2 * (9 + 4))

    double = student.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(loss, double)
    loss(double).backward()
    torch.testing.assert_close(student.grad, double.grad.float(), rtol=1e-4, atol=1e-7)


def test_half_precision_is_compared_in_single():
    student, teacher = torch.randn(2, 2, 4, 4).bfloat16(), torch.randn(2, 2, 4, 4)
    loss = score_mse(student, teacher, masked(4, 3))
    assert loss.dtype == torch.float32
    np.testing.assert_allclose(loss.item(), reference(student, teacher, [4, 3]), rtol=1e-5)


def divergence(student: np.ndarray, teacher: np.ndarray, lengths: list[int]) -> float:
    """KL(teacher ‖ student) of each head and real query, in float64, and their mean."""

    def softmax(scores: np.ndarray) -> np.ndarray:
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    found = []
    for i, n in enumerate(lengths):
        q, p = softmax(student[i, :, :n, :n]), softmax(teacher[i, :, :n, :n])
        found.append((p * np.log(p / q)).sum(axis=-1).ravel())
    return float(np.concatenate(found).mean())


def test_equal_distributions_do_not_diverge_even_if_their_scores_differ_by_a_constant():
    scores = torch.randn(3, 2, 5, 5)
    assert attention_kl(scores, scores) == 0
    assert attention_kl(scores + torch.randn(3, 2, 5, 1), scores, masked(5, 2, 1)).abs() < 1e-6


@pytest.mark.parametrize("lengths", [[1], [4, 4], [7, 1, 3], [30, 12, 64, 1, 9]])
@pytest.mark.parametrize("heads", [1, 12])
def test_the_divergence_is_the_formula(lengths, heads):
    shape = (len(lengths), heads, max(lengths), max(lengths))
    student, teacher = torch.randn(shape) * 3, torch.randn(shape)
    expected = divergence(student.double().numpy(), teacher.double().numpy(), lengths)
    found = attention_kl(student, teacher, masked(*lengths)).item()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    if len(set(lengths)) == 1:
        np.testing.assert_allclose(attention_kl(student, teacher).item(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rubbish", [0.0, 1e30, float("inf"), float("nan")])
def test_what_stands_at_padding_does_not_enter_the_divergence_nor_its_gradient(rubbish):
    lengths = [3, 5, 1]
    student, teacher = torch.randn(3, 2, 5, 5), torch.randn(3, 2, 5, 5)
    mask = masked(*lengths)
    padding = ~(mask[:, None, :, None] & mask[:, None, None, :]).bool().expand_as(student)
    student[padding], teacher[padding] = rubbish, -rubbish
    expected = divergence(student.double().numpy(), teacher.double().numpy(), lengths)
    student.requires_grad_()
    loss = attention_kl(student, teacher, mask)
    loss.backward()
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)
    assert (student.grad[padding] == 0).all()
    assert (student.grad[:2][~padding[:2]] != 0).all()


def test_the_gradient_of_the_divergence_is_that_of_finite_differences_of_the_formula():
    lengths, student, teacher = [3, 2], torch.randn(2, 2, 3, 3, requires_grad=True), torch.randn(2, 2, 3, 3)
    attention_kl(student, teacher, masked(*lengths)).backward()
    s, t, step = student.detach().double().numpy(), teacher.double().numpy(), 1e-6
    differences = np.zeros_like(s)
    for place in np.ndindex(s.shape):
        up, down = s.copy(), s.copy()
        up[place] += step
        down[place] -= step
        differences[place] = (divergence(up, t, lengths) - divergence(down, t, lengths)) / (2 * step)
    np.testing.assert_allclose(student.grad.numpy(), differences, rtol=1e-4, atol=1e-6)
