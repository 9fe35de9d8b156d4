"""From the files of a work folder to the rows of data/metrics/quality.json."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.report.sections.summary import paired_gain
from distill.tasks.judged import TEACHER, read_judged
from distill.tasks.scoring import SCORES
from tests.benchmarks.quality.entries import Method

Row = dict[str, Any]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows_in(path: Path) -> list[Row]:
    """The rows of a file; none if it is not there."""
    return read(path) if path.exists() else []


def collect(folder: Path, task: str, methods: Mapping[str, Method]) -> list[Row]:
    """A row for each student that has been measured, under a teacher that scores more than 0."""
    teacher, rows = folder / "data/metrics/teachers" / f"{task}.json", []
    for student, method in methods.items():
        file = folder / "data/metrics/students" / f"{student}.json"
        if not (teacher.exists() and file.exists() and "retention" in (measured := read(file))):
            continue
        metric = measured["metric"]
        row = {"task": task, "student": student, "recipe": method.recipe, "half_depth": method.half_depth, "metric": metric}
        row |= {"score": measured[metric], "score_sd": measured.get(f"{metric}_sd", 0.0), "teacher_score": read(teacher)[metric]}
        row |= {"retention": measured["retention"], "interval": [measured["retention_low"], measured["retention_high"]]}
        row |= {"seeds": sorted(int(seed) for seed in measured["seeds"])}
        row |= {
            "kl_from_teacher": measured.get("kl_from_teacher"),
            **exported(folder, student, measured),
            **gain_over_reference(folder, student, method.against, row),
        }
        rows.append(row | {key: measured[key] for key in ("layers", "hidden_size", "parameters")})
    return rows


def exported(folder: Path, student: str, measured: Row) -> Row:
    """What becomes of a student (its first seed) that was exported: its calibration, and what INT8 costs and saves."""
    path = folder / "data/metrics/exports/students" / f"{student}.json"
    if not path.exists():
        return {}
    found, errors = read(path), ("calibration_error_before", "calibration_error")
    fp32, int8 = found["fp32"], found["int8"]
    lost = {"int8_lost": fp32[found["metric"]] - int8[found["metric"]], "int8_smaller": fp32["bytes"] / int8["bytes"]}
    return {key: measured[key] for key in errors if key in measured} | lost


def gain_over_reference(folder: Path, student: str, reference: str | None, row: Row) -> Row:
    """By how much a student scores higher than its reference on the same test rows, by the seeds that both have; nothing without.

    And by how much its teacher does, which bounds what its answers can gain.
    """
    places = [folder / "data/evaluations/students" / str(name) for name in (student, reference)]
    if reference is None or not all((place / "judged.parquet").exists() for place in places):
        return {}
    judged = [read_judged(place, "test", "evaluate") for place in places]
    seeds = [str(seed) for seed in row["seeds"] if all(str(seed) in found for found in judged)]
    if not seeds:
        return {}
    task = read(folder / "data/evaluations/students" / student / "detail.json")["task"]
    own, other = (np.array([found[seed].rows for seed in seeds]) for found in judged)
    score = functools.partial(SCORES[task], row["metric"])
    found = gain(own, other, score)
    if TEACHER in judged[0]:
        middle, *ends = paired_gain([judged[0][TEACHER].rows] * len(seeds), list(other), score)
        found |= {"teacher_gain": middle, "teacher_by_rows": ends}
    return found


def gain(rows: Array, baseline: Array, score: Callable[[Array], float] = np.mean) -> Row:
    """By how much the first scores higher than the second, both (seeds, rows, …): judged rows, or whether they are right.

    `by_rows` is the 95% interval of a paired bootstrap of the test rows (means over seeds), `by_seeds` that of Student's t
    over the seeds' differences; None for one seed.
    """
    from scipy.stats import t

    middle, low, high = paired_gain(list(rows), list(baseline), score)
    by_seed = [float(score(one) - score(other)) for one, other in zip(rows, baseline, strict=True)]
    spread = None
    if len(by_seed) > 1:
        half = float(t.ppf(0.975, len(by_seed) - 1)) * stdev(by_seed) / len(by_seed) ** 0.5
        spread = [middle - half, middle + half]
    return {"gain": middle, "by_rows": [low, high], "by_seeds": spread}


def merge(old: Sequence[Row], new: Sequence[Row], order: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Old rows, replaced by new ones that agree in all keys of `order`; sorted by the place of each key's value there."""
    rows = {tuple(row[key] for key in order): row for row in [*old, *new]}
    places = {key: {value: place for place, value in enumerate(values)} for key, values in order.items()}
    return sorted(
        rows.values(), key=lambda row: [(place.get(row[key], len(place)), str(row[key])) for key, place in places.items()]
    )
