"""From the files of a work folder to data/metrics/quality.json and the tables of docs/quality.md."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from distill.core.arrays import Array
from distill.core.files import write_text
from distill.report.sections.summary import paired_gain
from distill.tasks.judged import read_judged
from distill.tasks.scoring import SCORES
from tests.benchmarks.quality.entries import ABLATION, METHODS, Method

Row = dict[str, Any]
KNOWN = METHODS | ABLATION


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rows_in(path: Path) -> list[Row]:
    """The rows of a file; none if it is not there."""
    return read(path) if path.exists() else []


def collect(folder: Path, task: str, methods: Mapping[str, Method]) -> list[Row]:
    """A row for each student that has been measured, under a teacher that scores more than 0."""
    teacher, rows = folder / "data/metrics/teachers" / f"{task}.json", []
    for student, method in methods.items():
        file = folder / "data/metrics/students" / f"{student}.json"
        if not (teacher.exists() and file.exists() and "retention" in (measured := read(file))):
            continue
        metric = measured["metric"]
        row = {"task": task, "student": student, "recipe": method.recipe, "half_depth": method.half_depth, "metric": metric}
        row |= {"score": measured[metric], "score_sd": measured.get(f"{metric}_sd", 0.0), "teacher_score": read(teacher)[metric]}
        row |= {"retention": measured["retention"], "interval": [measured["retention_low"], measured["retention_high"]]}
        row |= {"seeds": sorted(int(seed) for seed in measured["seeds"])}
        row |= {
            "kl_from_teacher": measured.get("kl_from_teacher"),
            **exported(folder, student, measured),
            **gain_over_reference(folder, student, method.against, row),
        }
        rows.append(row | {key: measured[key] for key in ("layers", "hidden_size", "parameters")})
    return rows


def exported(folder: Path, student: str, measured: Row) -> Row:
    """What becomes of a student (its first seed) that was exported: its calibration, and what INT8 costs and saves."""
    path = folder / "data/metrics/exports/students" / f"{student}.json"
    if not path.exists():
        return {}
    found, errors = read(path), ("calibration_error_before", "calibration_error")
    fp32, int8 = found["fp32"], found["int8"]
    lost = {"int8_lost": fp32[found["metric"]] - int8[found["metric"]], "int8_smaller": fp32["bytes"] / int8["bytes"]}
    return {key: measured[key] for key in errors if key in measured} | lost


def gain_over_reference(folder: Path, student: str, reference: str | None, row: Row) -> Row:
    """By how much a student scores higher than its reference on the same test rows; nothing where it is not to be had."""
    seeds = [str(seed) for seed in row["seeds"]]
    places = [folder / "data/evaluations/students" / str(name) for name in (student, reference)]
    if reference is None or not all((place / "judged.parquet").exists() for place in places):
        return {}
    judged = [read_judged(place, "test", "evaluate") for place in places]
    if not all(seed in found for seed in seeds for found in judged):
        return {}
    task = read(folder / "data/evaluations/students" / student / "detail.json")["task"]
    sides = [np.array([found[seed].rows for seed in seeds]) for found in judged]
    return {**gain(*sides, lambda rows: SCORES[task](row["metric"], rows))}


def gain(rows: Array, baseline: Array, score: Callable[[Array], float] = np.mean) -> Row:
    """By how much the first scores higher than the second, both (seeds, rows, …): judged rows, or whether they are right.

    `by_rows` is the 95% interval of a paired bootstrap of the test rows (means over seeds), `by_seeds` that of Student's t
    over the seeds' differences; None for one seed.
    """
    from scipy.stats import t

    middle, low, high = paired_gain(list(rows), list(baseline), score)
    by_seed = [float(score(one) - score(other)) for one, other in zip(rows, baseline, strict=True)]
    spread = None
    if len(by_seed) > 1:
        half = float(t.ppf(0.975, len(by_seed) - 1)) * stdev(by_seed) / len(by_seed) ** 0.5
        spread = [middle - half, middle + half]
    return {"gain": middle, "by_rows": [low, high], "by_seeds": spread}


def merge(old: Sequence[Row], new: Sequence[Row], order: Mapping[str, Sequence[Any]]) -> list[Row]:
    """Old rows, replaced by new ones that agree in all keys of `order`; sorted by the place of each key's value there."""
    rows = {tuple(row[key] for key in order): row for row in [*old, *new]}
    places = {key: {value: place for place, value in enumerate(values)} for key, values in order.items()}
    return sorted(
        rows.values(), key=lambda row: [(place.get(row[key], len(place)), str(row[key])) for key, place in places.items()]
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]], number: str = "---:") -> str:
    """A Markdown table; all columns but the first are numbers, aligned as `number` says."""
    rule = ["---", *[number] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def quality_tables(rows: Sequence[Row]) -> str:
    """Scores, retention with its interval, gains, divergence: a student a line, a task a column."""
    tasks: dict[str, Row] = {}
    for row in rows:
        tasks.setdefault(row["task"], row)
    found = {(row["student"], row["task"]): row for row in rows}

    def lines(cell: Any, last: Any = None, of: Sequence[Row] = rows) -> list[list[str]]:
        made = []
        for student in dict.fromkeys(row["student"] for row in of):
            cells = [found.get((student, task)) for task in tasks]
            made.append([f"`{student}`", *(cell(row) if row else "–" for row in cells), *([last(cells)] if last else [])])
        return made

    def average(cells: Sequence[Row | None]) -> str:
        kept = [row["retention"] for row in cells if row]
        return percent(mean(kept)) + ("" if len(kept) == len(tasks) else f" ({len(kept)})")

    titles = [f"{task} ({row['metric']})" for task, row in tasks.items()]
    scores = [["teacher, 6 × 384", *(percent(row["teacher_score"]) for row in tasks.values())]]
    scores += lines(lambda row: percent(row["score"]) + (f" ± {percent(row['score_sd'])}" if len(row["seeds"]) > 1 else ""))
    kept = lines(lambda row: "{} ({}–{})".format(*map(percent, (row["retention"], *row["interval"]))), average)
    parts = {
        "Scores, in percent, mean ± deviation over seeds:": table(["student", *titles], scores),
        "Retention, in percent of the teacher's score (95% interval):": table(["student", *tasks, "mean"], kept),
    }
    if gained := [row for row in rows if "gain" in row]:
        gains = lines(lambda row: "{:+.1f} ({:+.1f} to {:+.1f})".format(*points(row)) if "gain" in row else "–", of=gained)
        over = "` or `".join(dict.fromkeys(str(KNOWN[row["student"]].against) for row in gained))
        parts[f"Gain over `{over}`, in points (95% interval, paired bootstrap of the test rows):"] = table(
            ["student", *tasks], gains
        )
    if known := [row for row in rows if row.get("kl_from_teacher") is not None]:
        nats = lines(lambda row: "–" if row.get("kl_from_teacher") is None else f"{row['kl_from_teacher']:.3f}", of=known)
        parts["KL from the teacher on the test rows, in nats:"] = table(["student", *tasks], nats)
    if shipped := [row for row in rows if "int8_lost" in row]:
        parts["As it ships: calibration error (ECE) before and after the temperature, in percent, and INT8 against fp32:"] = (
            table(
                ["task", "student", "ECE before", "ECE", "INT8, points", "INT8, times smaller"],
                [_shipped(row) for row in shipped],
            )
        )
    return "\n\n".join(part for title in parts.items() for part in title)


def _shipped(row: Row) -> list[str]:
    errors = [percent(row[key]) if key in row else "–" for key in ("calibration_error_before", "calibration_error")]
    return [row["task"], f"`{row['student']}`", *errors, f"{0 - 100 * row['int8_lost']:+.1f}", f"{row['int8_smaller']:.1f}"]


def points(row: Row) -> tuple[float, ...]:
    """A gain and its interval."""
    return tuple(100 * value for value in (row["gain"], *row["by_rows"]))


def efficiency_table(rows: Sequence[Row]) -> str:
    """A line for each student and number of labels; gains over the supervised one with both intervals."""
    head = ["student", "labelled rows", "teacher", "training", "accuracy", "gain, points", "95% by rows", "95% by seeds"]
    lines = []
    for row in rows:
        gained = row["gain"] is not None
        lines.append(
            [
                row["student"],
                f"{row['labelled']:,}",
                percent(row["teacher_score"]),
                row["training"],
                f"{percent(row['score'])} ± {percent(row['score_sd'])}",
                f"{100 * row['gain']:+.1f}" if gained else "–",
                *(" to ".join(f"{100 * end:+.1f}" for end in row[key]) if gained else "–" for key in ("by_rows", "by_seeds")),
            ]
        )
    return table(head, lines)


def write_between(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- /NAME -->`."""
    page = path.read_text(encoding="utf-8")
    made, count = re.subn(
        rf"(<!-- {name} -->\n).*?(\n?<!-- /{name} -->)", lambda found: f"{found[1]}\n{text}\n{found[2]}", page, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{path}: expected the markers of '{name}' once, found them {count} times")
    write_text(path, made)
