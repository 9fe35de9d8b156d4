"""From the files of a work folder to data/metrics/quality.json and the tables of docs/quality.md."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from distill.files import write_text
from tests.benchmarks.quality.methods import Method
from tests.benchmarks.quality.params import stages_of

Row = dict[str, Any]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def collect(folder: Path, task: str, content: Mapping[str, Any], methods: Mapping[str, Method]) -> list[Row]:
    """A row for each student that has been measured, under a teacher that scores more than 0."""
    teacher_file = folder / "data/metrics/teachers" / f"{task}.json"
    if not teacher_file.exists():
        return []
    teacher = read(teacher_file)
    rows = []
    for student, method in methods.items():
        file = folder / "data/metrics/students" / f"{student}.json"
        if not file.exists():
            continue
        measured = read(file)
        if "retention" not in measured:
            continue
        metric = measured["metric"]
        rows.append(
            {
                "task": task,
                "student": student,
                "recipe": method.recipe,
                "half_depth": method.half_depth,
                "metric": metric,
                "score": measured[metric],
                "score_sd": measured.get(f"{metric}_sd", 0.0),
                "teacher_score": teacher[metric],
                "retention": measured["retention"],
                "interval": [measured["retention_low"], measured["retention_high"]],
                "seconds": round(sum(seconds(folder, stage) for stage in stages_of(content["students"], student)), 1),
                "seeds": sorted(int(seed) for seed in measured["seeds"]),
                "layers": measured["layers"],
                "hidden_size": measured["hidden_size"],
                "parameters": measured["parameters"],
            }
        )
    return rows


def seconds(folder: Path, student: str) -> float:
    """Of training, the mean over seeds."""
    return mean(run["seconds"] for run in read(folder / "data/runs/students" / f"{student}.json"))


def merge(old: Sequence[Row], new: Sequence[Row], keys: tuple[str, ...], order: Sequence[Sequence[Any]]) -> list[Row]:
    """Old rows, replaced by new ones that agree in all keys; sorted by the place of each key's value in `order`."""
    rows = {tuple(row[key] for key in keys): row for row in [*old, *new]}
    places = [{value: place for place, value in enumerate(values)} for values in order]
    return sorted(
        rows.values(),
        key=lambda row: [(place.get(row[key], len(place)), str(row[key])) for key, place in zip(keys, places, strict=True)],
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def quality_tables(rows: Sequence[Row]) -> str:
    """Scores, retention with its interval, training seconds: a student a line, a task a column."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    found = {(row["student"], row["task"]): row for row in rows}
    students = list(dict.fromkeys(row["student"] for row in rows))
    teacher = {task: next(row["teacher_score"] for row in rows if row["task"] == task) for task in tasks}
    metrics = {task: next(row["metric"] for row in rows if row["task"] == task) for task in tasks}

    def lines(cell: Any, last: Any = None) -> list[list[str]]:
        made = []
        for student in students:
            own = [found.get((student, task)) for task in tasks]
            cells = [cell(row) if row else "–" for row in own]
            made.append([f"`{student}`", *cells, *([last(own)] if last else [])])
        return made

    def average(own: Sequence[Row | None]) -> str:
        kept = [row["retention"] for row in own if row]
        return f"{percent(mean(kept))}" + ("" if len(kept) == len(tasks) else f" ({len(kept)})")

    titles = [f"{task} ({metrics[task]})" for task in tasks]
    scores = [["teacher, 6 × 384", *(percent(teacher[task]) for task in tasks)]]
    scores += lines(lambda row: f"{percent(row['score'])} ± {percent(row['score_sd'])}")
    kept = lines(
        lambda row: f"{percent(row['retention'])} ({percent(row['interval'][0])}–{percent(row['interval'][1])})", average
    )
    spent = lines(lambda row: f"{row['seconds']:.0f}")
    return "\n\n".join(
        [
            "Scores, in percent, mean ± deviation over seeds:",
            table(["student", *titles], scores),
            "Retention, in percent of the teacher's score (95% interval):",
            table(["student", *tasks, "mean"], kept),
            "Seconds of training, all stages of a chain, one seed:",
            table(["student", *tasks], spent),
        ]
    )


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
