"""The page's top: which student to ship, within a budget that the reader sets.

All that is computed and worded here is computed and worded by choose.py, as for `python -m distill choose`; the page's script
only filters the candidates, which it finds here in the order of each preference.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distill.core.files import read_json
from distill.params.resolved import Resolved
from distill.report import pareto
from distill.report.candidates import REFERENCE, Candidate, read_candidates
from distill.report.choose import MIN_RETENTION, ORDERS, Budget, brief, choose, described, ranked, recommendation, recommended
from distill.report.metric_names import METRIC_NAMES, shown
from distill.report.pareto import Teacher, chart
from distill.report.vega import COLOURS

SHAPES = {
    "torch-fp32": ("torch fp32", "M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0z"),
    "onnx-fp32": ("ONNX fp32", "M-5-5H5V5H-5z"),
    "onnx-int8": ("ONNX INT8", "M0-7L7 0L0 7L-7 0z"),
}
"""Of each format: its name, and its mark as an SVG path."""
BEHIND_IT = "M7-13h3v4h4v3h-4v4h-3v-4h-4v-3h4z"
"""A plus beside the mark of a cascade."""
PLUS = "M-1.5-6h3v4.5h4.5v3h-4.5v4.5h-3v-4.5h-4.5v-3h4.5z"
"""The same in the key."""
BEHIND = "with the teacher behind it: the p95 of rows of which some take both models’ time"
PREFERENCES = {"score": "best score", "latency": "fastest", "size": "smallest"}
ANY = "any"
MAX_STOPS = 60
"""Stops of a slider."""


def answer(params: Resolved, data: Path) -> dict[str, Any]:
    """What budget_explorer.html.jinja and its script show, as JSON has it; `lines` are the answers as plain text."""
    origins = params.shippable()
    benchmark = read_json(data / "metrics/benchmark.json", "what `dvc repro benchmark` writes")
    candidates = read_candidates(data, origins, benchmark, params.ensembles_students())
    timed = [(entry, _teacher(data, benchmark, entry.name)) for entry in params.teachers if entry.name in benchmark["teachers"]]
    sets = []
    for name in filter(candidates.__contains__, params.datasets):
        teachers = [teacher for entry, teacher in timed if entry.origin == name]
        sets.append(_data_set(name, [student for student in origins if origins[student] == name], candidates[name], teachers))
    lines = [f"{entry['name']}: {entry['line']}" if len(sets) > 1 else entry["line"] for entry in sets]
    machine = "{processor}, threads: {threads}".format(**benchmark["machine"])
    sizes = {name: getattr(pareto, name.upper()) for name in ("width", "height", "left", "right", "top", "bottom")}
    shapes = [{"form": form, "name": name, "path": path} for form, (name, path) in SHAPES.items()]
    if any(candidate.sent is not None for own in candidates.values() for candidate in own):
        shapes.append({"form": "cascade", "name": BEHIND, "path": PLUS})
    return {"sets": sets, "lines": lines, "machine": machine, "picture": {**sizes, "shapes": shapes, "preferences": PREFERENCES}}


def _teacher(data: Path, benchmark: Any, name: str) -> Teacher:
    timed = benchmark["teachers"][name]["formats"][REFERENCE]
    scores = read_json(data / "metrics/teachers" / f"{name}.json", f"what `dvc repro evaluate-teacher@{name}` writes")
    return Teacher(name, scores[scores["metric"]], timed["latency"]["rows"]["p95"], timed["bytes"] / 1e6)


def _data_set(name: str, students: Sequence[str], unordered: Sequence[Candidate], teachers: Sequence[Teacher]) -> dict[str, Any]:
    """A data set's answer; of one without candidates the line alone. A student's place among `students` is its colour."""
    line = recommendation(unordered)
    if not unordered:
        return {"name": name, "line": line, "candidates": []}
    candidates = ranked(unordered, "score")
    budget, prefer = recommended(candidates)
    timed = {candidate.name for candidate in candidates}
    colours = {student: f"var(--series-{number % COLOURS})" for number, student in enumerate(students)}
    compared = {candidate.teacher for candidate in candidates}
    return {
        "name": name,
        "line": line,
        "metric": METRIC_NAMES[candidates[0].metric],
        "chosen": candidates.index(choose(candidates, budget, prefer).best),  # type: ignore[arg-type]
        "prefer": prefer,
        "candidates": [_shown(candidate, colours[candidate.name], budget) for candidate in candidates],
        "colours": {student: colour for student, colour in colours.items() if student in timed},
        "orders": {preference: [candidates.index(each) for each in ranked(candidates, preference)] for preference in ORDERS},
        "sliders": _sliders(candidates, budget),
        "cascades": any(candidate.sent is not None for candidate in candidates),
        "charts": [chart(candidates, teachers, axis) for axis in ("latency_ms", "megabytes")],
        "whole": teachers[0].score if {teacher.name for teacher in teachers} == compared and len(compared) == 1 else None,
    }


def _shown(candidate: Candidate, colour: str, budget: Budget) -> dict[str, Any]:
    """A candidate as the page says it; `misses` the budget that the page begins with."""
    behind = "" if candidate.sent is None else f" + {candidate.teacher} for {candidate.sent:.0%}"
    return asdict(candidate) | {
        "label": str(candidate),
        "line": described(candidate),
        "format": SHAPES[candidate.form][0] + behind,
        "path": SHAPES[candidate.form][1] + ("" if candidate.sent is None else BEHIND_IT),
        "colour": colour,
        "misses": not budget.admits(candidate) or bool(budget.misses(candidate)),
        "texts": {
            "score": shown(candidate.metric, candidate.score),
            "retention": candidate.kept,
            "latency": f"{brief(candidate.latency_ms)} ms",
            "speedup": "" if candidate.speedup is None else f"{candidate.speedup:.1f} × as fast (median)",
            "size": f"{brief(candidate.megabytes)} MB",
            "smaller": "" if candidate.smaller is None else f"{candidate.smaller:.1f} × as small",
        },
    }


def _sliders(candidates: Sequence[Candidate], budget: Budget) -> list[dict[str, Any]]:
    """The sliders: the values at which each stands, with their texts, and where it begins; None is no limit."""
    kept = [candidate.retention for candidate in candidates if candidate.retention is not None]
    return [
        _upper_limit("latency_ms", "Latency", "latency", [candidate.latency_ms for candidate in candidates], "ms"),
        _upper_limit("megabytes", "Size", "size", [candidate.megabytes for candidate in candidates], "MB"),
        _lower_limit("retention", "Retention", kept, budget.min_retention),
    ]


def _upper_limit(field: str, label: str, short: str, values: Sequence[float], unit: str) -> dict[str, Any]:
    """An upper limit, from the least value to no limit, in steps of some 5%, of two digits."""
    low, high = min(values) * 0.95, max(values) * 1.1
    count = min(MAX_STOPS, math.ceil(math.log(high / low) / math.log(1.05)))
    stops = sorted({float(f"{low * (high / low) ** (number / count):.2g}") for number in range(count + 1)})
    texts = [f"≤ {brief(stop)} {unit}" for stop in stops]
    about = {"field": field, "label": label, "short": short, "unit": f" {unit}", "per": 1, "least": False}
    return about | {"stops": [*stops, None], "texts": [*texts, ANY], "start": len(stops)}


def _lower_limit(field: str, label: str, kept: Sequence[float], start: float | None) -> dict[str, Any]:
    """A lower limit, from no limit to just above the highest value, in half points (of a wide range: points, or more)."""
    low, high = (math.floor(min([*kept, MIN_RETENTION]) * 200), math.ceil(max([*kept, MIN_RETENTION]) * 200) + 1)
    step = math.ceil((high - low) / MAX_STOPS)
    stops = sorted({MIN_RETENTION, *(number / 200 for number in range(max(low, 1), high + 1, step))})
    texts = [f"≥ {stop:.1%}" for stop in stops]
    about = {"field": field, "label": label, "short": field, "unit": " points", "per": 100, "least": True}
    return about | {"stops": [None, *stops], "texts": [ANY, *texts], "start": 0 if start is None else 1 + stops.index(start)}
