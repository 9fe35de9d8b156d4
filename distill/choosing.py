"""Which student to ship within a budget of latency, retention and size, from what was measured; no torch.

A candidate is a student in a format (torch, ONNX, INT8). Scores of exports are those of the very files that are shipped.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distill.errors import UserError
from distill.files import read_json
from distill.measures import METRIC_NAMES, shown

REFERENCE = "torch-fp32"
"""The format of the teacher that speeds and sizes are compared with."""
SCORED = {"onnx-fp32": "fp32", "onnx-int8": "int8"}
"""Formats that are scored as files of their own: their key in the metrics of an export."""
UNSCORED = ("torch-bf16",)
"""Formats of which nobody measures a score: no candidates."""
STEPS = {"max-latency-ms": 100, "max-megabytes": 100, "min-retention": 1000}
"""The knobs of a budget, and the fractions of a unit that they are turned by."""
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
        if self.max_megabytes is not None and candidate.megabytes > self.max_megabytes:
            found["max-megabytes"] = candidate.megabytes - self.max_megabytes
        if self.min_retention is not None and (candidate.retention or 0.0) < self.min_retention:
            found["min-retention"] = self.min_retention - (candidate.retention or 0.0)
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


ORDERS: Mapping[Preference, Callable[[Candidate], tuple[float, ...]]] = {
    "score": lambda own: (-own.score, own.latency_ms, own.megabytes),
    "latency": lambda own: (own.latency_ms, -own.score, own.megabytes),
    "size": lambda own: (own.megabytes, -own.score, own.latency_ms),
}
"""What comes first for each preference; of equal ones the first by name and format."""


def measured(
    data: Path, origins: Mapping[str, str], setting: str = "rows", percentile: str = "p95"
) -> dict[str, list[Candidate]]:
    """The candidates of each data set, as they lie under data/metrics.

    Args:
        data: The folder `data`.
        origins: Of each student that counts, the entry of `datasets` that its data set is of: those of one are compared.
        setting: As of `candidates`.
        percentile: As of `candidates`.

    Raises:
        UserError: the benchmark is missing, or a file is damaged.
    """
    metrics = data / "metrics"
    benchmark = read_json(metrics / "benchmark.json", "what `dvc repro benchmark` writes")
    scores, exports = (_read_all(metrics / kind) for kind in ("students", "exports/students"))
    found: dict[str, list[Candidate]] = {dataset: [] for dataset in sorted(set(origins.values()))}
    try:
        timed = candidates(benchmark, scores, exports, setting, percentile)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{metrics}: a file is damaged or of an older version ({type(error).__name__}: {error}); "
            "run `dvc repro --force --single-item benchmark`"
        ) from None
    for own in timed:
        if own.name in origins:
            found[origins[own.name]].append(own)
    return found


def _read_all(folder: Path) -> dict[str, Any]:
    return {path.stem: read_json(path, "metrics") for path in sorted(folder.glob("*.json"))}


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
        reference = benchmark["teachers"].get(entry["teacher"], {}).get("formats", {}).get(REFERENCE, {}).get("bytes")
        for form, timed in sorted(entry["formats"].items()):
            scores = exports.get(name, {}).get(SCORED[form], {}) if form in SCORED else own
            if form in UNSCORED or metric not in scores or setting not in timed["latency"]:
                continue
            latency = timed["latency"][setting]
            score = float(scores.get("shipped", scores[metric]))
            kept = None if share is None else score * share
            smaller = reference / timed["bytes"] if reference else None
            figures = (float(latency[percentile]), timed["bytes"] / 1e6, latency.get("speedup"), smaller)
            found.append(Candidate(name, form, entry["dataset"], entry["teacher"], metric, score, kept, *figures))
    return found


def ranked(found: Sequence[Candidate], prefer: Preference) -> list[Candidate]:
    """The candidates, the preferred first."""
    return sorted(found, key=lambda own: (ORDERS[prefer](own), own.name, own.form))


def choose(found: Sequence[Candidate], budget: Budget, prefer: Preference = "score") -> Choice:
    """The preferred one within the budget; or what is nearest."""
    order = ranked(found, prefer)
    if not order:
        return Choice(None, None)
    best = next((own for own in order if not budget.misses(own)), None)
    if best is not None:
        return Choice(best, None)
    return Choice(None, min(order, key=lambda own: distance(own, budget)), relaxations(found, budget))


def recommended(found: Sequence[Candidate]) -> tuple[Budget, Preference]:
    """What to ask for where nobody says: the fastest that keeps 97% of its teacher's score, or, if none does, the best score."""
    budget = Budget(min_retention=KEPT)
    return (budget, "latency") if choose(found, budget).best else (Budget(), "score")


def recommendation(found: Sequence[Candidate]) -> str:
    """The answer in a line, for people who have set no budget."""
    budget, prefer = recommended(found)
    line = sentence(choose(found, budget, prefer), budget)
    return line if prefer == "latency" or not found else f"{line}; the best score: none keeps {KEPT:.0%} of its teacher’s"


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
        return "no student has been timed and scored in this setting; run `dvc repro`, or `python -m stages.benchmark --length …`"
    units = {
        "max-latency-ms": ("latency", " ms", 1),
        "max-megabytes": ("size", " MB", 1),
        "min-retention": ("retention", "%", 100),
    }
    missed = [
        f"{units[knob][0]} by {brief(miss * units[knob][2])}{units[knob][1]}"
        for knob, miss in budget.misses(choice.nearest).items()
    ]
    line = f"nothing fits; the nearest, {described(choice.nearest)}, misses {' and '.join(missed)}"
    knobs = [f"--{relaxed.knob} {relaxed.value:g} admits {relaxed.candidate}" for relaxed in choice.relaxed]
    return f"{line}; {', or '.join(knobs) or 'no single limit is to blame: relax several'}"


def described(own: Candidate) -> str:
    """A candidate and its figures."""
    kept = "" if own.retention is None else f" ({own.retention:.1%} of its teacher’s)"
    gains = [f"{gain:.1f} × as {what}" for gain, what in ((own.speedup, "fast"), (own.smaller, "small")) if gain is not None]
    gained = f": {' and '.join(gains)} as {own.teacher} in torch" if gains else ""
    score = f"{METRIC_NAMES[own.metric]} {shown(own.metric, own.score)}{kept}"
    return f"{own}: {score}, {brief(own.latency_ms)} ms, {brief(own.megabytes)} MB{gained}"


def brief(value: float) -> str:
    """Two digits, or all that stand before the point."""
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"
