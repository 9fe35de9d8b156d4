"""The metrics file of a teacher or a student, and the description of its predictions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill.core.arrays import Array
from distill.core.devices import best_device
from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.evaluation.continuations import continuations
from distill.evaluation.describe import detail_of
from distill.evaluation.details import Detail
from distill.evaluation.retention import over_seeds, retention, size
from distill.evaluation.selective import answered, coverage
from distill.evaluation.teacher_answers import TeacherAnswers, kl_from_teacher
from distill.models.config_keys import CALIBRATION_TEMPERATURE, THRESHOLDS
from distill.models.loading import load_for
from distill.models.predict import predict
from distill.store.expected import split_with_expected
from distill.store.target_set import TargetStore
from distill.tasks.base import EvaluationSplit, Task
from distill.tasks.cascade import cascade
from distill.tasks.judged import TEACHER, Judged
from distill.tasks.registry import task_of
from distill.tasks.sentence_embedding import is_scored

Kept = dict[tuple[str, str], Judged]
"""By split and model what is judged: distill/tasks/judged.py."""
Measured = tuple[dict[str, Any], Detail, Kept]
"""Metrics, the description of the predictions, and what is judged."""


def measure_teacher(folder: Path, dataset: Dataset) -> tuple[dict[str, Any], Detail]:
    """A teacher's scores on the test split, and the description of its predictions."""
    model, tokenizer = load_for(folder, dataset)
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "test")
    kept = predict(model.to(best_device()), task, split.rows, f"evaluate {folder.name}")
    scores = {**_about(dataset, task.judge(kept, split)), **size(model, folder), **task.measures(kept, split)}
    scores |= _fitted(model, dataset)
    return scores, replace(detail_of(task, kept, split, tokenizer), **_continued(task, model, tokenizer, split, dataset))


def measure_student(folder: Path, dataset: Dataset, store: TargetStore, seeds: Sequence[int]) -> Measured:
    """A student's scores on the test split, means over its seeds, and its relation to the teacher, whose logits the store has.

    Where a given set has answers for some of the test rows alone, the relation and the retention are of these, counted as
    `retention_rows`; where for none, there are none. `further` says that these answers are a mean. The relation is that before
    calibration. The description is of the seed at the root of `folder`. Judged are test rows by each seed, validation rows by
    that one, and splits all of whose rows have the teacher's answers by it, named TEACHER.
    """
    task = task_of(dataset.task)
    split, validation = (split_with_expected(dataset, store, name) for name in ("test", "validation"))
    teacher, before = TeacherAnswers.of(store, task, dataset, split, validation)
    _require_measured(dataset, store, teacher, split)
    judged = _judged_teacher(task, before, teacher)
    runs, compared, shipped, detail = {}, [], {}, Detail(task.name)
    for seed, place in seed_folders(folder, seeds).items():
        model, tokenizer = load_for(place, dataset)
        kept = predict(model.to(best_device()), task, split.rows, f"evaluate {folder.name}")
        own = judged["test", str(seed)] = task.judged(kept, split)
        runs[seed] = {**task.measures(kept, split), **_uncalibrated(task, model, kept, split)}
        if teacher is not None:
            runs[seed] |= _relation(task, model, kept, teacher, store, split)
            compared.append(task.judge(teacher.rows_of(kept), teacher.split))
        sizes = size(model, place)
        if place == folder:
            outputs = predict(model, task, validation.rows, f"validate {folder.name}")
            sure = judged["validation", str(seed)] = task.judged(outputs, validation)
            detail = replace(_detail(task, kept, split, tokenizer, teacher), coverage=coverage(own), answered=answered(sure, own))
            detail = replace(detail, **_continued(task, model, tokenizer, split, dataset))
            shipped = {"shipped": runs[seed][dataset.metric]} if len(seeds) > 1 else {}
            shipped |= _fitted(model, dataset) | _cascade(dataset, judged, str(seed))
    rows = np.array([judged["test", str(seed)].rows for seed in runs])
    scores = {
        **_about(dataset, rows[0]) | sizes,
        **over_seeds(list(runs.values())),
        **_retained(task, dataset.metric, rows, np.array(compared), teacher),
        **_further(store),
        "seeds": {str(seed): values[dataset.metric] for seed, values in runs.items()},
        **shipped,
    }
    return scores, detail, judged


def _relation(
    task: Task, model: Any, kept: Array, teacher: TeacherAnswers, store: TargetStore, split: EvaluationSplit
) -> dict[str, float]:
    """How near a student is to its teacher: by logits before calibration; of a decoder, by all of the vocabulary."""
    found = task.relation(teacher.rows_of(kept) * _temperature(model), teacher.kept, teacher.split)
    if task.spec.vocabulary:
        found["kl_from_teacher"] = kl_from_teacher(model, task, store, "test", split.rows)
    return found


