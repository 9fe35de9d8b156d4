"""`teachers` of params.yaml, and what every training run can be told."""

from typing import Annotated, Literal

from pydantic import Field

from distill.core.settings import Checkpoint, Positive, Rate, Strict


class TrainingSettings(Strict):
    """Everything that transformers' Trainer is told. The best epoch on the validation split is kept."""

    epochs: Annotated[int, Field(ge=0)] = 3
    """0 trains nothing."""
    batch_size: Positive = 32
    """Rows a step and process, before `gradient_accumulation`."""
    gradient_accumulation: Positive = 1
    """Batches of one optimizer step, which has the gradient of one large batch."""
    learning_rate: Rate = 5e-5
    """The highest, after `warmup`."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate goes on after `warmup`: `linear` and `cosine` fall to 0."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """The fraction of all steps over which the learning rate rises to its value."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Rate = 1.0
    """Longer gradients are shortened to this norm."""
    patience: Positive | None = None
    """Stop after this many epochs without a better validation score."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto` is bf16 autocast where the hardware multiplies bf16: GPUs from Ampere on, CPUs with AVX512-BF16 or AMX."""
    group_by_length: bool = True
    """Batch rows of like length, so that little is padded."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that gather batches. At 0 a thread gathers the next ones while a step computes, which hides most of the cost."""


class TeacherSettings(TrainingSettings):
    """One teacher. `epochs: 0` keeps a checkpoint that has been fine-tuned already as it is."""

    dataset: str
    """What it is trained on: an entry of `datasets`, or of `augmentations`."""
    checkpoint: Checkpoint
    """What it starts from."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of a new head, the order of rows, and dropout."""
