"""Timing models against each other: every round visits all of them, so that whatever disturbs the machine disturbs all alike."""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from distill.benchmark.machine import Meter
from distill.benchmark.statistics import speedup
from distill.core import progress
from distill.core.arrays import Array

Name = TypeVar("Name", bound=Hashable)
Batch = Mapping[str, Array]
"""`input_ids`, `attention_mask` and, of pairs, `token_type_ids`: (batch, seq) int64."""
ROUNDS, ENOUGH = 10, 0.05
"""Every so many rounds it is looked whether all ratios are known to so much of themselves, to each side: then it is enough."""


@dataclass(frozen=True)
class Arm:
    """One model, and what it reads: `batch` makes the batch of a number, untimed; `run` is timed."""

    batch: Callable[[int], Batch]
    run: Callable[[Batch], object]


@dataclass(frozen=True)
class Duration:
    """How long to measure: until `seconds` have passed, but at least `least` rounds and at most `most`; `calls` a visit.

    It ends sooner once the models' times are known against each other: ROUNDS, ENOUGH.
    """

    seconds: float
    calls: int = 3
    least: int = 5
    most: int = 60


@dataclass(frozen=True)
class Times:
    """What was measured of a model."""

    seconds: Array
    """(rounds, calls) float64."""
    joules: float | None
    """The mean of a call, of the whole machine's processors; None where the machine does not tell."""


def interleave(arms: Mapping[Name, Arm], duration: Duration, title: str, meter: Meter) -> dict[Name, Times]:
    """Time each model in each round, the models in another order every round.

    A visit begins with a call that is not counted: it brings the model's weights back into the processor's caches, as they are
    where it serves alone, and gives the threads of the model before it time to rest. The first round is not counted at all.
    """
    visits: dict[Name, list[tuple[list[float], float]]] = {name: [] for name in arms}
    names, rng, start = list(arms), np.random.default_rng(0), 0.0
    with progress.bar(total=duration.most, title=title, unit="round") as bar:
        for number in range(duration.most + 1):
            for name in [names[i] for i in rng.permutation(len(names))]:
                visit = _visit(arms[name], number, duration.calls, meter)
                visits[name] += [visit] if number else []
            start = start or time.perf_counter()
            bar.update(bool(number))
            if number >= duration.least and (time.perf_counter() - start >= duration.seconds or _known(visits, number)):
                break
    return {
        name: Times(
            np.array([seconds for seconds, _ in measured], np.float64),
            sum(joules for _, joules in measured) / len(measured) / duration.calls if meter.counters else None,
        )
        for name, measured in visits.items()
    }


def _known(visits: Mapping[Name, list[tuple[list[float], float]]], rounds: int) -> bool:
    """Whether the 95% interval of each model's ratio to the first one is narrow by now."""
    if rounds % ROUNDS or len(visits) < 2:
        return False
    first, *others = (np.array([seconds for seconds, _ in measured]) for measured in visits.values())
    ratios = [speedup(first, other) for other in others]
    return all(each["speedup_high"] - each["speedup_low"] <= 2 * ENOUGH * each["speedup"] for each in ratios)


def _visit(arm: Arm, number: int, calls: int, meter: Meter) -> tuple[list[float], float]:
    """Seconds of each call of a round, and joules of all."""
    batches = [arm.batch(number * calls + call) for call in range(calls)]
    arm.run(batches[0])
    seconds, before = [], meter.read()
    for batch in batches:
        start = time.perf_counter()
        arm.run(batch)
        seconds.append(time.perf_counter() - start)
    return seconds, meter.joules(before, meter.read())
