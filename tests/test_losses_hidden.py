import numpy as np
import torch

from distill.losses.hidden import cosine_distance, hidden_mse, normalized_mse


def test_parallel_states_have_no_loss_and_opposite_ones_two():
    states = torch.randn(9, 8)
    assert cosine_distance(states, 3 * states).abs() < 1e-6
    torch.testing.assert_close(cosine_distance(states, -states), torch.tensor(2.0))


def test_it_is_the_formula():
    student, teacher = torch.randn(9, 8), torch.randn(9, 8)
    s, t = student.double().numpy(), teacher.double().numpy()
    cosine = (s * t).sum(1) / np.linalg.norm(s, axis=1) / np.linalg.norm(t, axis=1)
    np.testing.assert_allclose(cosine_distance(student, teacher).item(), (1 - cosine).mean(), rtol=1e-5)


def test_its_gradient_is_that_of_finite_differences():
    teacher = torch.randn(3, 4, dtype=torch.float64)

    def loss(student: torch.Tensor) -> torch.Tensor:
        cosine = torch.nn.functional.cosine_similarity(student, teacher, dim=-1)
        return (1 - cosine).mean()

    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, student)
    single = student.detach().float().requires_grad_()
    cosine_distance(single, teacher.float()).backward()
    loss(student).backward()
    torch.testing.assert_close(single.grad, student.grad.float(), rtol=1e-4, atol=1e-6)


def test_equal_states_have_no_squared_difference():
    states = torch.randn(9, 8)
    assert hidden_mse(states, states) == 0


def test_the_squared_difference_is_the_formula():
    student, teacher = 3 * torch.randn(9, 8), torch.randn(9, 8)
    s, t = student.double().numpy(), teacher.double().numpy()
    np.testing.assert_allclose(hidden_mse(student, teacher).item(), ((s - t) ** 2).sum() / 9 / 8, rtol=1e-5)


def test_the_gradient_of_the_squared_difference_is_twice_the_difference_over_their_number():
    student, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    hidden_mse(student, teacher).backward()
    torch.testing.assert_close(student.grad, (2 * (student - teacher) / 12).detach())
    double = student.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda states: ((states - teacher.double()) ** 2).mean(), double)


def normalized_difference(student: np.ndarray, teacher: np.ndarray) -> float:
    """The formula itself, in float64."""
    unit = [states / np.sqrt((states**2).sum(axis=1, keepdims=True)) for states in (student, teacher)]
    return float(((unit[0] - unit[1]) ** 2).sum() / student.size)


def test_the_normalized_difference_does_not_see_lengths():
    states = torch.randn(9, 8)
    assert normalized_mse(states, states) == 0
    assert normalized_mse(states, 7 * states) < 1e-12
    torch.testing.assert_close(normalized_mse(states, -states), torch.tensor(4 / 8))


def test_the_normalized_difference_is_the_formula():
    student, teacher = 3 * torch.randn(9, 8), torch.randn(9, 8)
    expected = normalized_difference(student.double().numpy(), teacher.double().numpy())
    np.testing.assert_allclose(normalized_mse(student, teacher).item(), expected, rtol=1e-5)


def test_the_gradient_of_the_normalized_difference_is_that_of_finite_differences_of_the_formula():
    student, teacher = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    normalized_mse(student, teacher).backward()
    s, t, step = student.detach().double().numpy(), teacher.double().numpy(), 1e-6
    differences = np.zeros_like(s)
    for place in np.ndindex(s.shape):
        up, down = s.copy(), s.copy()
        up[place] += step
        down[place] -= step
        differences[place] = (normalized_difference(up, t) - normalized_difference(down, t)) / (2 * step)
    np.testing.assert_allclose(student.grad.numpy(), differences, rtol=1e-4, atol=1e-7)
