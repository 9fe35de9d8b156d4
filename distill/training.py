"""The trainer of teachers and students: transformers' Trainer, a batch that carries targets, and an objective."""

import contextlib
import hashlib
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from distill.arguments import training_arguments
from distill.batches import Collator, RowNumbers
from distill.checkpointing import SafeCheckpoints, last_checkpoint
from distill.console import note
from distill.errors import UserError
from distill.evaluation import predict
from distill.learner import Learner
from distill.objectives import Objective
from distill.params.training import TrainingSettings
from distill.prefetching import PrefetchingTrainer
from distill.prepared import Dataset
from distill.processes import leads
from distill.progressive import ProgressiveTrainer
from distill.tasks.base import Gold, Task
from distill.tasks.catalogue import task_of

Array = np.ndarray[Any, np.dtype[Any]]
SECONDS_A_LINE = 60
CHECKPOINT_VERSION = 2
"""Raised when what a checkpoint holds changes: one of another version is not resumed."""
TIE_BREAK = 1e-7
"""How much the validation loss weighs against the score: ties are common on small validation splits."""


@dataclass(frozen=True)
class Trained:
    """How a training run went."""

    history: list[dict[str, Any]]
    """What was logged: `step`, `epoch`, `loss`, the terms; and a validation `score` an epoch."""
    best_epoch: float
    best_score: float | None
    """On the validation split; None where no head is trained."""
    seconds: float

    @property
    def last_loss(self) -> float:
        """The training loss that was logged last; 0 if none was."""
        return next((float(entry["loss"]) for entry in reversed(self.history) if "loss" in entry), 0.0)

    @property
    def merit(self) -> float:
        """By which the seeds of a student are compared: the score, or where no head is trained the last loss, negated."""
        return -self.last_loss if self.best_score is None else self.best_score

    def record(self, seed: int) -> dict[str, Any]:
        """What data/runs/ keeps of it: JSON."""
        return {"seed": seed, **asdict(self)}


def run_key(settings: TrainingSettings, dataset: Dataset, model: PreTrainedModel, targets: str = "") -> str:
    """A hash of what a run depends on, `targets` saying which it reads: a checkpoint is resumed by the same run alone."""
    processes = os.environ.get("WORLD_SIZE", "1")
    digest = hashlib.sha256(f"{CHECKPOINT_VERSION} {processes} {settings.model_dump_json()}".encode())
    digest.update(str([part["fingerprint"] for part in dataset.splits.values()]).encode())
    digest.update(targets.encode())
    for parameter in model.parameters():
        digest.update(parameter.detach().flatten()[:64].cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def train(
    model: PreTrainedModel,
    rows: Collator,
    validation: Gold,
    settings: TrainingSettings,
    objective: Objective,
    *,
    seed: int,
    metric: str,
    scratch: Path,
    title: str,
    keep: Literal["best", "last"] = "best",
) -> Trained:
    """Train in place, resuming from `scratch` if an earlier run was interrupted.

    Of several processes each computes every n-th batch, and gradients are their mean; the first validates and writes checkpoints.

    Args:
        model: Teacher or student.
        rows: The training rows, with targets if the objective reads any.
        validation: The validation rows.
        settings: Epochs, learning rate and so on.
        objective: The loss.
        seed: Of shuffling and dropout.
        metric: The data set's metric.
        scratch: Where checkpoints are kept until training has ended; it belongs to this run alone.
        title: Names the run on the screen.
        keep: The epoch that the model ends as: that of the best validation score, or the last; then nothing is validated.

    Raises:
        UserError: the loss diverges.
    """
    if settings.epochs == 0:
        return Trained([], 0.0, 0.0, 0.0)
    arguments = training_arguments(settings, len(rows.rows), seed, scratch, validates=keep == "best")
    callbacks: list[TrainerCallback] = [EpochLines(title)]
    if settings.patience is not None and keep == "best":
        callbacks.append(EarlyStoppingCallback(settings.patience, early_stopping_threshold=10 * TIE_BREAK))
    examiner = Examiner(validation, metric)
    return _run(DistillationTrainer(Learner(model, objective), rows, examiner, args=arguments, callbacks=callbacks), title)


def _run(trainer: "DistillationTrainer", title: str) -> Trained:
    """Train from the last checkpoint on, if there is one, and remove all of them."""
    scratch = Path(trainer.args.output_dir)
    checkpoint = last_checkpoint(scratch)
    if checkpoint is not None and leads():
        note(f"{title}: goes on from {Path(checkpoint).name}")
    trainer.started = time.perf_counter()
    with contextlib.closing(trainer):
        trainer.train(resume_from_checkpoint=checkpoint)
    trainer.accelerator.wait_for_everyone()
    if leads():
        shutil.rmtree(scratch, ignore_errors=True)
    return trainer.trained()


class DistillationTrainer(PrefetchingTrainer, SafeCheckpoints, ProgressiveTrainer):
    """A Trainer whose model is a `Learner`, which makes the loss itself, and that logs the loss's terms."""

    control: Any

    def __init__(self, learner: Learner, rows: Collator, examiner: "Examiner", **arguments: Any) -> None:
        """Like transformers' Trainer, with a collator that holds the rows which it batches, and an examiner."""
        size = len(rows.rows)
        super().__init__(
            model=learner,
            data_collator=rows,
            train_dataset=RowNumbers(size),
            eval_dataset=RowNumbers(len(examiner.gold.rows)),
            **arguments,
        )
        self.remove_callback(PrinterCallback)
        self.accelerator.rng_types = ["torch", "generator"]  # processes shuffle alike, however much chance each has used
        self.learner, self.examiner = learner, examiner
        self.lengths = rows.rows.lengths
        self.loss_is_scaled_for_ga = False
        self.sums: dict[str, Tensor] = {}
        self.batches = 0
        if learner.objective.earlier_share is not None:
            self.progress(learner.objective.earlier_share, learner.parts())

    def trained(self) -> Trained:
        """How it went."""
        log = self.state.log_history
        best = next((entry for entry in log if entry.get("eval_selection", math.nan) == self.state.best_metric), None)
        if best is None:
            return Trained(_history(log), float(self.state.epoch or 0), None, self.seconds)
        return Trained(_history(log), best["epoch"], best["eval_score"], self.seconds)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """The loss of a batch, and its terms noted for the log."""
        loss, terms = model({**inputs, "turn": self.take_turn()})
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=loss.device)) + value
        self.batches += 1
        return loss

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Score the validation rows, in the process that leads.

        Raises:
            UserError: the validation loss is NaN or infinite.
        """
        found: list[Any] = [None]
        if leads():
            with self.accelerator.autocast():
                found = [self.examiner.examine(self.learner.model, task_of(self.learner.objective.task.name))]
        metrics: dict[str, float] = broadcast_object_list(found)[0]
        if not math.isfinite(metrics["selection"]):
            raise self._diverged(metrics["selection"])
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Add the terms' means to what is logged.

        Raises:
            UserError: the loss is NaN or infinite.
        """
        if "loss" in logs and self.batches:
            if not math.isfinite(logs["loss"]):
                raise self._diverged(logs["loss"])
            means = self.accelerator.reduce(torch.stack(list(self.sums.values())) / self.batches, "mean")
            logs |= dict(zip(self.sums, means.tolist(), strict=True))
            self.sums, self.batches = {}, 0
        super().log(logs, start_time)

    def _diverged(self, value: float) -> UserError:
        return UserError(f"the loss diverged before step {self.state.global_step}: {value}; lower learning_rate")

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroupedSampler(size, dataset=self.train_dataset, lengths=self.lengths.tolist())


