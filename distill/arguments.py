"""What transformers' Trainer is told."""

import math
import os
import sys
from pathlib import Path

import torch
from transformers import TrainingArguments

from distill.devices import bf16_helps
from distill.errors import UserError
from distill.params.training import TrainingSettings

LOG_POINTS = 50
"""About how many points a training curve has."""


def require_one_process() -> None:
    """Refuse `torchrun` and `accelerate launch` with several processes: projections and heads are trained beside the model.

    Raises:
        UserError: the number of processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1:
        raise UserError(
            f"WORLD_SIZE is {size}: teachers and students are trained by one process; start it without torchrun. "
            "Several train side by side with `dvc exp run --queue`; the targets stage takes any number of processes"
        )


def training_arguments(settings: TrainingSettings, rows: int, seed: int, scratch: Path) -> TrainingArguments:
    """The settings of a run over so many rows; checkpoints go to `scratch`. A machine's further GPUs are left alone."""
    steps = math.ceil(rows / settings.batch_size / settings.gradient_accumulation) * settings.epochs
    on_cuda = torch.cuda.is_available()
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and bf16_helps())
    arguments = TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        use_cpu=not on_cuda,
        bf16=bf16,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="selection",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=max(1, steps // LOG_POINTS),
        logging_nan_inf_filter=False,
        train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
        seed=seed,
        data_seed=seed,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=on_cuda,
        dataloader_num_workers=settings.workers,
        disable_tqdm=not sys.stderr.isatty(),
        report_to="none",
    )
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
