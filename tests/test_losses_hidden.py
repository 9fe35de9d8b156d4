import numpy as np
import torch

from distill.losses.hidden import cosine_distance, hidden_mse


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
