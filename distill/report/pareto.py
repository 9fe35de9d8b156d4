"""Where things stand in the charts of score against latency and size: plain SVG, so that they need no script."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from distill.report.candidates import Candidate
from distill.report.metric_names import shown, title

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 424, 16, 256
"""The plot within the picture, in the picture's units."""
DIGITS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
"""What ticks of a logarithmic axis may begin with, from few to many."""
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
"""What the distance of two ticks of a linear axis may be, times a power of ten."""
Axis = Literal["latency_ms", "megabytes"]
TITLES: dict[Axis, tuple[str, str]] = {
    "latency_ms": ("Latency", "p95 of one row, ms, logarithmic"),
    "megabytes": ("Size", "weights on disk, MB, logarithmic"),
}


@dataclass(frozen=True)
class Teacher:
    """A teacher in torch, fp32: the reference."""

    name: str
    score: float
    latency_ms: float
    megabytes: float


@dataclass(frozen=True)
class Scale:
    """From values to places in the picture, linear between two values (of a logarithmic axis, in their logarithms)."""

    low: float
    high: float
    start: int
    end: int

    def place(self, value: float) -> float:
        """The place of a value, to a tenth."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def chart(candidates: Sequence[Candidate], teachers: Sequence[Teacher], axis: Axis) -> dict[str, Any]:
    """A chart for the template: ticks, points in the order of the candidates, the front, and the scales for the script."""
    metric = candidates[0].metric
    everyone: list[Candidate | Teacher] = [*candidates, *teachers]
    values = [getattr(model, axis) for model in everyone]
    x = Scale(math.log(min(values) * 0.8), math.log(max(values) * 1.25), LEFT, RIGHT)
    y = _scores([model.score for model in everyone])

    def spot(model: Candidate | Teacher) -> dict[str, Any]:
        return {"x": x.place(math.log(getattr(model, axis))), "y": y.place(model.score)}

    name, unit = TITLES[axis]
    ticks = log_ticks(math.exp(x.low), math.exp(x.high))
    return {
        "axis": axis,
        "title": f"{title(metric)} against {name.lower()}",
        "x_title": f"{name}, {unit}",
        "x_ticks": [{"place": x.place(math.log(tick)), "text": f"{tick:g}"} for tick in ticks],
        "y_ticks": [{"place": y.place(tick), "text": shown(metric, tick)} for tick in linear_ticks(y.low, y.high)],
        "points": [spot(model) for model in candidates],
        "teachers": [{"name": teacher.name, **spot(teacher)} for teacher in teachers],
        "front": _steps([spot(model) for model in front([model for model in candidates if model.sent is None], axis)]),
        "x": {"low": x.low, "high": x.high},
        "y": {"low": y.low, "high": y.high},
    }


def front(candidates: Sequence[Candidate], axis: Axis) -> list[Candidate]:
    """Those that no other beats in both score and the axis, from the left to the right."""
    kept: list[Candidate] = []
    for model in sorted(candidates, key=lambda model: (getattr(model, axis), -model.score)):
        if not kept or model.score > kept[-1].score:
            kept.append(model)
    return kept


def log_ticks(low: float, high: float) -> list[float]:
    """Round values of a logarithmic axis: at least four where there are so many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in DIGITS:
        ticks = [float(f"{digit}e{decade}") for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(ticks) >= 4:
            break
    return ticks


def linear_ticks(low: float, high: float) -> list[float]:
    """Round values of a linear axis, six at most."""
    power = 10.0 ** math.floor(math.log10((high - low) / 6))
    step = next(step * power for step in STEPS if step * power * 6 >= high - low)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _scores(scores: Sequence[float]) -> Scale:
    margin = max((max(scores) - min(scores)) * 0.12, 0.005)
    return Scale(min(scores) - margin, max(scores) + margin, BOTTOM, TOP)


def _steps(spots: Sequence[dict[str, Any]]) -> str:
    """An SVG path: the best score that can be had up to each place, in steps."""
    return f"M{spots[0]['x']} {spots[0]['y']}" + "".join(f"H{spot['x']}V{spot['y']}" for spot in spots[1:]) + f"H{RIGHT}"
