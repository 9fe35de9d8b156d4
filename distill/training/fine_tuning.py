"""Fine-tuning a teacher on the labels: what every teacher, with or without further ones, has in common."""

from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, set_seed

from distill.core.arrays import Array
from distill.core.locations import checkpoint_place
from distill.data.batching import Collator
from distill.data.dataset import Dataset
from distill.data.tokenizers import load_tokenizer
from distill.models.fit import require_tokenizer
from distill.models.loading import load_model
from distill.models.probing import require_trainable
from distill.params.training import TeacherSettings
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from distill.training.objective import supervised
from distill.training.trained import Trained
from distill.training.trainer import run_key, train


class FineTuning:
    """One run: a checkpoint with the task's head, and the rows that it learns from."""

    def __init__(
        self, dataset: Dataset, settings: TeacherSettings, title: str, scratch: Path, held_out: Array | None = None
    ) -> None:
        """Load the checkpoint; the labels of `held_out` rows, (rows,) bool, are not learnt from. `title` names the run.

        What a run leaves behind is in `scratch`, by all that it depends on.
        """
        self.dataset, self.settings, self.title, self.scratch = dataset, settings, title, scratch
        checkpoint = settings.checkpoint
        self.place = checkpoint_place(checkpoint.hub, checkpoint.path, checkpoint.package)
        require_tokenizer(load_tokenizer(self.place, checkpoint.revision), dataset, str(self.place))
        set_seed(settings.seed)
        task = task_of(dataset.task)
        how: dict[str, Any] = {"revision": checkpoint.revision, "pooling": settings.pooling}
        self.model = load_model(self.place, task, dataset.labels, new_head=settings.epochs > 0, **how)
        require_trainable(self.model, dataset, str(self.place))
        rows = dataset.rows("train")
        if held_out is not None:
            rows = rows.without_labels(np.repeat(held_out, rows.lengths) if rows.labels_per_token else held_out)
        self.rows = Collator(rows, labelled_only=True)
        self.validation = EvaluationSplit.from_dataset(dataset, "validation")
        self.key = run_key(settings, dataset, self.rows, self.validation, self.model)

    def run(self) -> tuple[PreTrainedModel, Trained]:
        """Train; a killed run goes on from its last epoch, and one that has ended is not trained again."""
        trained = train(
            self.model,
            self.rows,
            self.validation,
            self.settings,
            supervised(task_of(self.dataset.task)),
            seed=self.settings.seed,
            metric=self.dataset.metric,
            scratch=self.scratch / self.key,
            title=self.title,
        )
        return self.model, trained
