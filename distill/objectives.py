"""What training minimizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from distill.tasks import cross_entropy

Loss = Callable[[Any, Mapping[str, Any], Mapping[int, Tensor]], tuple[Tensor, dict[str, Tensor]]]
"""(the model's outputs, the batch, the model's attention scores by layer) → the loss, and its terms by name."""


@dataclass(frozen=True)
class Objective:
    """What is minimized, what it looks at, and what is trained along with the model."""

    loss: Loss
    reads_hidden: bool = False
    reads_attention: tuple[int, ...] = ()
    """The model's layers, counted from 1, whose attention scores it reads."""
    trained: nn.Module | None = None
    """Projections and the like: trained, kept in checkpoints, and no part of the model that is saved."""

    def __call__(
        self, outputs: Any, batch: Mapping[str, Any], attention: Mapping[int, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its terms by name."""
        return self.loss(outputs, batch, attention or {})


def _cross_entropy(outputs: Any, batch: Mapping[str, Any], _: Mapping[int, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    loss = cross_entropy(outputs.logits, batch["labels"])
    return loss, {"hard_labels": loss}


SUPERVISED = Objective(_cross_entropy)
"""Cross-entropy with the hard labels."""
