"""Which student to ship within a budget of latency, retention and size, from what was measured; no torch.

A candidate is a student in a format (torch, ONNX, INT8). Scores of exports are those of the very files that are shipped.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from distill.core.errors import UserError
from distill.core.files import read_json
from distill.report.metric_names import METRIC_NAMES, shown

REFERENCE = "torch-fp32"
"""The format of the teacher that speeds and sizes are compared with."""
BEHIND = {"torch-fp32": "torch-fp32", "onnx-fp32": "onnx-fp32", "onnx-int8": "onnx-fp32"}
"""Of each format of a student, that of the teacher which answers in a cascade what the student sends on."""
SCORED = {"onnx-fp32": "fp32", "onnx-int8": "int8"}
"""Formats that are scored as files of their candidate: their key in the metrics of an export."""
UNSCORED = ("torch-bf16",)
"""Formats of which nobody measures a score: no candidates."""
STEPS = {"max-latency-ms": 100, "max-megabytes": 100, "min-retention": 1000}
"""The limits of a budget; relaxed ones are rounded to so many steps a unit."""
KEPT = 0.97
"""The share of its teacher's score that a student has to keep where nobody says more: DistilBERT's (Sanh et al. 2019)."""
Preference = Literal["score", "latency", "size"]
"""What is to be best among what fits."""


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
    """The share of its teacher's score; None if that is 0."""
    latency_ms: float
    megabytes: float
    """Of 10⁶ bytes."""
    speedup: float | None
    """Over its teacher in torch, fp32; None if they were not timed on the same rows."""
    smaller: float | None
    """How many times smaller than its teacher in torch, fp32; None if that was not measured."""
    sent: float | None = None
    """Of a cascade: the share of the test rows that the student is not sure of, which its teacher answers; else None."""
    threshold: float | None = None
    """The probability from which on the student answers itself."""

    def __str__(self) -> str:
        alone = f"{self.name} ({self.form})"
        return alone if self.sent is None else f"{alone} with {self.teacher} behind it"


@dataclass(frozen=True)
class Budget:
    """What may be spent, and what must be kept; None is no limit."""

    max_latency_ms: float | None = None
    min_retention: float | None = None
    max_megabytes: float | None = None

    def misses(self, candidate: Candidate) -> dict[str, float]:
        """By how much a candidate misses each limit that it misses: ms, share, megabytes."""
        results, kept = {}, candidate.retention or 0.0
        if self.max_latency_ms is not None and candidate.latency_ms > self.max_latency_ms:
            results["max-latency-ms"] = candidate.latency_ms - self.max_latency_ms
        if self.max_megabytes is not None and candidate.megabytes > self.max_megabytes:
            results["max-megabytes"] = candidate.megabytes - self.max_megabytes
        if self.min_retention is not None and kept < self.min_retention:
            results["min-retention"] = self.min_retention - kept
        return results


@dataclass(frozen=True)
class Relaxation:
    """One limit relaxed, the others left: the value at which a candidate fits, and which that is."""

    limit: str
    value: float
    candidate: Candidate


@dataclass(frozen=True)
class Choice:
    """The answer: `best`, or else the `nearest` and the limits that would admit something if relaxed alone, the least first."""

    best: Candidate | None
    nearest: Candidate | None
    relaxed: tuple[Relaxation, ...] = ()


ORDERS: Mapping[Preference, Callable[[Candidate], tuple[float, ...]]] = {
    "score": lambda candidate: (-candidate.score, candidate.latency_ms, candidate.megabytes),
    "latency": lambda candidate: (candidate.latency_ms, -candidate.score, candidate.megabytes),
    "size": lambda candidate: (candidate.megabytes, -candidate.score, candidate.latency_ms),
}
"""What comes first for each preference; of equal ones the first by name and format."""


