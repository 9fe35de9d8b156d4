"""Timing several ways of doing one thing against each other: interleaved in one run, ratios of the same round, medians."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tqdm import tqdm


@dataclass(frozen=True)
class Figure:
    """A measured ratio or time, and the goal that it is held against."""

    value: float
    goal: str
    """`<= 1.05` or `>= 2.5`."""
    unit: str

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        relation, bound = self.goal.split()
        return self.value <= float(bound) if relation == "<=" else self.value >= float(bound)


def interleave(arms: Mapping[str, Callable[[], None]], rounds: int, title: str) -> dict[str, list[float]]:
    """Seconds of each arm in each round. Every round runs all arms, each round in another order; a first round is thrown away."""
    names = list(arms)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in tqdm(range(rounds + 1), desc=title, unit="round", disable=None):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            arms[name]()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))
