"""The metrics file of a teacher or a student, and the description of its predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.devices import best_device
from distill.data.averaging import labels_a_row
from distill.data.batching import pad_batch, pad_labels
from distill.data.dataset import Dataset, PreparedRows
from distill.evaluation.describe import detail_of
from distill.evaluation.details import Detail
from distill.evaluation.retention import over_seeds, retention, size
from distill.models.loading import load_for
from distill.models.predict import predict
from distill.store.output_names import LOGITS
from distill.store.readers import OutputReader
from distill.store.target_set import TargetStore
from distill.tasks.base import EvaluationSplit, Task
from distill.tasks.registry import task_of
from distill.tasks.token_classification import real

STORED_ROWS = 64
"""Rows read from the store at once: a vocabulary's logits are large."""


def measure_teacher(folder: Path, dataset: Dataset) -> tuple[dict[str, Any], Detail]:
    """A teacher's scores on the test split, and the description of its predictions."""
    model, tokenizer = load_for(folder, dataset)
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "test")
    kept = predict(model.to(best_device()), task, split.rows, f"evaluate {folder.name}")
    scores = {**_about(dataset, task.judge(kept, split)), **size(model, folder), **task.measures(kept, split)}
    scores |= _thresholds(model, dataset)
    return scores, detail_of(task, kept, split, tokenizer)


def measure_student(folder: Path, dataset: Dataset, store: TargetStore, seeds: Sequence[int]) -> tuple[dict[str, Any], Detail]:
    """A student's scores on the test split, means over its seeds, and its relation to the teacher, whose logits the store has.

    Where a given set has answers for some of the test rows alone, the relation and the retention are of these, counted as
    `retention_rows`; where for none, there are none. The description is of the predictions of the seed at the root of `folder`.
    """
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "test")
    teacher = TeacherAnswers.of(store, task, dataset, split)
    runs, judged, compared = {}, [], []
    detail, shipped = Detail(task.name), {}
    for seed, place in seed_folders(folder, seeds).items():
        model, tokenizer = load_for(place, dataset)
        kept = predict(model.to(best_device()), task, split.rows, f"evaluate {folder.name}")
        judged.append(task.judge(kept, split))
        both = None if teacher is None else teacher.rows_of(kept)
        relation = {} if both is None or teacher is None else task.relation(both, teacher.kept, teacher.split)
        runs[seed] = {**task.measures(kept, split), **relation}
        compared += [] if both is None or teacher is None else [task.judge(both, teacher.split)]
        sizes = size(model, place)
        if place == folder:
            detail = _detail(task, kept, split, tokenizer, teacher)
            shipped = {"shipped": runs[seed][dataset.metric]} if len(seeds) > 1 else {}
            shipped |= _thresholds(model, dataset)
    scores = {
        **_about(dataset, judged[0]),
        **sizes,
        **over_seeds(list(runs.values())),
        **_retained(task, dataset.metric, np.array(judged), np.array(compared), teacher),
        "seeds": {str(seed): values[dataset.metric] for seed, values in runs.items()},
        **shipped,
    }
    return scores, detail


@dataclass(frozen=True)
class TeacherAnswers:
    """What a store has of the teacher for a split."""

    split: EvaluationSplit
    """The rows that have answers."""
    kept: Array
    """What scoring needs of them, in the form of `predict`."""
    lines: Array | None
    """The places of these rows' vectors among those of all rows; None if these are all."""

    @classmethod
    def of(cls, store: TargetStore, task: Task, dataset: Dataset, split: EvaluationSplit) -> "TeacherAnswers | None":
        """Those of the test rows, as tuned on the validation rows that have answers; None if the set was given none of them."""
        found = cls.read(store, task, dataset, "test", split)
        if found is None or not task.tunes:
            return found
        validation = cls.read(store, task, dataset, "validation", EvaluationSplit.from_dataset(dataset, "validation"))
        config = {} if validation is None else task.tune(validation.kept, validation.split)
        return replace(found, kept=task.tuned(found.kept, config))

    @classmethod
    def read(cls, store: TargetStore, task: Task, dataset: Dataset, name: str, split: EvaluationSplit) -> "TeacherAnswers | None":
        """Those of the rows of `split`, all or some of the data set's split `name`, with whatever thresholds are usual."""
        if name not in store.manifest(LOGITS).splits:  # what a teacher computes has all of them
            return None
        store.require(dataset, [name])
        reader, per = store.output(LOGITS, name), store.manifest(LOGITS).per
        known = np.flatnonzero(reader.find(split.rows.ids) >= 0)
        lines = None
        if len(known) < len(split.rows):
            split, lines = split.part(known), split.rows.lines(known)
        return cls(split, stored(reader, task, split.rows, per), lines) if len(known) else None

    def rows_of(self, kept: Array) -> Array:
        """A student's predictions of all rows, for those that have answers."""
        return kept if self.lines is None else kept[self.lines]


