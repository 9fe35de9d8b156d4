"""Training layer by layer: one stage for each layer of the student, from the first to the last, in one run.

Sun et al. 2020, "MobileBERT" (arXiv 2004.02984), section 3.4. In a layer's stage, the later layers, the embeddings and the head
are frozen; the earlier layers are frozen too, or learn more slowly. Adam divides a gradient's scale away, so that it is the
learning rate that differs, not the loss.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer

from distill.core.errors import UserError


@dataclass(frozen=True)
class Progression:
    """Stages of equally many optimizer steps, one for each of the student's layers."""

    stages: int
    earlier_layers_lr_scale: float
    """The learning rate of earlier layers, as a share of that of the current layer; 0 freezes them."""

    def current_layer(self, step: int, steps: int) -> int:
        """The layer, from 0, that is trained at an optimizer step of so many."""
        return min(step * self.stages // steps, self.stages - 1)

    def scale(self, layer: int, current: int) -> float:
        """A layer's share of the current layer's learning rate."""
        return 1.0 if layer == current else self.earlier_layers_lr_scale if layer < current else 0.0

    def multiplier(self, layer: int | None, steps: int, schedule: str, warmup: float) -> Callable[[int], float]:
        """A layer's share of `learning_rate` at each of all steps, from 0; for None, that of the extra modules.

        It rises and falls once a stage; `warmup` is the share of a stage over which it rises.
        """
        starts = [math.ceil(stage * steps / self.stages) for stage in range(self.stages + 1)]

        def multiplier(step: int) -> float:
            current = self.current_layer(step, steps)
            scale = 1.0 if layer is None else self.scale(layer, current)
            return scale * lr_multiplier(step - starts[current], starts[current + 1] - starts[current], schedule, warmup)

        return multiplier


def lr_multiplier(step: int, steps: int, schedule: str, warmup: float) -> float:
    """The share of the learning rate at a step of so many: never 0, so that a stage of one step teaches something."""
    rise = warmup * steps
    if step + 1 < rise:
        return (step + 1) / rise
    done = (step - min(step, rise)) / max(steps - rise, 1.0)
    if schedule == "linear":
        return 1 - done
    return 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1.0


class ProgressiveTrainer(Trainer):
    """A Trainer that can train layer by layer; without a progression it trains all at once."""

    optimizer: Any
    lr_scheduler: Any
    progression: Progression | None = None
    parts: Sequence[tuple[str, int | None]] = ()
    """What is trained: the path in the model of each layer, with its number, and with None of what is trained in all stages."""
    _entered: int | None = None

    def train_layer_by_layer(self, earlier_layers_lr_scale: float, parts: Sequence[tuple[str, int | None]]) -> None:
        """Train these parts, one layer after the other."""
        self.progression = Progression(sum(layer is not None for _, layer in parts), earlier_layers_lr_scale)
        self.parts = parts

    def create_optimizer(self, model: Any = None) -> Any:
        """Of each layer, and of the extra modules, a group with weight decay and one without; nothing else is optimized."""
        if self.progression is None or self.optimizer is not None:
            return super().create_optimizer(model)
        decaying = set(self.get_decay_parameter_names(self.model))
        groups: list[dict[str, Any]] = []
        for prefix, layer in self.parts:
            named = [(name, parameter) for name, parameter in self.model.named_parameters() if name.startswith(f"{prefix}.")]
            for decay in (True, False):
                parameters = [parameter for name, parameter in named if (name in decaying) == decay]
                groups.append({"params": parameters, "weight_decay": self.args.weight_decay if decay else 0.0, "layer": layer})
        kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        self.optimizer = kind([group for group in groups if group["params"]], **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """A learning rate for each layer."""
        if self.progression is None or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        if num_training_steps < self.progression.stages:
            raise UserError(
                f"{num_training_steps} training steps, expected at least {self.progression.stages}, one for each layer; "
                "raise epochs, or lower batch_size"
            )
        kind, warmup = str(self.args.lr_scheduler_type.value), float(self.args.warmup_steps)
        optimizer = optimizer or self.optimizer
        groups = [group["layer"] for group in optimizer.param_groups]
        multipliers = [self.progression.multiplier(layer, num_training_steps, kind, warmup) for layer in groups]
        self.lr_scheduler = LambdaLR(optimizer, multipliers)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train; afterwards everything may be trained again."""
        try:
            return super().train(*arguments, **options)
        finally:
            if self.progression is not None:
                self.model.requires_grad_(True)

    def enter_stage(self) -> int | None:
        """The layer that is being trained, from 0; None if all are. What is frozen gets no gradients."""
        if self.progression is None:
            return None
        current = self.progression.current_layer(self.state.global_step, self.state.max_steps)
        if current != self._entered:
            self.model.requires_grad_(False)
            for prefix, layer in self.parts:
                learns = layer is None or self.progression.scale(layer, current) > 0
                self.model.get_submodule(prefix).requires_grad_(learns)
            self._entered = current
        return current

    def _get_learning_rate(self) -> float:
        """The current layer's: the highest."""
        return float(max(self.lr_scheduler.get_last_lr())) if self.progression else super()._get_learning_rate()
