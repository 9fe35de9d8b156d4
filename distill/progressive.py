"""Training layer by layer: each layer of the student has its turn, from the first to the last, in one run.

Sun et al. 2020, "MobileBERT" (arXiv 2004.02984), section 3.4. While a layer has its turn, the later ones, the embeddings and
the head do not move; the earlier ones are frozen, or learn more slowly. Adam divides a gradient's scale away, so that it is the
learning rate that differs, not the loss.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import Trainer

from distill.errors import UserError

Rate = Callable[[int], float]
"""Of an optimizer step, counted from 0: the learning rate as a share of `learning_rate`."""


@dataclass(frozen=True)
class Progression:
    """Turns of equally many optimizer steps, one for each of the student's layers."""

    turns: int
    earlier_rate: float
    """The learning rate of layers that have had their turn, as a share of that of the layer that has it; 0 freezes them."""

    def turn(self, step: int, steps: int) -> int:
        """Whose turn it is, from 0, at an optimizer step of so many."""
        return min(step * self.turns // steps, self.turns - 1)

    def share(self, layer: int, turn: int) -> float:
        """A layer's share of the learning rate in a turn."""
        return 1.0 if layer == turn else self.earlier_rate if layer < turn else 0.0

    def rate(self, layer: int | None, steps: int, schedule: str, warmup: float) -> Rate:
        """The learning rate of a layer, or for None of what is trained along: it rises and falls once a turn.

        Args:
            layer: From 0.
            steps: Optimizer steps of the whole run.
            schedule: linear, cosine or constant_with_warmup.
            warmup: The share of a turn over which the rate rises.
        """
        starts = [math.ceil(turn * steps / self.turns) for turn in range(self.turns + 1)]

        def rate(step: int) -> float:
            turn = self.turn(step, steps)
            own = 1.0 if layer is None else self.share(layer, turn)
            return own * course(step - starts[turn], starts[turn + 1] - starts[turn], schedule, warmup)

        return rate


def course(step: int, steps: int, schedule: str, warmup: float) -> float:
    """The share of the learning rate at a step of so many: never 0, so that a turn of one step teaches something."""
    rise = warmup * steps
    if step + 1 < rise:
        return (step + 1) / rise
    done = (step - min(step, rise)) / max(steps - rise, 1.0)
    if schedule == "linear":
        return 1 - done
    return 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 1.0


class ProgressiveTrainer(Trainer):
    """A Trainer that can train layer by layer; without a progression it trains as ever."""

    optimizer: Any
    lr_scheduler: Any
    progression: Progression | None = None
    parts: Sequence[tuple[str, int | None]] = ()
    """What learns: the path in the model of each layer, with its number, and with None of what is trained in all turns."""
    _entered: int | None = None

    def progress(self, earlier_rate: float, parts: Sequence[tuple[str, int | None]]) -> None:
        """Train these parts layer by layer; `earlier_rate` is the share of the learning rate after a layer's turn."""
        self.progression = Progression(sum(layer is not None for _, layer in parts), earlier_rate)
        self.parts = parts

    def create_optimizer(self, model: Any = None) -> Any:
        """Of each layer, and of what is trained along, a group with weight decay and one without; nothing else is optimized."""
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
        """A learning rate for each layer.

        Raises:
            UserError: there are fewer steps than layers.
        """
        if self.progression is None or self.lr_scheduler is not None:
            return super().create_scheduler(num_training_steps, optimizer)
        if num_training_steps < self.progression.turns:
            raise UserError(
                f"{num_training_steps} training steps, expected at least {self.progression.turns}, one for each layer; "
                "raise epochs, or lower batch_size"
            )
        kind, warmup = str(self.args.lr_scheduler_type.value), float(self.args.warmup_steps)
        optimizer = optimizer or self.optimizer
        rates = [self.progression.rate(group["layer"], num_training_steps, kind, warmup) for group in optimizer.param_groups]
        self.lr_scheduler = LambdaLR(optimizer, rates)
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train; afterwards everything may be trained again."""
        try:
            return super().train(*arguments, **options)
        finally:
            if self.progression is not None:
                self.model.requires_grad_(True)

    def take_turn(self) -> int | None:
        """Whose turn it is, from 0; None if all layers learn at once. What does not move gets no gradients."""
        if self.progression is None:
            return None
        turn = self.progression.turn(self.state.global_step, self.state.max_steps)
        if turn != self._entered:
            self.model.requires_grad_(False)
            for prefix, layer in self.parts:
                moves = layer is None or self.progression.share(layer, turn) > 0
                self.model.get_submodule(prefix).requires_grad_(moves)
            self._entered = turn
        return turn

    def _get_learning_rate(self) -> float:
        """That of the layer whose turn it is: the highest."""
        return float(max(self.lr_scheduler.get_last_lr())) if self.progression else super()._get_learning_rate()
