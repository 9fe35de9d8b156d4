"""How losses are compared with their formulas, written in float64."""

from collections.abc import Callable

import torch
from torch import Tensor

Formula = Callable[[Tensor], Tensor]


def check_gradient(loss: Formula, formula: Formula, student: Tensor, rtol: float = 1e-4, atol: float = 1e-7) -> None:
    """A loss's gradient in fp32 is the formula's in float64, which is that of finite differences."""
    single, double = student.clone().requires_grad_(), student.double().requires_grad_()
    loss(single).backward()
    assert torch.autograd.gradcheck(formula, double)
    formula(double).backward()
    torch.testing.assert_close(single.grad, double.grad.float(), rtol=rtol, atol=atol)
