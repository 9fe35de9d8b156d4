"""`python -m distill choose`: the student to ship within a budget."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill.core.console import PARAMS, Number, command, print_result

if TYPE_CHECKING:
    from distill.report.candidates import Candidate
    from distill.report.choose import Budget, Choice, Preference


@command
@click.option("--max-latency-ms", type=Number(min=0, min_open=True), help="Of one row, by --percentile.")
@click.option("--min-retention", type=Number(min=0), help="Share of the teacher's score, 0.97 say.")
@click.option("--max-megabytes", type=Number(min=0, min_open=True), help="Of the file on disk.")
@click.option(
    "--prefer", type=click.Choice(["score", "latency", "size"]), help="What is to be best among what fits; by default the score."
)
@click.option("--length", type=click.IntRange(min=1), help="Latency of rows of so many tokens; by default of the test rows.")
@click.option("--percentile", type=click.Choice(["p50", "p95", "p99"]), default="p95", show_default=True)
@click.option("--cascades", is_flag=True, help="Also students with their teacher behind them, which takes both models.")
@click.option("--dataset", help="Its students alone; by default an answer for each data set.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(
    max_latency_ms: float | None,
    min_retention: float | None,
    max_megabytes: float | None,
    prefer: "Preference | None",
    length: int | None,
    percentile: str,
    cascades: bool,
    dataset: str | None,
    as_json: bool,
) -> None:
    """Name the student to ship within a budget, from data/metrics.

    Without a limit or a preference: the fastest that keeps 97% of its teacher's score, or, if none does, the best score.
    Exits with 1 if none fits, and says which is nearest and which limit, relaxed alone, would admit one.
    """
    from distill.core.files import to_json
    from distill.report.choose import Budget

    found = candidates_of(dataset, str(length or "rows"), percentile)
    budget = Budget(max_latency_ms, min_retention, max_megabytes, cascades)
    answers = {name: answer(candidates, budget, prefer) for name, candidates in found.items()}
    if as_json:
        click.echo(to_json({name: asdict(choice) for name, (choice, _) in answers.items()}), nl=False)
    else:
        for name, (_, line) in answers.items():
            click.echo(f"{name}: {line}" if len(answers) > 1 else line)
    if any(choice.best is None for choice, _ in answers.values()):
        sys.exit(1)


def candidates_of(dataset: str | None, setting: str, percentile: str) -> "dict[str, list[Candidate]]":
    """What can be shipped, of one data set or of each; students and formats that nobody has measured are told on stderr."""
    from distill.core.errors import UserError
    from distill.core.files import read_json
    from distill.core.validation import nearest
    from distill.pipeline.jobs import outdated
    from distill.pipeline.project import load_params
    from distill.pipeline.resolve import resolve
    from distill.report.candidates import read_candidates, unmeasured

    resolved = resolve(load_params(PARAMS))
    students = resolved.shippable()
    if not students:
        raise UserError(f"{PARAMS}: no student has a trained head; add one to students (docs/choosing.md), then run `dvc repro`")
    benchmark = read_json(Path("data/metrics/benchmark.json"), "what `dvc repro benchmark` writes")
    found = read_candidates(Path("data"), students, benchmark, resolved.ensembles_students(), setting, percentile)
    if dataset is not None and dataset not in found:
        raise UserError(f"--dataset {dataset}: has no student in {PARAMS}{nearest(dataset, list(found))}")
    found = {name: candidates for name, candidates in found.items() if dataset in (None, name)}
    if old := outdated("report"):
        print_result(f"of before an edit of params.yaml or of data: {', '.join(old)}; run `dvc repro`")
    if lacking := unmeasured(found, students, benchmark):
        print_result(f"left out, as they have not been timed and scored: {', '.join(lacking)}; run `dvc repro`")
    return found


def answer(found: "Sequence[Candidate]", budget: "Budget", prefer: "Preference | None") -> "tuple[Choice, str]":
    """A data set's choice and the sentence that tells it; without any wish the one that is recommended."""
    from distill.report.choose import Budget, choose, recommendation, recommended, sentence

    if budget == Budget(cascades=budget.cascades) and prefer is None:
        return choose(found, *recommended(found, budget.cascades)), recommendation(found, budget.cascades)
    choice = choose(found, budget, prefer or "score")
    return choice, sentence(choice, budget)