@dataclass(frozen=True)
class Examiner:
    """Scores a model on the validation split, and says by what number the best epoch is known."""

    gold: Gold
    metric: str

    def examine(self, model: PreTrainedModel, task: Task) -> dict[str, float]:
        """The validation `score`, and the `selection` by which an epoch is kept: of equal scores the lower loss wins."""
        kept = predict(model, task, self.gold.rows, "validate")
        score = task.score(self.metric, task.judge(kept, self.gold))
        return {"score": score, "selection": score - TIE_BREAK * task.loss(kept, self.gold)}


class EpochLines(TrainerCallback):
    """A plain line an epoch, and one a minute of longer epochs: how far it is, the loss, the score, and the time left."""

    def __init__(self, title: str) -> None:
        """`title` begins each line."""
        self.title = title
        self.last: dict[str, float] = {}
        self.begun = self.said = 0.0
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self.begun = self.said = time.perf_counter()
        self.first_step = state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Remember training loss and validation score."""
        self.last |= logs or {}
        if "loss" in (logs or {}) and time.perf_counter() - self.said > SECONDS_A_LINE:
            self._say(state)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """At the end of an epoch."""
        self._say(state)

    def _say(self, state: Any) -> None:
        self.said = time.perf_counter()
        rate = (state.global_step - self.first_step) / (self.said - self.begun)
        words = [f"loss {self.last.get('loss', math.nan):.4f}"]
        words += [f"validation score {self.last['eval_score']:.4f}"] if "eval_score" in self.last else []
        words += [f"{rate:.3g} steps/s", f"{(state.max_steps - state.global_step) / rate:.0f} s left"] if rate else []
        if state.is_world_process_zero:
            note(f"{self.title}: epoch {state.epoch:.3g} of {state.num_train_epochs}: {', '.join(words)}")


def _history(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves: training losses and validation scores, without the clock."""
    kept = []
    for entry in log:
        if "loss" in entry:
            kept.append({key: value for key, value in entry.items() if key != "grad_norm"})
        elif "eval_score" in entry:
            kept.append({"step": entry["step"], "epoch": entry["epoch"], "score": entry["eval_score"]})
    return kept