def measured(
    data: Path,
    origins: Mapping[str, str],
    setting: str = "rows",
    percentile: str = "p95",
    benchmark: Any = None,
    ensembles: frozenset[str] = frozenset(),
) -> dict[str, list[Candidate]]:
    """The candidates of each data set, as they lie under data/metrics.

    `origins` holds the students that count, and the entry of `datasets` from which the data set of each was made; `benchmark` is
    the content of benchmark.json, if it has been read already. Students of `ensembles` have no
    cascade: no one model is behind them.
    """
    metrics = data / "metrics"
    benchmark = benchmark or read_json(metrics / "benchmark.json", "what `dvc repro benchmark` writes")
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
        share = record["retention"] / record[metric] if record.get("retention") else None
        reference = benchmark["teachers"].get(entry["teacher"], {}).get("formats", {}).get(REFERENCE, {}).get("bytes")
        for form, timed in sorted(entry["formats"].items()):
            scores = exports.get(name, {}).get(SCORED[form], {}) if form in SCORED else record
            if form in UNSCORED or metric not in scores or setting not in timed["latency"]:
                continue
            latency = timed["latency"][setting]
            score = float(scores.get("shipped", scores[metric]))
            kept = None if share is None else score * share
            smaller = reference / timed["bytes"] if reference else None
            figures = (float(latency[percentile]), timed["bytes"] / 1e6, latency.get("speedup"), smaller)
            alone = Candidate(name, form, entry["dataset"], entry["teacher"], metric, score, kept, *figures)
            teacher = benchmark["teachers"].get(entry["teacher"], {}).get("formats", {}).get(BEHIND[form])
            results += [alone, *_cascades(alone, scores, timed, teacher, setting, percentile, share)]
    return results


def _cascades(
    alone: Candidate, scores: Mapping[str, Any], timed: Any, teacher: Any, setting: str, percentile: str, share: float | None
) -> list[Candidate]:
    """The student with its teacher behind it, if it has been scored so, and both were timed on the same rows."""
    found, latency = scores.get("cascade"), timed["latency"][setting]
    if found is None or teacher is None or setting not in teacher["latency"] or alone.speedup is None:
        return []
    behind, sent, score = teacher["latency"][setting], found["sent"], float(found[alone.metric])
    half = latency["p50"] + sent * behind["p50"]
    size = timed["bytes"] + teacher["bytes"]
    return [
        replace(
            alone,
            score=score,
            retention=None if share is None else score * share,
            latency_ms=float(latency[percentile] + sent * behind[percentile]),
            megabytes=size / 1e6,
            speedup=alone.speedup * latency["p50"] / half,
            smaller=None if alone.smaller is None else alone.smaller * timed["bytes"] / size,
            sent=sent,
            threshold=found["threshold"],
        )
    ]


def ranked(results: Sequence[Candidate], prefer: Preference) -> list[Candidate]:
    """The candidates, the preferred first."""
    return sorted(results, key=lambda own: (ORDERS[prefer](own), own.name, own.form, own.sent is not None))


def choose(results: Sequence[Candidate], budget: Budget, prefer: Preference = "score") -> Choice:
    """The preferred one within the budget; or what is nearest."""
    order = ranked(results, prefer)
    if not order:
        return Choice(None, None)
    best = next((candidate for candidate in order if not budget.misses(candidate)), None)
    if best is not None:
        return Choice(best, None)
    return Choice(None, min(order, key=lambda candidate: distance(candidate, budget)), relaxations(results, budget))


def recommended(results: Sequence[Candidate]) -> tuple[Budget, Preference]:
    """What to ask for where nobody says: the fastest that keeps 97% of its teacher's score, or, if none does, the best score.

    Of students that answer alone: `alone`. A cascade needs two models, and is for who asks for it by a budget.
    """
    budget = Budget(min_retention=KEPT)
    return (budget, "latency") if choose(alone(results), budget).best else (Budget(), "score")


