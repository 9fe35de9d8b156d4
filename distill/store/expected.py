"""Splits whose pairs of texts have no scores: how alike the teacher finds them, by the vectors that a store has."""

import numpy as np

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.store.output_names import LOGITS
from distill.store.target_set import TargetStore
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of
from distill.tasks.sentence_embedding import is_scored, is_searched


def split_with_expected(dataset: Dataset, store: TargetStore, name: str) -> EvaluationSplit:
    """A split, and of sentence embedding what its teacher says of its pairs, NaN where a given set lacks a text."""
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, name)
    if not dataset.spec.embeds or name not in store.manifest(LOGITS).splits:
        return split
    store.require(dataset, [name])
    vectors = store.output(LOGITS, name).spread(split.rows.ids).numpy()
    return task.expecting(split, task.judge(vectors, split))


def require_expected(dataset: Dataset, store: TargetStore, validation: EvaluationSplit) -> None:
    """Refuse validation texts of which the teacher says nothing: every epoch, and every seed, would be as good as another."""
    if not dataset.spec.embeds or is_scored(validation) or is_searched(validation):
        return
    if validation.expected is None or np.isfinite(validation.expected).sum() < 2:
        raise UserError(
            f"{store.folder}: has vectors of too few validation texts to tell the best epoch by; give those of more of them"
        )
