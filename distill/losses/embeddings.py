"""Losses between vectors of texts, beside those of distill/losses/hidden_states.py. Pure functions of tensors."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

VectorLoss = Callable[[Tensor, Tensor], Tensor]
"""(student's vectors, teacher's vectors), (rows, size) each → the loss"""


def distance(student: Float[Tensor, "rows size"], teacher: Float[Tensor, "rows size"]) -> Float[Tensor, ""]:
    """‖e_s − e_t‖₂, averaged over rows. Vujanic & Rueckstiess 2025 (arXiv 2509.12539): what LEAF aligns vectors by."""
    gap = (student.float() - teacher.float()).square().sum(dim=1)
    return torch.where(gap > 0, gap, 1.0).sqrt().mul(gap > 0).mean()  # the root has no gradient at 0


def similarity_kl(
    student: Float[Tensor, "rows size"], teacher: Float[Tensor, "rows other"], temperature: float
) -> Float[Tensor, ""]:
    """KL(p_t ‖ p_s), p(j | i) = softmax over the other rows j of cos(e_i, e_j)/T; averaged over rows i, 0 of a single one.

    Passalis & Tefas 2018 (arXiv 1803.10837), eq. 4–6, whose kernel is here the softmax of Fang et al. 2021 (arXiv
    2101.04731), eq. 4. The widths may differ.
    """
    if len(student) < 2:
        return student.float().sum() * 0.0
    others = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    units = (functional.normalize(vectors.float(), dim=1) for vectors in (student, teacher))
    cosines = ((unit @ unit.T)[others].view(len(unit), -1) for unit in units)
    student_logs, teacher_logs = (functional.log_softmax(part / temperature, dim=1) for part in cosines)
    return functional.kl_div(student_logs, teacher_logs, reduction="batchmean", log_target=True)


def nested(loss: VectorLoss, sizes: Sequence[int], *, whole_teacher: bool = False) -> VectorLoss:
    """The mean of a loss over whole vectors and over their first numbers, as many as each of `sizes` says.

    Kusupati et al. 2022 (arXiv 2205.13147), eq. 1, with equal weights. With `whole_teacher`, all are compared with the teacher's
    whole vectors.
    """

    def total(student: Tensor, teacher: Tensor) -> Tensor:
        parts = [loss(student, teacher)]
        parts += [loss(student[:, :size], teacher if whole_teacher else teacher[:, :size]) for size in sizes]
        return torch.stack(parts).mean()

    return total if sizes else loss
