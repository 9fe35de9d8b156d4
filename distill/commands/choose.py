"""`python -m distill choose`: the student to ship within a budget."""

import sys
from pathlib import Path
from typing import Any

import click

from distill.console import command

METRICS = Path("data/metrics")


@command
@click.option("--max-latency-ms", type=click.FloatRange(min=0, min_open=True), help="Of one row, by --percentile.")
@click.option("--min-retention", type=click.FloatRange(min=0), help="Share of the teacher's score, 0.97 say.")
@click.option("--max-megabytes", type=click.FloatRange(min=0, min_open=True), help="Of the file on disk.")
@click.option("--length", type=click.IntRange(min=1), help="Latency of rows of so many tokens; by default of the test rows.")
@click.option("--percentile", type=click.Choice(["p50", "p95", "p99"]), default="p95", show_default=True)
@click.option("--teacher", help="Its students alone; by default an answer for each teacher.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    max_latency_ms: float | None,
    min_retention: float | None,
    max_megabytes: float | None,
    length: int | None,
    percentile: str,
    teacher: str | None,
    as_json: bool,
) -> None:
    """Name the student of the best score within a budget, from data/metrics.

    Exits with 1 if none fits, and says which is nearest and which limit, turned alone, would admit one.
    """
    from dataclasses import asdict

    from distill.choosing import Budget, candidates, choose, sentence
    from distill.errors import UserError
    from distill.files import read_json, to_json
    from distill.params.base import nearest

    benchmark = read_json(METRICS / "benchmark.json", "what `dvc repro benchmark` writes")
    found = candidates(benchmark, read_all("students"), read_all("exports/students"), str(length or "rows"), percentile)
    teachers = sorted({entry["teacher"] for entry in benchmark["students"].values()})
    if teacher is not None and teacher not in teachers:
        raise UserError(f"--teacher {teacher}: has no student in {METRICS}/benchmark.json{nearest(teacher, teachers)}")
    budget = Budget(max_latency_ms, min_retention, max_megabytes)
    wanted = teachers if teacher is None else [teacher]
    choices = {name: choose([own for own in found if own.teacher == name], budget) for name in wanted}
    if as_json:
        click.echo(to_json({name: asdict(choice) for name, choice in choices.items()}), nl=False)
    else:
        for name, choice in choices.items():
            click.echo(f"{name}: {sentence(choice, budget)}" if len(choices) > 1 else sentence(choice, budget))
    if not choices or any(choice.best is None for choice in choices.values()):
        sys.exit(1)


def read_all(kind: str) -> dict[str, Any]:
    """The metrics files of a kind, by name."""
    from distill.files import read_json

    return {path.stem: read_json(path, "metrics") for path in sorted((METRICS / kind).glob("*.json"))}
