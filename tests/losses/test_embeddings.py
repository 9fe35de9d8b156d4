"""Losses between vectors of texts against their formulas, in float64."""

import numpy as np
import pytest
import torch

from distill.losses.embeddings import distance, nested, similarity_kl
from distill.losses.hidden_states import hidden_mse
from tests.formulas import alike
from tests.numeric import check_gradient

LOSSES = {
    "distance": (distance, lambda s, t: torch.stack([(a - b).norm() for a, b in zip(s, t, strict=True)]).mean()),
    "similarity_kl": (lambda s, t: similarity_kl(s, t, 0.3), lambda s, t: alike(s, t, 0.3)),
    "nested": (
        nested(hidden_mse, (2, 3)),
        lambda s, t: (((s - t) ** 2).mean() + ((s - t)[:, :2] ** 2).mean() + ((s - t)[:, :3] ** 2).mean()) / 3,
    ),
    "nested-whole": (
        nested(lambda s, t: similarity_kl(s, t, 0.3), (2,), whole_teacher=True),
        lambda s, t: (alike(s, t, 0.3) + alike(s[:, :2], t, 0.3)) / 2,
    ),
}
losses = pytest.mark.parametrize(("loss", "formula"), LOSSES.values(), ids=LOSSES)


@losses
@pytest.mark.parametrize("shape", [(2, 4), (9, 8), (40, 64)])
def test_it_is_the_formula(loss, formula, shape):
    student, teacher = 3 * torch.randn(shape) + 0.5, torch.randn(shape) - 1
    torch.testing.assert_close(loss(student, teacher).double(), formula(student.double(), teacher.double()), rtol=1e-5, atol=1e-7)


@losses
def test_its_gradient_is_that_of_finite_differences(loss, formula):
    student, teacher = torch.randn(4, 5), torch.randn(4, 5)
    check_gradient(lambda vectors: loss(vectors, teacher), lambda vectors: formula(vectors, teacher.double()), student)


@pytest.mark.parametrize("name", ["distance", "similarity_kl", "nested"])
def test_a_student_that_equals_its_teacher_has_no_loss_and_a_finite_gradient(name):
    vectors = torch.randn(5, 8, requires_grad=True)
    loss = LOSSES[name][0](vectors, vectors.detach())
    loss.backward()
    assert loss.abs() < 1e-6
    assert vectors.grad.isfinite().all()


def test_similarities_know_neither_lengths_nor_width_nor_rotation_and_one_row_tells_nothing():
    teacher = torch.randn(6, 4)
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 9)))
    student = torch.cat([teacher, torch.zeros(6, 5)], dim=1) @ torch.from_numpy(rotation).float() * 7
    assert similarity_kl(student, teacher, 0.05) < 1e-6
    assert similarity_kl(torch.randn(6, 9), teacher, 0.05) > 0.1
    assert similarity_kl(student[:1], teacher[:1], 0.05) == 0