def alone(results: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that are no cascades."""
    return [candidate for candidate in results if candidate.sent is None]


def recommendation(results: Sequence[Candidate]) -> str:
    """The answer in a line, for people who have set no budget."""
    budget, prefer = recommended(results)
    line = sentence(choose(alone(results), budget, prefer), budget)
    if prefer == "latency" or not results:
        return line
    known = any(candidate.retention is not None for candidate in results)
    why = f"none keeps {KEPT:.0%} of its teacher’s" if known else "no teacher’s is known on the test rows"
    return f"{line}; the best score: {why}"


def distance(candidate: Candidate, budget: Budget) -> float:
    """The sum of what a candidate misses, each as a share of its limit."""
    limits = {limit: getattr(budget, limit.replace("-", "_")) for limit in STEPS}
    return sum(miss / limits[limit] if limits[limit] else math.inf for limit, miss in budget.misses(candidate).items())


def relaxations(results: Sequence[Candidate], budget: Budget) -> tuple[Relaxation, ...]:
    """For each limit the value at which, relaxed alone, it admits a first candidate; limits that admit none are left out."""
    answers = []
    for limit in STEPS:
        alone = [candidate for candidate in results if set(budget.misses(candidate)) == {limit}]
        if alone:
            nearest = min(
                alone, key=lambda candidate: (budget.misses(candidate)[limit], -candidate.score, candidate.name, candidate.form)
            )
            answers.append((distance(nearest, budget), Relaxation(limit, rounded_limit(limit, nearest), nearest)))
    return tuple(relaxed for _, relaxed in sorted(answers, key=lambda answer: answer[0]))


def rounded_limit(limit: str, candidate: Candidate) -> float:
    """The first round value of a limit that admits a candidate."""
    step = STEPS[limit]
    if limit == "min-retention":
        return math.floor((candidate.retention or 0.0) * step) / step
    return math.ceil((candidate.latency_ms if limit == "max-latency-ms" else candidate.megabytes) * step) / step


def sentence(choice: Choice, budget: Budget) -> str:
    """The answer as a line for people."""
    if choice.best is not None:
        return f"ship {described(choice.best)}"
    if choice.nearest is None:
        return "no student has been timed and scored in this setting; run `dvc repro`, or `python -m stages.benchmark --length …`"
    units = {
        "max-latency-ms": ("latency", " ms", 1),
        "max-megabytes": ("size", " MB", 1),
        "min-retention": ("retention", "%", 100),
    }
    missed = [
        f"{units[limit][0]} by {brief(miss * units[limit][2])}{units[limit][1]}"
        for limit, miss in budget.misses(choice.nearest).items()
    ]
    line = f"nothing fits; the nearest, {described(choice.nearest)}, misses {' and '.join(missed)}"
    options = [f"--{relaxed.limit} {relaxed.value:g} admits {relaxed.candidate}" for relaxed in choice.relaxed]
    return f"{line}; {', or '.join(options) or 'no single limit is to blame: relax several'}"


def described(candidate: Candidate) -> str:
    """A candidate and its figures."""
    kept = "" if candidate.retention is None else f" ({candidate.retention:.1%} of its teacher’s)"
    gains = [
        f"{gain:.1f} × as {what}"
        for gain, what in ((candidate.speedup, "fast"), (candidate.smaller, "small"))
        if gain is not None
    ]
    gained = f": {' and '.join(gains)} as {candidate.teacher} in torch" if gains else ""
    score = f"{METRIC_NAMES[candidate.metric]} {shown(candidate.metric, candidate.score)}{kept}"
    figures = f"{candidate}: {score}, {brief(candidate.latency_ms)} ms, {brief(candidate.megabytes)} MB{gained}"
    if candidate.sent is None:
        return figures
    return f"{figures}; it answers what it is {candidate.threshold:.1%} sure of, the teacher the other {candidate.sent:.1%}"


def brief(value: float) -> str:
    """Two digits, or all that stand before the point."""
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"
