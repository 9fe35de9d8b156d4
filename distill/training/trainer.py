"""Training a teacher or a student by transformers' Trainer: resumed if interrupted, its best epoch kept."""

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, TrainerCallback

from distill.core.console import print_progress
from distill.core.errors import UserError
from distill.core.processes import is_main_process
from distill.data.averaging import mean_divisors
from distill.data.batching import Collator
from distill.data.dataset import Dataset
from distill.data.prefetch import Prefetched
from distill.models.predict import predict
from distill.models.probing import runs_in_bf16
from distill.params.training import TrainingSettings
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from distill.training.arguments import training_arguments, uses_bf16
from distill.training.checkpointing import SafeCheckpoints, last_checkpoint, stopped_early
from distill.training.epoch_progress import EpochProgress
from distill.training.finished import recall, remember
from distill.training.hard_examples import hardest
from distill.training.length_batches import ShuffledLengthBatches
from distill.training.objective import DistillationModel, Objective
from distill.training.progressive import ProgressiveTrainer
from distill.training.trained import Trained

CHECKPOINT_VERSION = 5
"""Raised when what a checkpoint holds changes: one of another version is not resumed."""

TIE_BREAK = 1e-7
"""How much the validation loss weighs against the score at most: ties are common on small validation splits."""


def selection(score: float, loss: float) -> float:
    """What the best epoch is chosen by: its validation score, and of equal scores the lower loss.

    A squared error has no bound, loss / (1 + loss) is below 1; NaN where either is not finite.
    """
    return score - TIE_BREAK * loss / (1 + loss)


