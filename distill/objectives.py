"""What training minimizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from distill.tasks.base import Task

Loss = Callable[[Any, Mapping[str, Any], Mapping[int, Tensor]], tuple[Tensor, dict[str, Tensor]]]
"""(the model's outputs, the batch, the model's attention scores by layer) → the loss, and its terms by name."""


@dataclass(frozen=True)
class Objective:
    """What is minimized, what it looks at, and what is trained along with the model."""

    task: Task
    loss: Loss
    reads_hidden: bool = False
    reads_attention: tuple[int, ...] = ()
    """The model's layers, counted from 1, whose attention it reads: scores, and projections."""
    trained: nn.Module | None = None
    """Projections and the like: trained, kept in checkpoints, and no part of the model that is saved."""
    earlier_share: float | None = None
    """If the model's layers learn one after the other, the share of the learning rate left to those that had their turn. The
    batch says under `turn` whose it is, from 0."""

    def __call__(
        self, outputs: Any, batch: Mapping[str, Any], attention: Mapping[int, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms by name."""
        return self.loss(outputs, batch, attention or {})


def supervised(task: Task) -> Objective:
    """The loss against the labels alone."""

    def loss(outputs: Any, batch: Mapping[str, Any], _: Mapping[int, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        mask = batch.get("attention_mask")
        value = task.hard(task.align(task.raw(outputs), mask), task.align_labels(batch["labels"], mask))
        return value, {"hard_labels": value}

    return Objective(task, loss)
