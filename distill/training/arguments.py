"""The arguments of transformers' Trainer."""

import math
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from distill.core.console import quiet
from distill.core.devices import has_fast_bf16
from distill.params.training import TrainingSettings

LOG_POINTS = 50
"""About how many points a training curve has."""

LONGEST_WAIT = timedelta(days=7)
"""How long processes wait for the first, which validates alone; one that fails ends them all at once."""


def uses_bf16(settings: TrainingSettings) -> bool:
    """Whether a run is to compute in bf16 autocast here."""
    return settings.precision == "bf16" or (settings.precision == "auto" and has_fast_bf16())


SAME_FOR_ALL: dict[str, Any] = {
    "greater_is_better": True,
    "label_names": ["labels"],
    "logging_nan_inf_filter": False,
    "metric_for_best_model": "selection",
    "remove_unused_columns": False,
    "report_to": "none",
    "restore_callback_states_from_checkpoint": True,
    "save_strategy": "epoch",
    "save_total_limit": 2,
}
"""Settings of transformers that no run changes: batches keep targets, and an epoch's end is where a run goes on from."""


def training_arguments(
    settings: TrainingSettings, rows: int, seed: int, scratch: Path, *, validates: bool, hardest_of: int = 1
) -> TrainingArguments:
    """The settings of a run over so many rows; checkpoints go to `scratch`. Each process has one GPU.

    A batch that is looked at has `hardest_of` times the rows of one that is learnt from.
    """
    batch_size = settings.batch_size * hardest_of
    a_step = batch_size * settings.gradient_accumulation * int(os.environ.get("WORLD_SIZE", "1"))
    steps = math.ceil(rows / a_step) * settings.epochs
    on_cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        warmup_steps=settings.warmup if settings.warmup * steps >= 1 else 0,  # it is rounded up: one step of one is of rate 0
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        use_cpu=not on_cuda,
        bf16=uses_bf16(settings),
        eval_strategy="epoch" if validates else "no",
        load_best_model_at_end=validates,
        logging_steps=max(1, steps // LOG_POINTS),
        train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
        seed=seed,
        data_seed=seed,
        dataloader_pin_memory=on_cuda,
        dataloader_num_workers=settings.workers,
        ddp_timeout=int(LONGEST_WAIT.total_seconds()),
        disable_tqdm=quiet() or not sys.stderr.isatty(),
        **SAME_FOR_ALL,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
