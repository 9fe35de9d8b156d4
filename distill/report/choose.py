"""Which student to ship within a budget of latency, retention and size, from what was measured; no torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from distill.report.candidates import Candidate
from distill.report.metric_names import METRIC_NAMES, shown

STEPS = {"max-latency-ms": 100, "max-megabytes": 100, "min-retention": 1000}
"""The limits of a budget; relaxed ones are rounded to so many steps a unit."""
MIN_RETENTION = 0.97
"""The share of its teacher's score that a student has to keep where nobody says more: DistilBERT's (Sanh et al. 2019)."""
Preference = Literal["score", "latency", "size"]
"""What is to be best among what fits."""


@dataclass(frozen=True)
class Budget:
    """What may be spent, and what must be kept; None is no limit."""

    max_latency_ms: float | None = None
    min_retention: float | None = None
    max_megabytes: float | None = None
    cascades: bool = False
    """Whether a student may have its teacher behind it, for what it is not sure of: that takes two models."""

    def admits(self, candidate: Candidate) -> bool:
        """Whether a candidate is looked at, within the limits or not."""
        return self.cascades or candidate.sent is None

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
    value: float | None
    """None of `cascades`, which has no value."""
    candidate: Candidate

    def __str__(self) -> str:
        return f"--{self.limit}{'' if self.value is None else f' {self.value:.12g}'} admits {self.candidate}"


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


def ranked(results: Sequence[Candidate], prefer: Preference) -> list[Candidate]:
    """The candidates, the preferred first."""
    return sorted(results, key=lambda own: (ORDERS[prefer](own), own.name, own.form, own.sent is not None))


def choose(results: Sequence[Candidate], budget: Budget, prefer: Preference = "score") -> Choice:
    """The preferred one within the budget; or what is nearest."""
    order = ranked([candidate for candidate in results if budget.admits(candidate)], prefer)
    if not order:
        return Choice(None, None)
    best = next((candidate for candidate in order if not budget.misses(candidate)), None)
    if best is not None:
        return Choice(best, None)
    return Choice(None, min(order, key=lambda candidate: distance(candidate, budget)), relaxations(results, budget, prefer))


def recommended(results: Sequence[Candidate], cascades: bool = False) -> tuple[Budget, Preference]:
    """What to ask for where nobody says: the fastest that keeps 97% of its teacher's score, or, if none does, the best score."""
    budget = Budget(min_retention=MIN_RETENTION, cascades=cascades)
    return (budget, "latency") if choose(results, budget).best else (Budget(cascades=cascades), "score")


def recommendation(results: Sequence[Candidate], cascades: bool = False) -> str:
    """The answer in a line, for people who have set no limit."""
    budget, prefer = recommended(results, cascades)
    line = sentence(choose(results, budget, prefer), budget)
    if prefer == "latency" or not results:
        return line
    known = any(candidate.retention is not None for candidate in results)
    why = f"none keeps {MIN_RETENTION:.0%} of its teacher’s" if known else "no teacher’s is known, and above 0, on the test rows"
    return f"{line}; the best score: {why}"


def distance(candidate: Candidate, budget: Budget) -> float:
    """The sum of what a candidate misses, each as a share of its limit."""
    limits = {limit: getattr(budget, limit.replace("-", "_")) for limit in STEPS}
    return sum(miss / limits[limit] if limits[limit] else math.inf for limit, miss in budget.misses(candidate).items())


def relaxations(results: Sequence[Candidate], budget: Budget, prefer: Preference) -> tuple[Relaxation, ...]:
    """For each limit the value at which, relaxed alone, it admits a first candidate, and which it then is.

    Before them `cascades`, where one fits: no limit has to give way.
    """
    answers = []
    cascade = None if budget.cascades else choose(results, replace(budget, cascades=True), prefer).best
    if cascade is not None:
        answers.append((0.0, Relaxation("cascades", None, cascade)))
    for limit in STEPS:
        alone = [candidate for candidate in filter(budget.admits, results) if set(budget.misses(candidate)) == {limit}]
        alone = [candidate for candidate in alone if rounded_limit(limit, candidate) >= 0]  # no share below 0 can be asked for
        if alone:
            nearest = min(alone, key=lambda candidate: budget.misses(candidate)[limit])
            value = rounded_limit(limit, nearest)
            relaxed: dict[str, Any] = {limit.replace("-", "_"): value}
            first = choose(results, replace(budget, **relaxed), prefer).best or nearest
            answers.append((distance(nearest, budget), Relaxation(limit, value, first)))
    return tuple(found for _, found in sorted(answers, key=lambda answer: answer[0]))


def rounded_limit(limit: str, candidate: Candidate) -> float:
    """The first round value of a limit that admits a candidate."""
    step = STEPS[limit]
    if limit == "min-retention":
        return math.floor(round((candidate.retention or 0.0) * step, 6)) / step
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
        "min-retention": ("retention", " points", 100),
    }
    missed = [
        f"{units[limit][0]} by {brief(miss * units[limit][2])}{units[limit][1]}"
        for limit, miss in budget.misses(choice.nearest).items()
    ]
    line = f"nothing fits; the nearest, {described(choice.nearest)}, misses {' and '.join(missed)}"
    return f"{line}; {', or '.join(map(str, choice.relaxed)) or 'no single limit is to blame: relax several'}"


def described(candidate: Candidate) -> str:
    """A candidate and its figures."""
    kept = candidate.kept and f" ({candidate.kept})"
    gains = [
        f"{gain:.1f} × as {what}"
        for gain, what in ((candidate.speedup, "fast (median)"), (candidate.smaller, "small"))
        if gain is not None
    ]
    gained = f": {' and '.join(gains)} as {candidate.teacher} in torch" if gains else ""
    score = f"{METRIC_NAMES[candidate.metric]} {shown(candidate.metric, candidate.score)}{kept}"
    figures = (
        f"{candidate}: {score}, {candidate.percentile} {brief(candidate.latency_ms)} ms, {brief(candidate.megabytes)} MB{gained}"
    )
    if candidate.sent is None:
        return figures
    return f"{figures}; it answers what it is {candidate.threshold:.1%} sure of, the teacher the other {candidate.sent:.1%}"


def brief(value: float) -> str:
    """Two digits, or all that stand before the point."""
    return f"{value:.2g}" if value < 99.5 else f"{value:,.0f}"
