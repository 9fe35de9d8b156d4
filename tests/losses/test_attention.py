"""Losses between attention scores against their formulas, in float64, row by row."""

import pytest
import torch
from torch import Tensor

from distill.losses.attention import attention_kl, score_mse
from tests.numeric import check_gradient


def squares(s: Tensor, t: Tensor) -> Tensor:
    return (s - t) ** 2


def divergence(s: Tensor, t: Tensor) -> Tensor:
    """KL(teacher ‖ student) of each head and query."""
    p, q = t.exp() / t.exp().sum(-1, keepdim=True), s.exp() / s.exp().sum(-1, keepdim=True)
    return (p * (p / q).log()).sum(-1)


FORMULAS = {score_mse: (squares, 0.0), attention_kl: (divergence, 1e-7)}
"""And the absolute error, beside a relative one of 1e-5."""
losses = pytest.mark.parametrize("loss", FORMULAS)


def reference(loss, student: Tensor, teacher: Tensor, lengths: list[int]) -> Tensor:
    """The mean over heads and real queries, or pairs of real tokens, of all rows."""
    pairs = ((x.double()[i, :, :n, :n] for x in (student, teacher)) for i, n in enumerate(lengths))
    return torch.cat([FORMULAS[loss][0](*pair).flatten() for pair in pairs]).mean()


def check(loss, found: Tensor, student: Tensor, teacher: Tensor, lengths: list[int]) -> None:
    expected = reference(loss, student, teacher, lengths)
    torch.testing.assert_close(found.detach().double(), expected, rtol=1e-5, atol=FORMULAS[loss][1])


def masked(*lengths: int) -> Tensor:
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()


@losses
def test_a_student_that_equals_its_teacher_has_no_loss(loss):
    scores = torch.randn(3, 2, 5, 5)
    assert loss(scores, scores) == 0
    assert loss(scores, scores, masked(5, 2, 1)) == 0


def test_a_constant_added_to_a_query_s_scores_changes_no_distribution():
    scores = torch.randn(3, 2, 5, 5)
    assert attention_kl(scores + torch.randn(3, 2, 5, 1), scores, masked(5, 2, 1)).abs() < 1e-6


@losses
@pytest.mark.parametrize("lengths", [[1], [4, 4], [7, 1, 3], [30, 12, 64, 1, 9]])
@pytest.mark.parametrize("heads", [1, 12])
def test_it_is_the_formula(loss, lengths, heads):
    shape = (len(lengths), heads, max(lengths), max(lengths))
    student, teacher = torch.randn(shape) * 3, torch.randn(shape)
    check(loss, loss(student, teacher, masked(*lengths)), student, teacher, lengths)
    if len(set(lengths)) == 1:
        check(loss, loss(student, teacher), student, teacher, lengths)


@losses
@pytest.mark.parametrize("rubbish", [0.0, 1e30, float("inf"), float("nan")])
def test_what_stands_at_padding_enters_neither_loss_nor_gradient(loss, rubbish):
    lengths = [3, 5, 1]
    student, teacher = torch.randn(3, 2, 5, 5), torch.randn(3, 2, 5, 5)
    mask = masked(*lengths)
    padding = ~(mask[:, None, :, None] & mask[:, None, None, :]).bool().expand_as(student)
    student[padding], teacher[padding] = rubbish, -rubbish
    found = loss(student.requires_grad_(), teacher, mask)
    found.backward()
    check(loss, found, student.detach(), teacher, lengths)
    assert (student.grad[padding] == 0).all()
    rows = slice(None) if loss is score_mse else slice(2)  # the distribution over one key is what it is
    assert (student.grad[rows][~padding[rows]] != 0).all()


@losses
def test_its_gradient_is_that_of_finite_differences(loss):
    student, teacher, lengths = torch.randn(2, 2, 3, 3), torch.randn(2, 2, 3, 3), [3, 2]
    check_gradient(
        lambda scores: loss(scores, teacher, masked(*lengths)), lambda scores: reference(loss, scores, teacher, lengths), student
    )


@losses
def test_half_precision_is_compared_in_single(loss):
    student, teacher = torch.randn(2, 2, 4, 4).bfloat16(), torch.randn(2, 2, 4, 4)
    found = loss(student, teacher, masked(4, 3))
    assert found.dtype == torch.float32
    check(loss, found, student, teacher, [4, 3])
