"""`teachers` of params.yaml, and what every training run can be told."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from distill.core.settings import Checkpoint, Positive, Rate, Seed
from distill.core.validation import Strict


class TrainingSettings(Strict):
    """Everything that transformers' Trainer is told. The best epoch on the validation split is kept."""

    epochs: Annotated[int, Field(ge=0)] = 3
    """0 trains nothing."""
    batch_size: Positive = 32
    """Rows a step and process, before `gradient_accumulation`; of ranking whole groups, the passages of so many queries."""
    gradient_accumulation: Positive = 1
    """Batches of one optimizer step, which has the gradient of one large batch; but for `similarity_kl`, which compares the
    rows of a batch with each other."""
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
    """`auto` is bf16 autocast where it is faster: GPUs from Ampere on, CPUs with AMX, AMD's with AVX512-BF16."""
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
    seed: Seed = 1
    """Of a new head, the order of rows, and dropout."""
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    """Fine-tune so many further teachers, each without one fold of the labelled training rows: the soft target of a labelled row
    is that of the one that has not seen it, of other rows the mean of all. Hidden states, exports and `init` are this teacher's.
    """
    seeds: tuple[Seed, ...] = ()
    """Fine-tune a further teacher with each of these seeds: soft targets are the mean of theirs and this one's logits."""
    pooling: Literal["mean", "cls", "last"] | None = None
    """Sentence embedding: what makes a vector of the tokens' states, where the checkpoint is no folder of sentence-transformers,
    which says so itself. Not given: their mean. Vectors then have length 1."""

    @model_validator(mode="after")
    def _further_teachers(self) -> "TeacherSettings":
        if self.folds is not None and self.seeds:
            raise ValueError("expected one of: folds, seeds")
        if len({self.seed, *self.seeds}) <= len(self.seeds):
            raise ValueError(f"seeds: expected each seed once, and not that of the teacher itself ({self.seed})")
        for key, asked in (("folds", self.folds), ("seeds", self.seeds)):
            if asked and self.epochs == 0:
                raise ValueError(f"{key}: with epochs: 0 nothing is fine-tuned; give epochs ≥ 1, or remove {key}")
        return self
