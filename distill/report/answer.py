"""The page's top: which student to ship, within a budget that the reader sets.

All that is computed and worded here is computed and worded by distill/choosing.py, as for `python -m distill choose`; the page's
script only filters the candidates, which it finds here in the order of each preference.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distill.choosing import (
    KEPT,
    ORDERS,
    REFERENCE,
    Budget,
    Candidate,
    brief,
    choose,
    described,
    measured,
    ranked,
    recommendation,
    recommended,
)
from distill.files import read_json
from distill.measures import METRIC_NAMES, shown
from distill.params.whole import Params
from distill.report import pareto
from distill.report.pareto import Teacher, chart

SHAPES = {
    "torch-fp32": ("torch fp32", "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0z"),
    "onnx-fp32": ("ONNX fp32", "M-5-5H5V5H-5z"),
    "onnx-int8": ("ONNX INT8", "M0-7L7 0L0 7L-7 0z"),
}
"""Of each format: its name, and its mark as an SVG path."""
COLOURS = 8
"""The page's CSS has so many: --series-0 and on."""
PREFERENCES = {"score": "best score", "latency": "fastest", "size": "smallest"}
ANY = "any"
MOST = 60
"""Stops of a slider."""


def answer(params: Params, data: Path) -> dict[str, Any]:
    """What the template `answer.html.jinja` and its script show, as JSON has it; `lines` are the answers as plain text.

    Raises:
        UserError: the benchmark is missing, or a file is damaged.
    """
    origins = params.shippable()
    found = measured(data, origins)
    benchmark = read_json(data / "metrics/benchmark.json", "what `dvc repro benchmark` writes")
    timed = [_teacher(data, benchmark, name) for name in params.teachers if name in benchmark["teachers"]]
    sets = []
    for name in params.datasets:
        if name in found:
            teachers = [own for own in timed if params.origin(params.teachers[own.name].dataset) == name]
            sets.append(_data_set(name, [own for own in origins if origins[own] == name], found[name], teachers))
    lines = [f"{own['name']}: {own['line']}" if len(sets) > 1 else own["line"] for own in sets]
    machine = "{processor}, threads: {threads}".format(**benchmark["machine"])
    return {"sets": sets, "lines": lines, "machine": machine, "picture": _picture()}


def _picture() -> dict[str, Any]:
    names = ("width", "height", "left", "right", "top", "bottom")
    return {name: getattr(pareto, name.upper()) for name in names} | {
        "shapes": [{"form": form, "name": name, "path": path} for form, (name, path) in SHAPES.items()],
        "preferences": PREFERENCES,
    }


def _teacher(data: Path, benchmark: Any, name: str) -> Teacher:
    timed = benchmark["teachers"][name]["formats"][REFERENCE]
    scores = read_json(data / "metrics/teachers" / f"{name}.json", f"what `dvc repro evaluate-teacher@{name}` writes")
    return Teacher(name, scores[scores["metric"]], timed["latency"]["rows"]["p95"], timed["bytes"] / 1e6)


def _data_set(name: str, students: Sequence[str], unordered: Sequence[Candidate], teachers: Sequence[Teacher]) -> dict[str, Any]:
    """A data set's answer; of one without candidates the line alone. A student's place among `students` is its colour."""
    line = recommendation(unordered)
    if not unordered:
        return {"name": name, "line": line, "candidates": []}
    found = ranked(unordered, "score")
    budget, prefer = recommended(found)
    timed = {own.name for own in found}
    colours = {student: f"var(--series-{number % COLOURS})" for number, student in enumerate(students)}
    whole = teachers[0].score if {own.name for own in teachers} == {found[0].teacher} == {own.teacher for own in found} else None
    return {
        "name": name,
        "line": line,
        "metric": METRIC_NAMES[found[0].metric],
        "chosen": next(number for number, own in enumerate(found) if own == choose(found, budget, prefer).best),
        "prefer": prefer,
        "candidates": [_shown(own, colours[own.name], budget) for own in found],
        "colours": {student: colour for student, colour in colours.items() if student in timed},
        "orders": {preference: [found.index(own) for own in ranked(found, preference)] for preference in ORDERS},
        "knobs": _knobs(found, budget),
        "charts": [chart(found, teachers, axis) for axis in ("latency_ms", "megabytes")],
        "whole": whole,
    }


def _shown(own: Candidate, colour: str, budget: Budget) -> dict[str, Any]:
    """A candidate as the page says it; `misses` the budget that the page begins with."""
    return asdict(own) | {
        "label": str(own),
        "line": described(own),
        "format": SHAPES[own.form][0],
        "path": SHAPES[own.form][1],
        "colour": colour,
        "misses": bool(budget.misses(own)),
        "texts": {
            "score": shown(own.metric, own.score),
            "retention": "" if own.retention is None else f"{own.retention:.1%} of its teacher’s",
            "latency": f"{brief(own.latency_ms)} ms",
            "speedup": "" if own.speedup is None else f"{own.speedup:.1f} × as fast",
            "size": f"{brief(own.megabytes)} MB",
            "smaller": "" if own.smaller is None else f"{own.smaller:.1f} × as small",
        },
    }


def _knobs(found: Sequence[Candidate], budget: Budget) -> list[dict[str, Any]]:
    """The sliders: the values at which each stands, with their texts, and where it begins; None is no limit."""
    kept = [own.retention for own in found if own.retention is not None]
    return [
        _most("latency_ms", "Latency", "latency", [own.latency_ms for own in found], "ms"),
        _most("megabytes", "Size", "size", [own.megabytes for own in found], "MB"),
        _least("retention", "Retention", kept, budget.min_retention),
    ]


def _most(field: str, label: str, short: str, values: Sequence[float], unit: str) -> dict[str, Any]:
    """An upper limit, from the least value to no limit, in steps of some 5%, of two digits."""
    low, high = min(values) * 0.95, max(values) * 1.1
    count = min(MOST, math.ceil(math.log(high / low) / math.log(1.05)))
    stops = sorted({float(f"{low * (high / low) ** (number / count):.2g}") for number in range(count + 1)})
    texts = [f"≤ {brief(stop)} {unit}" for stop in stops]
    about = {"field": field, "label": label, "short": short, "unit": f" {unit}", "per": 1, "least": False}
    return about | {"stops": [*stops, None], "texts": [*texts, ANY], "start": len(stops)}


def _least(field: str, label: str, kept: Sequence[float], start: float | None) -> dict[str, Any]:
    """A lower limit, from no limit to just above the highest value, in half points (of a wide range: points, or more)."""
    low, high = (math.floor(min([*kept, KEPT]) * 200), math.ceil(max([*kept, KEPT]) * 200) + 1)
    step = math.ceil((high - low) / MOST)
    stops = sorted({KEPT, *(number / 200 for number in range(max(low, 1), high + 1, step))})
    texts = [f"≥ {stop:.1%}" for stop in stops]
    about = {"field": field, "label": label, "short": field, "unit": "%", "per": 100, "least": True}
    return about | {"stops": [None, *stops], "texts": [ANY, *texts], "start": 0 if start is None else 1 + stops.index(start)}
