"""Splits whose pairs of texts have no scores: how alike the teacher finds them, by the vectors that a store has."""

from distill.data.dataset import Dataset
from distill.store.output_names import LOGITS
from distill.store.target_set import TargetStore
from distill.tasks.base import EvaluationSplit
from distill.tasks.registry import task_of


def split_with_expected(dataset: Dataset, store: TargetStore, name: str) -> EvaluationSplit:
    """A split, and of sentence embedding what its teacher says of its pairs, NaN where a given set lacks a text."""
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, name)
    if not dataset.spec.embeds or name not in store.manifest(LOGITS).splits:
        return split
    store.require(dataset, [name])
    vectors = store.output(LOGITS, name).spread(split.rows.ids).numpy()
    return task.expecting(split, task.judge(vectors, split))
