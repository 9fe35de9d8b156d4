"""The metrics file of a teacher or a student, and the description of its predictions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.core.devices import best_device
from distill.data.batching import pad_batch, pad_labels
from distill.data.dataset import Dataset, PreparedRows
from distill.evaluation.describe import detail_of
from distill.evaluation.details import Detail
from distill.evaluation.retention import over_seeds, retention, size
from distill.evaluation.selective import answered, coverage
from distill.models.loading import load_for
from distill.models.predict import predict
from distill.store.output_names import LOGITS
from distill.store.readers import OutputReader
from distill.store.target_set import TargetStore
from distill.tasks.base import EvaluationSplit, Task
from distill.tasks.cascade import cascade
from distill.tasks.judged import TEACHER, Judged
from distill.tasks.registry import task_of
from distill.tasks.token_classification import real

STORED_ROWS = 64
"""Rows read from the store at once: a vocabulary's logits are large."""


Kept = dict[tuple[str, str], Judged]
"""By split and model what is judged: distill/tasks/judged.py."""


def measure_teacher(folder: Path, dataset: Dataset) -> tuple[dict[str, Any], Detail]:
    """A teacher's scores on the test split, and the description of its predictions."""
    model, tokenizer = load_for(folder, dataset)
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "test")
    kept = predict(model.to(best_device()), task, split.rows, f"evaluate {folder.name}")
    scores = {**_about(dataset, task.judge(kept, split)), **size(model, folder), **task.measures(kept, split)}
    scores |= _fitted(model, dataset)
    return scores, detail_of(task, kept, split, tokenizer)


def measure_student(
    folder: Path, dataset: Dataset, store: TargetStore, seeds: Sequence[int]
) -> tuple[dict[str, Any], Detail, Kept]:
    """A student's scores on the test split, means over its seeds, and its relation to the teacher, whose logits the store has.

    The description is of the predictions of the seed at the root of `folder`. What is judged is of the test rows by each seed and
    the teacher, and of the validation rows by the former and the teacher, named TEACHER.
    """
    store.require(dataset, ["validation", "test"])
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "test")
    validation = EvaluationSplit.from_dataset(dataset, "validation")
    teacher, on_validation = stored_as_tuned(store, task, split, validation)
    kept_rows: Kept = {("validation", TEACHER): task.judged(on_validation, validation)}
    kept_rows["test", TEACHER] = task.judged(teacher, split)
    runs = {}
    detail, shipped = Detail(task.name), {}
    for seed, place in seed_folders(folder, seeds).items():
        model, tokenizer = load_for(place, dataset)
        kept = predict(model.to(best_device()), task, split.rows, f"evaluate {folder.name}")
        own = kept_rows["test", str(seed)] = task.judged(kept, split)
        runs[seed] = {**task.measures(kept, split), **task.relation(kept, teacher, split)}
        if hasattr(model.config, "calibration_temperature"):
            runs[seed]["calibration_error_before"] = task.calibration_error(kept * model.config.calibration_temperature, split)
        sizes = size(model, place)
        if place == folder:
            before = task.judged(predict(model, task, validation.rows, f"validate {folder.name}"), validation)
            kept_rows["validation", str(seed)] = before
            detail = detail_of(task, kept, split, tokenizer, teacher)
            detail = replace(detail, coverage=coverage(own), answered=answered(before, own))
            shipped = {"shipped": runs[seed][dataset.metric]} if len(seeds) > 1 else {}
            shipped |= _fitted(model, dataset) | _cascade(dataset, kept_rows, str(seed))
    judged = np.array([kept_rows["test", str(seed)].rows for seed in runs])
    scores = {
        **_about(dataset, kept_rows["test", TEACHER].rows),
        **sizes,
        **over_seeds(list(runs.values())),
        **retention(task, dataset.metric, judged, kept_rows["test", TEACHER].rows),
        "seeds": {str(seed): values[dataset.metric] for seed, values in runs.items()},
        **shipped,
    }
    return scores, detail, kept_rows


def stored_as_tuned(store: TargetStore, task: Task, test: EvaluationSplit, validation: EvaluationSplit) -> tuple[Array, Array]:
    """What scoring needs of the teacher's logits, which the store has, as tuned on validation: of test and validation rows."""
    per = store.manifest(LOGITS).per
    kept = stored(store.output(LOGITS, "test"), task, test.rows, per)
    before = stored(store.output(LOGITS, "validation"), task, validation.rows, per)
    fitted = task.tune(before, validation)
    return task.tuned(kept, fitted), task.tuned(before, fitted)


def _cascade(dataset: Dataset, kept: Kept, seed: str) -> dict[str, Any]:
    """The shipped seed with its teacher behind it."""
    splits = ("validation", "test")
    student, teacher = ({split: kept[split, model] for split in splits} for model in (seed, TEACHER))
    found = cascade(dataset.task, dataset.metric, student, teacher)
    return {"cascade": found} if found else {}


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


def _fitted(model: PreTrainedModel, dataset: Dataset) -> dict[str, Any]:
    """What was fitted on validation: the temperature, and of multi-label models from which probability each label applies."""
    thresholds, temperature = (getattr(model.config, name, None) for name in ("thresholds", "calibration_temperature"))
    found: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    return found if thresholds is None else {**found, "thresholds": dict(zip(dataset.labels, thresholds, strict=True))}


def _about(dataset: Dataset, judged: Array) -> dict[str, Any]:
    """What is measured, and over how many rows or questions."""
    return {"task": dataset.task, "metric": dataset.metric, "rows": len(judged)}
