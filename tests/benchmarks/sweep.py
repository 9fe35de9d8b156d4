"""`python -m tests.benchmarks.sweep`: small students by one worker and by several, how much faster and with which scores."""

import tempfile
import time
from pathlib import Path

import click

from distill.core.console import command, print_result
from tests.projects import PARAMS, commit, copy, make_origin, make_project, run, run_pipeline


@command
@click.option("--students", default=8, show_default=True)
@click.option(
    "--jobs",
    default="1,4",
    show_default=True,
    help="Trials at a time, in one run after the other.",
)
@click.option("--epochs", default=100, show_default=True, help="Of each student: ten steps each.")
def main(students: int, jobs: str, epochs: int) -> None:
    """Sweep over temperatures, with a thread each, in copies of one project whose teacher and targets are done."""
    values = ",".join(str(1 + number) for number in range(students))
    with tempfile.TemporaryDirectory() as base:
        done = Path(base, "done")
        params = PARAMS.replace("students: {epochs: 1", f"students: {{epochs: {epochs}").replace(
            "temperature: 4", "temperature: 9"
        )
        make_project(done, make_origin(Path(base, "origin")), params)
        run_pipeline(done, "init@hinton", "targets@tiny")
        run(
            done,
            "dvc commit --force check fetch@tiny transfer@tiny prepare@tiny teacher@tiny folds@tiny targets@tiny init@hinton",
        )
        commit(done, "teacher and targets")
        seconds, tables = {}, {}
        for count in map(int, jobs.split(",")):
            project = copy(done, Path(base, f"jobs-{count}"))
            start = time.perf_counter()
            found = run(
                project, f"python -m distill sweep -S students.hinton.temperature={values} --threads 1 --jobs {count} --quiet"
            )
            seconds[count] = time.perf_counter() - start
            tables[count] = [line for line in found.splitlines() if line.startswith(("experiment", "hinton-"))]
            print_result(f"{students} students, {count} at a time: {seconds[count]:.0f} s")
    first, *others = seconds
    for count in others:
        same = "the same scores" if tables[count] == tables[first] else "OTHER SCORES"
        click.echo(f"{count} at a time / {first}: {seconds[first] / seconds[count]:.2f} times as fast, {same}")


if __name__ == "__main__":
    main()