def score_answers(store: TargetStore, dataset: Dataset) -> dict[str, dict[str, float]]:
    """By split the scores of a set's answers on the rows that have a label, as if a model had given them; thresholds are 0.5."""
    task, found = task_of(dataset.task), {}
    for name in store.manifest(LOGITS).splits:
        whole = EvaluationSplit.from_dataset(dataset, name)
        labelled = whole.part(np.flatnonzero(labels_a_row(whole.rows)))
        answers = TeacherAnswers.read(store, task, dataset, name, labelled) if len(labelled.rows) else None
        if answers is not None:
            found[name] = task.measures(answers.kept, answers.split)
    return found


def _detail(
    task: Task, kept: Array, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase, teacher: TeacherAnswers | None
) -> Detail:
    """The description of a student's predictions; agreement and examples are of the rows that have answers of the teacher."""
    if teacher is None or teacher.lines is None:
        return detail_of(task, kept, split, tokenizer, None if teacher is None else teacher.kept)
    seen = detail_of(task, teacher.rows_of(kept), teacher.split, tokenizer, teacher.kept)
    return replace(detail_of(task, kept, split, tokenizer), agreement=seen.agreement, examples=seen.examples)


def _retained(task: Task, metric: str, judged: Array, compared: Array, teacher: TeacherAnswers | None) -> dict[str, float]:
    """Intervals of the score over all rows, and the retention over those that have answers of the teacher."""
    if teacher is None:
        return retention(task, metric, judged, None)
    kept = retention(task, metric, compared, task.judge(teacher.kept, teacher.split))
    if teacher.lines is None:
        return kept
    kept = {name: value for name, value in kept.items() if name.startswith("retention")}
    return {**retention(task, metric, judged, None), **kept, "retention_rows": compared.shape[1]}


def stored(reader: OutputReader, task: Task, rows: PreparedRows, per: str) -> Array:
    """What scoring needs of the teacher's logits over all rows, from the store; in the form of `predict`.

    `per` is what the set has one vector of; a masked-lm set may have them of every token, of which the masked ones count.
    """
    places = reader.locate(rows.ids)
    parts = []
    for start in range(0, len(rows), STORED_ROWS):
        chosen = np.arange(start, min(start + STORED_ROWS, len(rows)))
        mask, labels = pad_batch(rows, chosen).get("attention_mask"), pad_labels(rows, chosen)
        vectors, wanted = reader.gather(places[chosen]), task.positions(labels, mask)
        if wanted is not None and per == "token":
            vectors = vectors[real(wanted, mask)]
        parts.append(task.kept(vectors, labels, mask).numpy())
    return np.concatenate(parts)


def seed_folders(folder: Path, seeds: Sequence[int]) -> dict[int, Path]:
    """Where each seed's model is: the best on validation at the root, the others under `seeds/`."""
    places = {seed: folder / "seeds" / str(seed) for seed in seeds}
    return {seed: place if place.exists() else folder for seed, place in places.items()}


def _thresholds(model: PreTrainedModel, dataset: Dataset) -> dict[str, Any]:
    """Of multi-label models the probability from which on each label applies."""
    thresholds = getattr(model.config, "thresholds", None)
    return {} if thresholds is None else {"thresholds": dict(zip(dataset.labels, thresholds, strict=True))}


def _about(dataset: Dataset, judged: Array) -> dict[str, Any]:
    """What is measured, and over how many rows or questions."""
    return {"task": dataset.task, "metric": dataset.metric, "rows": len(judged)}
