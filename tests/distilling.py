"""Training tiny students from a target set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback

from distill.data.dataset import Dataset
from distill.params.students import StudentSettings
from distill.store.target_set import TargetStore
from distill.students.objective import objective_and_rows
from distill.tasks.base import EvaluationSplit
from distill.training import trainer as training
from distill.training.objective import Objective
from distill.training.trained import Trained
from distill.training.trainer import train


class Interrupt(TrainerCallback):
    """Ends a run amid its second half."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.epoch and state.epoch > state.num_train_epochs / 2 + 0.1:
            raise KeyboardInterrupt


def distil(
    dataset: Dataset,
    store: TargetStore,
    scratch: Path,
    chosen: StudentSettings,
    student: PreTrainedModel,
    callbacks: Sequence[type[TrainerCallback]] = (),
    seed: int = 1,
) -> tuple[Trained, Objective]:
    """Train a student in place; with what was minimized, which holds what was trained beside it."""
    torch.manual_seed(seed)
    objective, rows = objective_and_rows(chosen, student, dataset, store)
    validation = EvaluationSplit.from_dataset(dataset, "validation")
    how = {"seed": seed, "metric": dataset.metric, "scratch": scratch, "title": "test"}
    how["keep"] = "best" if chosen.trains_head else "last"
    with watched(*callbacks):
        return train(student, rows, validation, chosen, objective, **how), objective


class watched:  # noqa: N801
    """Runs within have these callbacks too."""

    def __init__(self, *callbacks: type[TrainerCallback]):
        self.callbacks = callbacks

    def __enter__(self) -> None:
        self.before = training.EpochProgress
        training.EpochProgress = type("Watched", (*self.callbacks, self.before), {})

    def __exit__(self, *_: object) -> None:
        training.EpochProgress = self.before


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
