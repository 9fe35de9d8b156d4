"""The trainer of teachers and students: transformers' Trainer, a batch that carries targets, and an objective."""

import contextlib
import hashlib
import inspect
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from distill.arguments import require_one_process, training_arguments
from distill.attention import capture_attention
from distill.batches import Collator, RowNumbers
from distill.checkpointing import SafeCheckpoints, last_checkpoint
from distill.console import say
from distill.errors import UserError
from distill.evaluation import predict
from distill.models import only_positions
from distill.objectives import Objective
from distill.params.training import TrainingSettings
from distill.prefetching import PrefetchingTrainer
from distill.prepared import Dataset
from distill.progressive import ProgressiveTrainer
from distill.tasks.base import Gold, Task
from distill.tasks.catalogue import task_of

Array = np.ndarray[Any, np.dtype[Any]]
TIE_BREAK = 1e-7
"""How much the validation loss weighs against the score: ties are common on small validation splits."""
TRAINED_ALONG = "trained_along"
"""The name under which an objective's own module hangs in the model while it is trained."""


@dataclass(frozen=True)
class Trained:
    """How a training run went."""

    history: list[dict[str, Any]]
    """What was logged: `step`, `epoch`, `loss`, the terms; and a validation `score` an epoch."""
    best_epoch: float
    best_score: float
    seconds: float

    @property
    def last_loss(self) -> float:
        """The training loss that was logged last; 0 if none was."""
        return next((float(entry["loss"]) for entry in reversed(self.history) if "loss" in entry), 0.0)

    def record(self, seed: int) -> dict[str, Any]:
        """What data/runs/ keeps of it: JSON."""
        return {"seed": seed, **asdict(self)}


def run_key(settings: TrainingSettings, dataset: Dataset, model: PreTrainedModel, targets: str = "") -> str:
    """A hash of what a run depends on, `targets` saying which it reads: a checkpoint is resumed by the same run alone."""
    digest = hashlib.sha256(settings.model_dump_json().encode())
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
        keep: The epoch that the model ends as: that of the best validation score, or the last.

    Raises:
        UserError: the loss diverges, or several processes have been started.
    """
    require_one_process()
    if settings.epochs == 0:
        return Trained([], 0.0, 0.0, 0.0)
    with _hung(model, objective.trained):
        trainer: DistillationTrainer = DistillationTrainer(
            objective,
            rows,
            Examiner(validation, metric, latest=keep == "last"),
            model=model,
            args=training_arguments(settings, len(rows.rows), seed, scratch),
            callbacks=[EpochLines(title)],
        )
        if settings.patience is not None:
            trainer.add_callback(EarlyStoppingCallback(settings.patience, early_stopping_threshold=10 * TIE_BREAK))
        checkpoint = last_checkpoint(scratch)
        if checkpoint is not None:
            say(f"{title}: goes on from {Path(checkpoint).name}")
        trainer.started = time.perf_counter()
        with contextlib.closing(trainer):
            trainer.train(resume_from_checkpoint=checkpoint)
    state = trainer.state
    best = next(entry for entry in state.log_history if entry.get("eval_selection") == state.best_metric)
    shutil.rmtree(scratch, ignore_errors=True)
    return Trained(_history(state.log_history), best["epoch"], best["eval_score"], trainer.seconds)


class DistillationTrainer(PrefetchingTrainer, SafeCheckpoints, ProgressiveTrainer):
    """A Trainer that takes its loss from an objective and logs the objective's terms."""

    control: Any

    def __init__(self, objective: Objective, rows: Collator, examiner: "Examiner", **arguments: Any) -> None:
        """Like transformers' Trainer, with an objective, a collator that holds the rows which it batches, and an examiner."""
        size = len(rows.rows)
        super().__init__(
            data_collator=rows, train_dataset=RowNumbers(size), eval_dataset=RowNumbers(len(examiner.gold.rows)), **arguments
        )
        self.remove_callback(PrinterCallback)
        self.objective, self.examiner = objective, examiner
        self.lengths = rows.rows.lengths
        self.loss_is_scaled_for_ga = False
        accepted = inspect.signature(self.model.forward).parameters
        self.inputs = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in accepted]
        self.sums: dict[str, Tensor] = {}
        self.batches = 0
        if objective.earlier_share is not None:
            self.progress(objective.earlier_share, TRAINED_ALONG)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective of a batch, and its terms noted for the log."""
        turn = self.take_turn()
        where = self.objective.task.positions(inputs["labels"], inputs.get("attention_mask"))
        with (
            capture_attention(self.model, self.objective.reads_attention, values=True) as attention,
            only_positions(self.model, where),
        ):
            outputs = model(
                **{name: inputs[name] for name in self.inputs if name in inputs},
                output_hidden_states=self.objective.reads_hidden,
            )
        loss, terms = self.objective(outputs, {**inputs, "turn": turn}, attention)
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, torch.zeros((), device=loss.device)) + value.detach()
        self.batches += 1
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Score the validation rows.

        Raises:
            UserError: the validation loss is NaN or infinite.
        """
        metrics = self.examiner.examine(self.model, task_of(self.objective.task.name), float(self.state.epoch or 0))
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
            logs |= {name: (value / self.batches).item() for name, value in self.sums.items()}
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
    latest: bool
    """Whether the last epoch is the best, whatever its score."""

    def examine(self, model: PreTrainedModel, task: Task, epoch: float) -> dict[str, float]:
        """The validation `score`, and the `selection` by which an epoch is kept: of equal scores the lower loss wins."""
        kept = predict(model, task, self.gold.rows, "validate")
        score = task.score(self.metric, task.judge(kept, self.gold))
        return {"score": score, "selection": epoch if self.latest else score - TIE_BREAK * task.loss(kept, self.gold)}


class EpochLines(TrainerCallback):
    """A plain line an epoch."""

    def __init__(self, title: str) -> None:
        """`title` begins each line."""
        self.title = title
        self.loss = float("nan")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Remember the training loss; print when the validation score is known."""
        logs = logs or {}
        self.loss = logs.get("loss", self.loss)
        if "eval_score" in logs and state.is_world_process_zero:
            say(
                f"{self.title}: epoch {state.epoch:.0f} of {state.num_train_epochs}: "
                f"loss {self.loss:.4f}, validation score {logs['eval_score']:.4f}"
            )


def _history(log: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The curves: training losses and validation scores, without the clock."""
    kept = []
    for entry in log:
        if "loss" in entry:
            kept.append({key: value for key, value in entry.items() if key != "grad_norm"})
        elif "eval_score" in entry:
            kept.append({"step": entry["step"], "epoch": entry["epoch"], "score": entry["eval_score"]})
    return kept


@contextlib.contextmanager
def _hung(model: nn.Module, module: nn.Module | None) -> Iterator[None]:
    """Make a module a part of the model: thus it has its share of optimizer, gradient norm, device and checkpoints."""
    if module is None:
        yield
        return
    model.add_module(TRAINED_ALONG, module)
    try:
        yield
    finally:
        delattr(model, TRAINED_ALONG)
