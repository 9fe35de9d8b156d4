"""The metrics file of a teacher or a student, and what else is told of its predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.detail.form import Detail
from distill.detail.whole import detail_of
from distill.devices import best_device
from distill.evaluation import over_seeds, predict, retention, size
from distill.models import load_for
from distill.padding import pad_batch, pad_labels
from distill.prepared import Dataset, PreparedRows
from distill.targets.gather import OutputReader
from distill.targets.reader import TargetStore
from distill.targets.schema import LOGITS
from distill.tasks.base import Gold, Task
from distill.tasks.catalogue import task_of
from distill.tasks.token import real

Array = np.ndarray[Any, np.dtype[Any]]
STORED_ROWS = 64
"""Rows read from the store at once: a vocabulary's logits are large."""


def measure_teacher(folder: Path, dataset: Dataset) -> tuple[dict[str, Any], Detail]:
    """A teacher's scores on the test split, and what is told of its predictions.

    Raises:
        UserError: the model does not fit the data set.
    """
    model, tokenizer = load_for(folder, dataset)
    task, gold = task_of(dataset.task), Gold.of(dataset, "test")
    kept = predict(model.to(best_device()), task, gold.rows, f"evaluate {folder.name}")
    scores = {**_about(dataset, task.judge(kept, gold)), **size(model, folder), **task.measures(kept, gold)}
    return scores, detail_of(task.name, kept, gold, tokenizer)


def measure_student(folder: Path, dataset: Dataset, store: TargetStore, seeds: Sequence[int]) -> tuple[dict[str, Any], Detail]:
    """A student's scores on the test split, means over its seeds, and its relation to the teacher, whose logits the store has.

    And what is told of the predictions of the seed at the root of `folder`.

    Raises:
        UserError: the student or the store does not fit the data set.
    """
    store.require(dataset, ["test"])
    task, gold = task_of(dataset.task), Gold.of(dataset, "test")
    teacher = stored(store.output(LOGITS, "test"), task, gold.rows, store.manifest(LOGITS).per)
    runs, judged = {}, []
    detail, shipped = Detail(task.name), {}
    for seed, place in seed_folders(folder, seeds).items():
        model, tokenizer = load_for(place, dataset)
        kept = predict(model.to(best_device()), task, gold.rows, f"evaluate {folder.name}")
        judged.append(task.judge(kept, gold))
        runs[seed] = {**task.measures(kept, gold), **task.relation(kept, teacher, gold)}
        sizes = size(model, place)
        if place == folder:
            detail = detail_of(task.name, kept, gold, tokenizer, teacher)
            shipped = {"shipped": runs[seed][dataset.metric]} if len(seeds) > 1 else {}
    scores = {
        **_about(dataset, judged[0]),
        **sizes,
        **over_seeds(list(runs.values())),
        **retention(task, dataset.metric, np.array(judged), task.judge(teacher, gold)),
        "seeds": {str(seed): values[dataset.metric] for seed, values in runs.items()},
        **shipped,
    }
    return scores, detail


def stored(reader: OutputReader, task: Task, rows: PreparedRows, per: str) -> Array:
    """What scoring needs of the teacher's logits over all rows, from the store; in the form of `predict`.

    Args:
        reader: Of the logits.
        task: What is scored.
        rows: In whose order.
        per: What the set has one vector of; a masked-lm set may have them of every token, of which the masked ones count.

    Raises:
        UserError: the store lacks a row.
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


def _about(dataset: Dataset, judged: Array) -> dict[str, Any]:
    """What is measured, and over how many rows or questions."""
    return {"task": dataset.task, "metric": dataset.metric, "rows": len(judged)}
