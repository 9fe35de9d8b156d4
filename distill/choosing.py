"""Which student to ship: the best score within a budget of latency, retention and size, from what was measured; no torch.

A candidate is a student in a format (torch, ONNX, INT8). Scores of exports are those of the very files that are shipped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCORED = {"onnx-fp32": "fp32", "onnx-int8": "int8"}
"""Formats that are scored as files of their own: their key in the metrics of an export."""
UNSCORED = ("torch-bf16",)
"""Formats of which nobody measures a score: no candidates."""
STEPS = {"max-latency-ms": 100, "max-megabytes": 100, "min-retention": 1000}
"""The knobs of a budget, and the fractions of a unit that they are turned by."""


@dataclass(frozen=True)
class Candidate:
    """A student in a format."""

    name: str
    form: str
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

    def __str__(self) -> str:
        return f"{self.name} ({self.form})"


@dataclass(frozen=True)
class Budget:
    """What may be spent, and what must be kept; None is no limit."""

    max_latency_ms: float | None = None
    min_retention: float | None = None
    max_megabytes: float | None = None

    def misses(self, candidate: Candidate) -> dict[str, float]:
        """By how much a candidate misses each knob that it misses: ms, share, megabytes."""
        found = {}
        if self.max_latency_ms is not None and candidate.latency_ms > self.max_latency_ms:
            found["max-latency-ms"] = candidate.latency_ms - self.max_latency_ms
        if self.min_retention is not None and (candidate.retention or 0.0) < self.min_retention:
            found["min-retention"] = self.min_retention - (candidate.retention or 0.0)
        if self.max_megabytes is not None and candidate.megabytes > self.max_megabytes:
            found["max-megabytes"] = candidate.megabytes - self.max_megabytes
        return found

    def limit(self, knob: str) -> float:
        """Where a knob stands."""
        value = getattr(self, knob.replace("-", "_"))
        return float(value)


@dataclass(frozen=True)
class Relaxed:
    """One knob turned, the others left: where it has to stand for a candidate to fit, and which that is."""

    knob: str
    value: float
    candidate: Candidate


@dataclass(frozen=True)
class Choice:
    """The answer: `best`, or else the `nearest` and the knobs which alone would admit something, the least turned first."""

    best: Candidate | None
    nearest: Candidate | None
    relaxed: tuple[Relaxed, ...] = ()


def candidates(
    benchmark: Mapping[str, Any],
    students: Mapping[str, Mapping[str, Any]],
    exports: Mapping[str, Mapping[str, Any]],
    setting: str = "rows",
    percentile: str = "p95",
) -> list[Candidate]:
    """All students in all formats that were timed in this setting and scored.

    Args:
        benchmark: data/metrics/benchmark.json.
        students: data/metrics/students/NAME.json, by name.
        exports: data/metrics/exports/students/NAME.json, by name.
        setting: A key of `latency`: `rows`, or a number of tokens.
        percentile: `p50`, `p95` or `p99`.
    """
    found = []
    for name, entry in sorted(benchmark["students"].items()):
        if name not in students:
            continue
        own, metric = students[name], str(students[name]["metric"])
        share = own["retention"] / own[metric] if own.get("retention") else None
        for form, measured in sorted(entry["formats"].items()):
            scores = exports.get(name, {}).get(SCORED[form], {}) if form in SCORED else own
            if form in UNSCORED or metric not in scores or setting not in measured["latency"]:
                continue
            timed, score = measured["latency"][setting], float(scores[metric])
            kept = None if share is None else score * share
            sizes = (float(timed[percentile]), measured["bytes"] / 1e6, timed.get("speedup"))
            found.append(Candidate(name, form, entry["teacher"], metric, score, kept, *sizes))
    return found


def choose(found: Sequence[Candidate], budget: Budget) -> Choice:
    """The best score within the budget, of equal ones the fastest, then the smallest; or what is nearest."""
    fitting = [candidate for candidate in found if not budget.misses(candidate)]
    if fitting:
        best = min(fitting, key=lambda own: (-own.score, own.latency_ms, own.megabytes, own.name, own.form))
        return Choice(best, None)
    if not found:
        return Choice(None, None)
    nearest = min(found, key=lambda own: (distance(own, budget), -own.score, own.name, own.form))
    return Choice(None, nearest, relaxations(found, budget))


def distance(candidate: Candidate, budget: Budget) -> float:
    """The sum of what a candidate misses, each as a share of its limit."""
    return sum(miss / budget.limit(knob) if budget.limit(knob) else math.inf for knob, miss in budget.misses(candidate).items())


def relaxations(found: Sequence[Candidate], budget: Budget) -> tuple[Relaxed, ...]:
    """For each knob where it would have to stand, turned alone, for the first candidate to fit; others are left out."""
    answers = []
    for knob in STEPS:
        alone = [candidate for candidate in found if set(budget.misses(candidate)) == {knob}]
        if alone:
            nearest = min(alone, key=lambda own: (budget.misses(own)[knob], -own.score, own.name, own.form))
            answers.append((distance(nearest, budget), Relaxed(knob, turned(knob, nearest), nearest)))
    return tuple(relaxed for _, relaxed in sorted(answers, key=lambda answer: answer[0]))


def turned(knob: str, candidate: Candidate) -> float:
    """The first round value of a knob that admits a candidate."""
    step = STEPS[knob]
    if knob == "min-retention":
        return math.floor((candidate.retention or 0.0) * step) / step
    return math.ceil((candidate.latency_ms if knob == "max-latency-ms" else candidate.megabytes) * step) / step


def sentence(choice: Choice, budget: Budget) -> str:
    """The answer as a line for people."""
    if choice.best is not None:
        return f"ship {described(choice.best)}"
    if choice.nearest is None:
        return "no student has been timed and scored in this setting; run `dvc repro`"
    units = {
        "max-latency-ms": ("latency", " ms", 1),
        "max-megabytes": ("size", " MB", 1),
        "min-retention": ("retention", "%", 100),
    }
    missed = [
        f"{units[knob][0]} by {miss * units[knob][2]:.2g}{units[knob][1]}" for knob, miss in budget.misses(choice.nearest).items()
    ]
    line = f"nothing fits; the nearest, {described(choice.nearest)}, misses {' and '.join(missed)}"
    knobs = [f"--{relaxed.knob} {relaxed.value:g} admits {relaxed.candidate}" for relaxed in choice.relaxed]
    return f"{line}; {', or '.join(knobs) or 'no single limit is to blame: relax several'}"


def described(candidate: Candidate) -> str:
    """A candidate and its figures."""
    kept = "" if candidate.retention is None else f" ({candidate.retention:.1%} of {candidate.teacher}’s)"
    faster = "" if candidate.speedup is None else f", {candidate.speedup:.1f} × as fast as {candidate.teacher} in torch"
    size = f"{candidate.latency_ms:.3g} ms, {candidate.megabytes:.3g} MB"
    return f"{candidate}: {candidate.metric} {candidate.score:.4f}{kept}, {size}{faster}"
