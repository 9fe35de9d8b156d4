"""What can be shipped, by what was measured: a student in a format (torch, ONNX, INT8), alone or with its teacher behind it.

Scores of exports are those of the very files that are shipped. Without torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.core.files import read_json
from distill.report.cascades import both_latency

REFERENCE = "torch-fp32"
"""The format of the teacher that speeds and sizes are compared with."""
BEHIND = {"torch-fp32": "torch-fp32", "onnx-fp32": "onnx-fp32", "onnx-int8": "onnx-fp32"}
"""Of each format of a student, that of the teacher which answers in a cascade what the student sends on."""
SCORED = {"onnx-fp32": "fp32", "onnx-int8": "int8"}
"""Formats that are scored as files of their candidate: their key in the metrics of an export."""
UNSCORED = ("torch-bf16",)
"""Formats of which nobody measures a score: no candidates."""
DIGITS = 9
"""Of a retention."""


@dataclass(frozen=True)
class Candidate:
    """A student in a format."""

    name: str
    form: str
    dataset: str
    """The one that it was trained on, and scored on the test split of."""
    teacher: str
    metric: str
    score: float
    retention: float | None
    """The share of its teacher's score; None if that is not known, or not above 0."""
    latency_ms: float
    """Of one row, at `percentile`."""
    megabytes: float
    """Of 10⁶ bytes."""
    speedup: float | None
    """Of the median, over its teacher's in torch, fp32; None if they were not timed on the same rows."""
    smaller: float | None
    """How many times smaller than its teacher in torch, fp32; None if that was not measured."""
    sent: float | None = None
    """Of a cascade: the share of the test rows that the student is not sure of, which its teacher answers; else None."""
    threshold: float | None = None
    """The probability from which on the student answers itself."""
    percentile: str = "p95"
    further: bool = False
    """Whether retention is of the mean answers of its teacher with further ones."""

    @property
    def kept(self) -> str:
        """Its retention, in words; nothing where that is not known."""
        if self.retention is None:
            return ""
        return f"{self.retention:.1%} of its {'teachers’ mean' if self.further else 'teacher’s'}"

    def __str__(self) -> str:
        alone = f"{self.name} ({self.form})"
        return alone if self.sent is None else f"{alone} with {self.teacher} behind it"


def read_candidates(
    data: Path,
    origins: Mapping[str, str],
    benchmark: Any,
    ensembles: frozenset[str],
    setting: str = "rows",
    percentile: str = "p95",
) -> dict[str, list[Candidate]]:
    """The candidates of each data set, as they lie under data/metrics.

    `origins` holds the students that count, and the entry of `datasets` from which the data set of each was made; `benchmark` is
    the content of benchmark.json. Students of `ensembles` have no cascade: no one model is behind them.
    """
    metrics = data / "metrics"
    scores, exports = (_read_all(metrics / kind) for kind in ("students", "exports/students"))
    results: dict[str, list[Candidate]] = {dataset: [] for dataset in sorted(set(origins.values()))}
    try:
        timed = candidates(benchmark, scores, exports, setting, percentile)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{metrics}: a file is damaged or of an older version ({type(error).__name__}: {error}); "
            "run `dvc repro --force --single-item benchmark`"
        ) from None
    for candidate in timed:
        if candidate.name in origins and (candidate.sent is None or candidate.name not in ensembles):
            results[origins[candidate.name]].append(candidate)
    return results


def unmeasured(found: Mapping[str, Sequence[Candidate]], students: Mapping[str, str], benchmark: Any) -> list[str]:
    """Students that are no candidates, as nobody has timed or scored them, and formats that were timed and not scored.

    Of data sets without any candidate none is named: that is told anyway.
    """
    there = {(own.name, own.form) for candidates in found.values() for own in candidates}
    names = {name for name, _ in there}
    lacking = [name for name, dataset in students.items() if found.get(dataset) and name not in names]
    for name in sorted(names):
        lacking += [
            f"{name} ({form})" for form in benchmark["students"][name]["formats"] if form in SCORED and (name, form) not in there
        ]
    return lacking


def _read_all(folder: Path) -> dict[str, Any]:
    return {path.stem: read_json(path, "metrics") for path in sorted(folder.glob("*.json"))}


def candidates(
    benchmark: Mapping[str, Any],
    students: Mapping[str, Mapping[str, Any]],
    exports: Mapping[str, Mapping[str, Any]],
    setting: str = "rows",
    percentile: str = "p95",
) -> list[Candidate]:
    """All students in all formats that were timed in this setting (`rows`, or a number of tokens) and scored.

    `benchmark` is data/metrics/benchmark.json; `students` and `exports` are their metrics files, by name.
    """
    results = []
    for name, entry in sorted(benchmark["students"].items()):
        if name not in students:
            continue
        record, metric = students[name], str(students[name]["metric"])
        reference = benchmark["teachers"].get(entry["teacher"], {}).get("formats", {}).get(REFERENCE, {}).get("bytes")
        for form, timed in sorted(entry["formats"].items()):
            scores = exports.get(name, {}).get(SCORED[form], {}) if form in SCORED else record
            if form in UNSCORED or metric not in scores or setting not in timed["latency"]:
                continue
            latency = timed["latency"][setting]
            score = float(scores.get("shipped", scores[metric]))
            kept = _kept(score, record, metric)
            smaller = reference / timed["bytes"] if reference else None
            figures = (float(latency[percentile]), timed["bytes"] / 1e6, latency.get("speedup"), smaller)
            about = (name, form, entry["dataset"], entry["teacher"], metric, score, kept)
            alone = Candidate(*about, *figures, percentile=percentile, further="further" in record)
            teacher = benchmark["teachers"].get(entry["teacher"], {}).get("formats", {}).get(BEHIND[form])
            results += [alone, *_cascades(alone, scores, timed, teacher, setting, record)]
    return results


def _kept(score: float, record: Mapping[str, Any], metric: str) -> float | None:
    """The share of its teacher's score, which `record` tells by the student's own score in torch: not where that is 0.

    Without the last digits, in which a quotient of floats misses the share that it is: 56 of 50 are not below 1.12.
    """
    if "retention" not in record:
        return None
    return round(score * record["retention"] / record[metric], DIGITS) if record[metric] else 0.0 if score == 0 else None


def _cascades(
    alone: Candidate, scores: Mapping[str, Any], timed: Any, teacher: Any, setting: str, record: Mapping[str, Any]
) -> list[Candidate]:
    """The student with its teacher behind it, if it has been scored so, and both were timed on the same rows."""
    found, latency = scores.get("cascade"), timed["latency"][setting]
    if found is None or teacher is None or setting not in teacher["latency"] or alone.speedup is None:
        return []
    behind, sent, score = teacher["latency"][setting], found["sent"], float(found[alone.metric])
    median, asked = (
        both_latency(latency["percentiles"], behind["percentiles"], sent, float(percentile))
        for percentile in ("50", alone.percentile.removeprefix("p"))
    )
    size = timed["bytes"] + teacher["bytes"]
    return [
        replace(
            alone,
            score=score,
            retention=_kept(score, record, alone.metric),
            latency_ms=asked,
            megabytes=size / 1e6,
            speedup=alone.speedup * latency["p50"] / median,
            smaller=None if alone.smaller is None else alone.smaller * timed["bytes"] / size,
            sent=sent,
            threshold=found["threshold"],
        )
    ]
