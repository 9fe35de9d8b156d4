"""Measured rows as the Markdown tables of docs/quality.md."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from distill.core.files import write_text
from tests.benchmarks.quality.collecting import Row
from tests.benchmarks.quality.entries import ABLATION, METHODS

KNOWN = METHODS | ABLATION
OTHER = " †"
"""Behind scores under another teacher than the table's."""


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
    titles = [f"{task} ({row['metric']})" for task, row in tasks.items()]
    teacher = ["teacher, 6 × 384", *(percent(row["teacher_score"]) for row in tasks.values())]
    kept = lines(rows, tasks, lambda row: "{} ({}–{})".format(*map(percent, (row["retention"], *row["interval"]))))
    scored = lines(rows, tasks, lambda row: _score(row) + (OTHER if _of_another_teacher(row, tasks) else ""))
    scores = table(["student", *titles], [teacher, *scored]) + _others(rows, tasks)
    parts = {
        "Scores, in percent, mean ± deviation over seeds:": scores,
        "Retention, in percent of the teacher's score (95% interval):": table(
            ["student", *tasks, "mean"], [[*line, _average(rows, line[0], len(tasks))] for line in kept]
        ),
    }
    if gained := [row for row in rows if "gain" in row]:
        over = "` or `".join(references := list(dict.fromkeys(str(KNOWN[row["student"]].against) for row in gained)))
        gains = lines(gained, tasks, lambda row: points(row["gain"], row["by_rows"]))
        bounds = _of_teacher(gained, tasks) if len(references) == 1 else []
        title = f"Gain over `{over}`, in points (95% interval, paired bootstrap of the test rows):"
        parts[title] = table(["student", *tasks], [*bounds, *gains])
    if known := [row for row in rows if row.get("kl_from_teacher") is not None]:
        nats = lines(known, tasks, lambda row: f"{row['kl_from_teacher']:.3f}")
        parts["KL from the teacher on the test rows, in nats:"] = table(["student", *tasks], nats)
    if shipped := [row for row in rows if "int8_lost" in row]:
        title = "As it ships: calibration error (ECE) before and after the temperature, in percent, and INT8 against fp32:"
        head = ["task", "student", "ECE before", "ECE", "INT8, points", "INT8, times smaller"]
        parts[title] = table(head, [_shipped(row) for row in shipped])
    return "\n\n".join(part for title in parts.items() for part in title)


def lines(rows: Sequence[Row], tasks: Iterable[str], cell: Callable[[Row], str]) -> list[list[str]]:
    """A line for each student: what `cell` says of its row in each task, a dash where it has none."""
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["student"], {})[row["task"]] = cell(row)
    return [[f"`{student}`", *(cells.get(task, "–") for task in tasks)] for student, cells in found.items()]


def _score(row: Row) -> str:
    return percent(row["score"]) + (f" ± {percent(row['score_sd'])}" if len(row["seeds"]) > 1 else "")


def _of_another_teacher(row: Row, tasks: Mapping[str, Row]) -> bool:
    """Whether a student's teacher was fine-tuned another time than that whose score stands in the table's first line."""
    return bool(row["teacher_score"] != tasks[row["task"]]["teacher_score"])


def _others(rows: Sequence[Row], tasks: Mapping[str, Row]) -> str:
    """What the other teachers scored, below the table."""
    scores: dict[str, dict[str, None]] = {}
    for row in (row for row in rows if _of_another_teacher(row, tasks)):
        scores.setdefault(row["task"], {})[percent(row["teacher_score"])] = None
    told = "; ".join(f"{task} {', '.join(found)}" for task, found in scores.items())
    return f"\n\n{OTHER.strip()} under another fine-tuning of the teacher, which scored: {told}." if told else ""


def _average(rows: Sequence[Row], student: str, tasks: int) -> str:
    """The mean retention of a student, and of how many tasks, unless of all."""
    kept = [row["retention"] for row in rows if f"`{row['student']}`" == student]
    return percent(mean(kept)) + ("" if len(kept) == tasks else f" ({len(kept)})")


def _of_teacher(rows: Sequence[Row], tasks: Iterable[str]) -> list[list[str]]:
    """The teacher's own line among gains: what imitation can reach."""
    found = {row["task"]: points(row["teacher_gain"], row["teacher_by_rows"]) for row in rows if "teacher_gain" in row}
    return [["its teacher", *(found.get(task, "–") for task in tasks)]] if found else []


def _shipped(row: Row) -> list[str]:
    errors = [percent(row[key]) if key in row else "–" for key in ("calibration_error_before", "calibration_error")]
    return [row["task"], f"`{row['student']}`", *errors, f"{0 - 100 * row['int8_lost']:+.1f}", f"{row['int8_smaller']:.1f}"]


def points(middle: float, ends: Sequence[float]) -> str:
    """A gain and its interval, in points."""
    return "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * value for value in (middle, *ends)))


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
