"""How far a student's answer to each row is from the teacher's."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from distill.store.output_names import LOGITS
from distill.tasks.base import Task


def row_divergences(task: Task, outputs: Any, batch: Mapping[str, Any]) -> Float[Tensor, " batch"]:
    """KL(softmax(z_t) ‖ softmax(z_s)) of each row, the mean over its lines; where logits are numbers, the squared error."""
    mask = batch.get("attention_mask", torch.ones_like(batch["input_ids"]))
    student, teacher = task.align(task.raw(outputs), mask).float(), task.comparable(batch["targets"][LOGITS], mask).float()
    if task.continuous:
        lines = (student - teacher).square().sum(dim=1)
    else:
        logs = functional.log_softmax(student, dim=1), functional.log_softmax(teacher, dim=1)
        lines = functional.kl_div(*logs, reduction="none", log_target=True).sum(dim=1)
    return task.mean_by_row(lines, mask)