def _require_measured(dataset: Dataset, store: TargetStore, teacher: TeacherAnswers | None, split: EvaluationSplit) -> None:
    if dataset.spec.embeds and teacher is None and not is_scored(split):
        raise UserError(f"{store.folder}: has no vectors of test rows, and their pairs have no scores; give one of the two")


def _judged_teacher(task: Task, validation: TeacherAnswers | None, test: TeacherAnswers | None) -> Kept:
    """What is judged of the teacher, in the splits all of whose rows have its answers."""
    splits = (("validation", validation), ("test", test))
    return {
        (name, TEACHER): task.judged(answers.kept, answers.split)
        for name, answers in splits
        if answers is not None and answers.lines is None
    }


def _uncalibrated(task: Task, model: PreTrainedModel, kept: Array, split: EvaluationSplit) -> dict[str, float]:
    """The calibration error without the model's temperature, if it has one."""
    if not hasattr(model.config, CALIBRATION_TEMPERATURE):
        return {}
    return {"calibration_error_before": task.calibration_error(kept * _temperature(model), split)}


def _temperature(model: PreTrainedModel) -> float:
    """What brings a calibrated model's logits back to those that it learnt from its teacher, who is not calibrated."""
    return float(getattr(model.config, CALIBRATION_TEMPERATURE, 1.0))


def _detail(
    task: Task, kept: Array, split: EvaluationSplit, tokenizer: PreTrainedTokenizerBase, teacher: TeacherAnswers | None
) -> Detail:
    """The description of a student's predictions; agreement and examples are of the rows that have answers of the teacher."""
    if teacher is None or teacher.lines is None:
        return detail_of(task, kept, split, tokenizer, None if teacher is None else teacher.kept)
    seen = detail_of(task, teacher.rows_of(kept), teacher.split, tokenizer, teacher.kept)
    return replace(detail_of(task, kept, split, tokenizer), agreement=seen.agreement, examples=seen.examples)


def _continued(
    task: Task, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, split: EvaluationSplit, dataset: Dataset
) -> dict[str, Any]:
    """How a decoder goes on with test rows."""
    return {"continuations": continuations(model, tokenizer, split, dataset.max_length)} if task.spec.causal else {}


def _retained(task: Task, metric: str, judged: Array, compared: Array, teacher: TeacherAnswers | None) -> dict[str, float]:
    """Intervals of the score over all rows, and the retention over those that have answers of the teacher."""
    if teacher is None:
        return retention(task, metric, judged, None)
    kept = retention(task, metric, compared, task.judge(teacher.kept, teacher.split))
    if teacher.lines is None:
        return kept
    kept = {name: value for name, value in kept.items() if name.startswith(("retention", "teacher"))}
    return {**retention(task, metric, judged, None), **kept, "retention_rows": compared.shape[1]}


def _further(store: TargetStore) -> dict[str, str]:
    """Why the teacher's answers are the mean of several models, of which none alone scores so: `folds` or `seeds`."""
    prints = [manifest.fingerprints for manifest in store.manifests.values()]
    kind = next((kind for kind in ("folds", "seeds") if any(getattr(each, kind) for each in prints)), None)
    return {} if kind is None else {"further": kind}


def _cascade(dataset: Dataset, kept: Kept, seed: str) -> dict[str, Any]:
    """The shipped seed with its teacher behind it."""
    splits = ("validation", "test")
    if any((split, TEACHER) not in kept for split in splits):
        return {}
    student, teacher = ({split: kept[split, model] for split in splits} for model in (seed, TEACHER))
    found = cascade(dataset.task, dataset.metric, student, teacher)
    return {"cascade": found} if found else {}


def seed_folders(folder: Path, seeds: Sequence[int]) -> dict[int, Path]:
    """Where each seed's model is: the best on validation at the root, the others under `seeds/`."""
    places = {seed: folder / "seeds" / str(seed) for seed in seeds}
    return {seed: place if place.exists() else folder for seed, place in places.items()}


def _fitted(model: PreTrainedModel, dataset: Dataset) -> dict[str, Any]:
    """What was fitted on validation: the temperature, and of multi-label models from which probability each label applies."""
    thresholds, temperature = (getattr(model.config, name, None) for name in (THRESHOLDS, CALIBRATION_TEMPERATURE))
    found: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    return found if thresholds is None else {**found, "thresholds": dict(zip(dataset.labels, thresholds, strict=True))}


def _about(dataset: Dataset, judged: Array) -> dict[str, Any]:
    """What is measured, and over how many rows or questions."""
    return {"task": dataset.task, "metric": dataset.metric, "rows": len(judged)}