def run_key(
    settings: TrainingSettings,
    dataset: Dataset,
    rows: Collator,
    validation: EvaluationSplit,
    model: PreTrainedModel,
    targets: str = "",
) -> str:
    """A hash of what a run depends on, `targets` saying which it reads: a checkpoint is resumed by the same run alone.

    Of the validation rows that is all by which the best epoch is chosen. Which other seeds are trained beside it makes no
    difference.
    """
    processes = os.environ.get("WORLD_SIZE", "1")
    digest = hashlib.sha256(f"{CHECKPOINT_VERSION} {processes} {settings.model_dump_json(exclude={'seeds'})}".encode())
    digest.update(str([part["fingerprint"] for part in dataset.splits.values()]).encode())
    answers = None if validation.examples is None else validation.examples["answers"].to_pylist()
    digest.update(str((dataset.metric, dataset.labels, dataset.unanswerable, answers)).encode())
    known = (rows.rows.groups, validation.rows.labels, validation.rows.groups, validation.expected)
    for part in (rows.chosen, rows.held, rows.rows.labels, *(part for part in known if part is not None)):
        digest.update(np.ascontiguousarray(part).data)
    digest.update(targets.encode())
    for parameter in model.parameters():
        digest.update(parameter.detach().flatten()[:64].cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def train(
    model: PreTrainedModel,
    rows: Collator,
    validation: EvaluationSplit,
    settings: TrainingSettings,
    objective: Objective,
    *,
    seed: int,
    metric: str,
    scratch: Path,
    title: str,
    keep: Literal["best", "last"] = "best",
) -> Trained:
    """Train in place, resuming from the checkpoints in `scratch` if an earlier run was interrupted; no other run may use it.

    What an ended run has made stays in `scratch`, for a stage that is killed before it has written that; the stage removes it.
    Of several processes each computes every n-th batch, and gradients are their mean; rank 0 validates and writes checkpoints.
    `seed` is that of shuffling and dropout. The model ends with the weights of the best epoch on the validation split; or if
    `keep` is "last", of the last, and nothing is validated.
    """
    if settings.epochs == 0:
        return Trained([], 0.0, None, 0.0)
    if (record := recall(scratch, model)) is not None:
        return Trained.of(record)
    _require_rows(rows, title)
    settings = _with_safe_precision(settings, model, title)
    validates = keep == "best"
    arguments = training_arguments(settings, len(rows), seed, scratch, validates=validates, hardest_of=rows.hardest_of)
    how: dict[str, Any] = {"args": arguments, "callbacks": _callbacks(settings, title, validates=validates)}
    trainer = DistillationTrainer(DistillationModel(model, objective), rows, validation, metric, **how)
    checkpoint = last_checkpoint(scratch)
    if checkpoint is not None and (ended := stopped_early(checkpoint, settings.patience)) is not None:
        arguments.num_train_epochs = ended
    _print_start(title, rows, checkpoint)
    trainer.started = time.perf_counter()
    with contextlib.closing(trainer):
        trainer.train(resume_from_checkpoint=checkpoint)
    return _ended(trainer, scratch, seed)


def _callbacks(settings: TrainingSettings, title: str, *, validates: bool) -> list[TrainerCallback]:
    """What tells of a run's epochs, and what ends it early."""
    callbacks: list[TrainerCallback] = [EpochProgress(title)]
    if settings.patience is not None and validates:
        callbacks.append(EarlyStoppingCallback(settings.patience, early_stopping_threshold=10 * TIE_BREAK))
    return callbacks


def _ended(trainer: "DistillationTrainer", scratch: Path, seed: int) -> Trained:
    """How a run went, which is kept in `scratch` with its model once all processes have ended it."""
    trainer.accelerator.wait_for_everyone()
    trained = trainer.trained()
    if is_main_process():
        remember(scratch, trainer.model.model, trained.record(seed))
    return trained


def _require_rows(rows: Collator, title: str) -> None:
    if len(rows) == 0:
        raise UserError(
            f"{title}: no training row has a label that weighs more than 0, and its loss reads labels alone; give rows of the "
            "training split labels; a student can do without: recipe: hinton, alpha: 0"
        )


def _print_start(title: str, rows: Collator, checkpoint: str | None) -> None:
    """Say where a run begins, and which rows it leaves out."""
    if not is_main_process():
        return
    if checkpoint is not None:
        print_progress(f"{title}: goes on from {Path(checkpoint).name}")
    if len(rows.chosen) < len(rows.rows):
        count = f"{len(rows.chosen):,} of {len(rows.rows):,} rows"
        print_progress(f"{title}: trains on {count}; its loss reads nothing of the others")


def _with_safe_precision(settings: TrainingSettings, model: PreTrainedModel, title: str) -> TrainingSettings:
    """The settings, with fp32 for a model that overflows under bf16 autocast."""
    if not uses_bf16(settings) or runs_in_bf16(model):
        return settings
    if is_main_process():
        print_progress(f"{title}: a '{model.config.model_type}' overflows under bf16 autocast; trains in fp32")
    return settings.model_copy(update={"precision": "fp32"})


class DistillationTrainer(SafeCheckpoints, ProgressiveTrainer):
    """A Trainer whose model is a `DistillationModel`, which returns the loss, and that logs the loss's terms.

    A thread gathers the batches of a step while the step before is computed, unless worker processes do. Close it after training.
    """

    control: Any
    prefetched: Prefetched | None = None

    def __init__(
        self, model: DistillationModel, rows: Collator, validation: EvaluationSplit, metric: str, **arguments: Any
    ) -> None:
        """Like transformers' Trainer, with a collator that holds the rows which it batches, and what is validated on."""
        ranges = {"train_dataset": range(len(rows)), "eval_dataset": range(len(validation.rows))}
        super().__init__(model=model, data_collator=rows, **ranges, **arguments)
        self.remove_callback(PrinterCallback)
        self.accelerator.rng_types = ["torch", "generator"]  # processes shuffle alike, whatever random numbers each has drawn
        self.validation, self.metric = validation, metric
        self.lengths = rows.lengths
        self.loss_is_scaled_for_ga = False
        self.sums: dict[str, Tensor] = {}
        self.batches = 0
        if model.objective.earlier_layers_lr_scale is not None:
            self.train_layer_by_layer(model.objective.earlier_layers_lr_scale, model.parts())

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """The batches of one optimizer step, which know what the others hold; those of the next are gathered meanwhile."""
        if self.args.dataloader_num_workers == 0:
            if self.prefetched is None or self.prefetched.items is not epoch_iterator:
                self.close()
                self.prefetched = Prefetched(epoch_iterator, ahead=num_batches)
            epoch_iterator = self.prefetched
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches and (one_of := self.data_collator.hardest_of) > 1:
            with self.accelerator.autocast():
                chosen = [hardest(self.model, batch, one_of) for batch in batches]
            batches = [self._prepare_inputs(self.data_collator(places)) for places in chosen]
        if batches:
            divisors = self.accelerator.reduce(mean_divisors(batches), "mean")
            batches = [{**batch, "divisors": divisors} for batch in batches]
        return batches, items

    def close(self) -> None:
        """End the thread that gathers batches."""
        if self.prefetched is not None:
            self.prefetched.close()

    def trained(self) -> Trained:
        """How it went."""
        log = self.state.log_history
        best = next((entry for entry in log if entry.get("eval_selection", math.nan) == self.state.best_metric), None)
        if best is None:
            best = {"epoch": float(self.state.epoch or 0), "eval_score": None}
        how = (best["epoch"], best["eval_score"], self.seconds)
        return Trained(_history(log), *how, rows=len(self.data_collator.chosen), steps=self.state.global_step)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any) -> Any:
        """The loss of a batch; its terms are added up for the log."""
        progress = self.state.global_step / self.state.max_steps
        loss, terms = model({**inputs, "current_layer": self.enter_stage(), "progress": progress})
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=loss.device)) + value
        self.batches += 1
        return loss

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """The `score` of the validation rows, by rank 0, and the `selection` by which the best epoch is chosen.

        Of epochs with equal scores, the one with the lower loss wins.
        """
        results: list[Any] = [None]
        if is_main_process():
            task = task_of(self.model.objective.task.name)
            with self.accelerator.autocast():
                kept = predict(self.model.model, task, self.validation.rows, "validate")
            kept = task.tuned(kept, task.tune(kept, self.validation))
            score = task.score(self.metric, task.judge(kept, self.validation))
            results = [{"score": score, "selection": selection(score, task.loss(kept, self.validation))}]
        metrics: dict[str, float] = broadcast_object_list(results)[0]
        if not math.isfinite(metrics["selection"]):
            raise self._diverged(metrics["selection"])
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Add the terms' means to what is logged."""
        if "loss" in logs and self.batches:
            if not math.isfinite(logs["loss"]):
                raise self._diverged(logs["loss"])
            means = self.accelerator.reduce(torch.stack(list(self.sums.values())) / self.batches, "mean")
            logs |= dict(zip(self.sums, means.tolist(), strict=True))
            self.sums, self.batches = {}, 0
        super().log(logs, start_time)

    def unlogged(self) -> dict[str, Any]:
        """The terms too."""
        return super().unlogged() | {"terms": {name: value.item() for name, value in self.sums.items()}, "batches": self.batches}

    def log_on(self, unlogged: dict[str, Any]) -> None:
        """The terms too."""
        super().log_on(unlogged)
        self.sums = {name: torch.tensor(value, device=self.args.device) for name, value in unlogged["terms"].items()}
        self.batches = unlogged["batches"]

    def _diverged(self, value: float) -> UserError:
        return UserError(f"the loss diverged before step {self.state.global_step}: {value}; lower learning_rate")

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return ShuffledLengthBatches(size, dataset=self.train_dataset, lengths=self.lengths.tolist())


def _history(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves: training losses and validation scores, without the clock."""
    kept = []
    for entry in log:
        if "loss" in entry:
            kept.append({key: value for key, value in entry.items() if key != "grad_norm"})
        elif "eval_score" in entry:
            kept.append({"step": entry["step"], "epoch": entry["epoch"], "score": entry["eval_score"]})
    return kept
