"""How far a training run is: its loss, its score, and the time left."""

import math
import time
from typing import Any

from transformers import TrainerCallback

from distill.core.console import print_progress

SECONDS_A_LINE = 60


class EpochProgress(TrainerCallback):
    """A line an epoch, and one a minute of longer epochs: the epoch, the loss, the score, and the time left."""

    def __init__(self, title: str) -> None:
        """`title` begins each line."""
        self.title = title
        self.last: dict[str, float] = {}
        self.started = self.printed = 0.0
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.started = self.printed = time.perf_counter()
        self.first_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Remember training loss and validation score."""
        self.last |= logs or {}
        if "loss" in (logs or {}) and time.perf_counter() - self.printed > SECONDS_A_LINE:
            self._print(state)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """At the end of an epoch."""
        self._print(state)

    def _print(self, state: Any) -> None:
        self.printed = time.perf_counter()
        rate = (state.global_step - self.first_step) / (self.printed - self.started)
        words = [f"loss {self.last.get('loss', math.nan):.4f}"]
        words += [f"validation score {self.last['eval_score']:.4f}"] if "eval_score" in self.last else []
        words += [f"{rate:.3g} steps/s", f"{(state.max_steps - state.global_step) / rate:.0f} s left"] if rate else []
        if state.is_world_process_zero:
            print_progress(f"{self.title}: epoch {state.epoch:.3g} of {state.num_train_epochs}: {', '.join(words)}")
