"""Axes that keep most of vectors."""

import torch

from distill.losses.hidden_states import cosine_distance
from distill.models.principal_axes import principal_axes


def test_principal_axes_keep_the_most_of_what_similarities_are_made_of():
    basis = torch.linalg.qr(torch.randn(8, 8)).Q
    vectors = torch.randn(50, 8) * torch.tensor([5.0, 4, 3, 0, 0, 0, 0, 0]) @ basis.T
    axes = principal_axes(vectors, 3).float()
    torch.testing.assert_close(axes.T @ axes, torch.eye(3), rtol=0, atol=1e-5)
    torch.testing.assert_close((vectors @ axes) @ (vectors @ axes).T, vectors @ vectors.T, rtol=1e-4, atol=1e-3)
    first = principal_axes(vectors, 1).float()
    assert (vectors @ first).square().sum() >= (vectors @ basis[:, :1]).square().sum()
    assert cosine_distance(vectors @ axes, vectors @ axes) < 1e-6
