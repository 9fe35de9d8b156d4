"""`make quality`: every method on every task, and what labels are worth; JSON to data/metrics, tables to docs/quality.md."""

import functools
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from distill.core.console import command, print_result
from distill.core.errors import UserError
from distill.core.files import to_json, write_text
from tests.benchmarks.quality import collecting, efficiency
from tests.benchmarks.quality.entries import ABLATION, DEFAULT, METHODS, TASKS, Task, methods_of
from tests.benchmarks.quality.params import task_params
from tests.benchmarks.quality.project import repro, write_project
from tests.benchmarks.quality.tables import efficiency_table, quality_tables, write_between

WORK = Path("data/.scratch/quality")
QUALITY = Path("data/metrics/quality.json")
EFFICIENCY = Path("data/metrics/label_efficiency.json")
VARIANTS = Path("data/metrics/ablation.json")
DOC = Path("docs/quality.md")
SAVING = threading.Lock()


@command
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folders sst2, snips, mrpc, xquad-en."
)
@click.option("--tasks", help=f"Of {', '.join(TASKS)}, with commas between them; all by default.")
@click.option("--students", help=f"Of {', '.join(METHODS)}, all by default; of {', '.join(ABLATION)}.")
@click.option("--seeds", default="1,2,3", show_default=True)
@click.option("--label-efficiency", type=click.Choice(["yes", "no", "only"]), default="yes", show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Tasks at a time; they share the cores.")
@click.option("--frozen", is_flag=True, help="Go on with the code that the work folders have.")
@click.option("--collect", is_flag=True, help="Run nothing; write what has been measured.")
def main(
    data: Path | None,
    tasks: str | None,
    students: str | None,
    seeds: str,
    label_efficiency: str,
    jobs: int,
    frozen: bool,
    collect: bool,
) -> None:
    """Train every student on every task in data/.scratch/quality/TASK; run again, it goes on."""
    chosen, names = listed(tasks, TASKS, "--tasks"), tuple(listed(students, METHODS | ABLATION, "--students") if students else ())
    numbers = [int(seed) for seed in seeds.split(",")]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    todo: list[tuple[str, float, Callable[[], str | None]]] = [
        (name, TASKS[name].minutes, functools.partial(run_task, name, data, names, numbers, threads, frozen, collect))
        for name in chosen
        if label_efficiency != "only"
    ]
    if label_efficiency == "only" or (label_efficiency == "yes" and not (tasks or students)):
        run = functools.partial(run_efficiency, data, numbers, threads, frozen, collect)
        todo.append((efficiency.NAME, efficiency.MINUTES, run))
    total = sum(minutes for _, minutes, _ in todo) * len(numbers) / 3
    if not collect:
        listing = ", ".join(name for name, _, _ in todo)
        print_result(f"{listing}: about {total / jobs:.0f} minutes on two cores if nothing is there yet")
    with ThreadPoolExecutor(jobs) as pool:
        problems = [problem for problem in pool.map(lambda entry: entry[2](), todo) if problem]
    write_documents()
    for problem in problems:
        print_result(problem)


def listed(given: str | None, known: Sequence[str] | dict[str, Any], option: str) -> list[str]:
    """The names of an option."""
    names = given.split(",") if given else list(known)
    for name in names:
        if name not in known:
            raise UserError(f"{option}: got '{name}', expected some of {', '.join(known)}")
    return names


def source_of(task: Task, data: Path | None) -> dict[str, Any] | None:
    """The entry of `sources`; None if the data cannot be had."""
    if data is not None and task.folder is not None and (data / task.folder).is_dir():
        return {"path": str((data / task.folder).absolute())}
    return dict(task.source) if task.source is not None else None


def run_task(
    name: str, data: Path | None, students: Sequence[str], seeds: Sequence[int], threads: int, frozen: bool, collect: bool
) -> str | None:
    """Train and measure a task's students; what went wrong, if anything did."""
    task, methods, folder = TASKS[name], methods_of(name, tuple(students)), WORK / name
    source = source_of(task, data)
    if source is None:
        return f"{name}: left out: no data; give --data, with the folder {task.folder}"
    content = task_params(name, task, methods, seeds, source, hub="hub" in source)
    problem = None
    if not collect:
        write_project(folder, content, frozen=frozen)
        if not repro(folder, [f"fetch@{name}"], threads):
            return f"{name}: left out: its data cannot be had (see {folder / 'log.txt'})"
        problem = evaluated(folder, [name], methods, threads)
    rows = collecting.collect(folder, name, methods)
    for path, known in ((QUALITY, METHODS), (VARIANTS, ABLATION)):
        if chosen := [row for row in rows if row["student"] in known]:
            save(path, chosen, {"task": list(TASKS), "student": list(known)})
    return problem


def run_efficiency(data: Path | None, seeds: Sequence[int], threads: int, frozen: bool, collect: bool) -> str | None:
    """Train and measure the students of few labels; what went wrong, if anything did."""
    folder, problem = WORK / efficiency.NAME, None
    if not collect:
        rows = folder / "rows"
        try:
            if not rows.exists():
                unfinished = folder / "rows-unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                efficiency.write_rows(tables_of(source_of(TASKS["sst2"], data) or {}), unfinished)
                unfinished.rename(rows)
        except (UserError, OSError) as error:
            return f"{efficiency.NAME}: left out: {error}"
        content = efficiency.efficiency_params(rows, seeds)
        write_project(folder, content, frozen=frozen)
        problem = evaluated(folder, content["teachers"], content["students"], threads)
    if (folder / "params.yaml").exists():
        tables = {"student": efficiency.TITLES, "labelled": efficiency.SIZES, "training": efficiency.TRAININGS}
        order = {key: list(table.values()) for key, table in tables.items()}
        save(EFFICIENCY, efficiency.collect_efficiency(folder, seeds), order)
    return problem


def evaluated(folder: Path, teachers: Iterable[str], students: Iterable[str], threads: int) -> str | None:
    """Evaluate models, which trains them first, and export the default one; what went wrong, if anything did."""
    stages = [*(f"evaluate-teacher@{name}" for name in teachers), *(f"evaluate@{name}" for name in students)]
    stages += [f"export@{name}" for name in students if name == DEFAULT]
    return None if repro(folder, stages, threads) else f"{folder.name}: not all of it ended well (see {folder / 'log.txt'})"


def tables_of(source: dict[str, Any]) -> dict[str, Any]:
    """The splits of SST-2; of the hub's, whose test rows have no labels, the validation split is the test."""
    from distill.sources.files import read_local
    from distill.sources.hub import fetch_hub

    streams = read_local(Path(source["path"])) if "path" in source else fetch_hub(source["hub"], None, None)
    tables = {split: stream.table() for split, stream in streams.items()}
    if "path" in source:
        return tables
    train = tables["train"].combine_chunks()
    held = efficiency.VALIDATION
    return {"train": train.slice(held), "validation": train.slice(0, held), "test": tables["validation"]}


def save(path: Path, rows: Sequence[collecting.Row], order: Mapping[str, Sequence[Any]]) -> None:
    """Merge rows into a JSON file."""
    with SAVING:
        write_text(path, to_json(collecting.merge(collecting.rows_in(path), rows, order)))


def write_documents() -> None:
    """Write the tables of what has been measured so far into docs/quality.md, and to the screen."""
    for path, name, made in (
        (QUALITY, "quality", quality_tables),
        (VARIANTS, "ablation", quality_tables),
        (EFFICIENCY, "label-efficiency", efficiency_table),
    ):
        if rows := collecting.rows_in(path):
            text = made(rows)
            write_between(DOC, name, text)
            print(f"\n{text}")


if __name__ == "__main__":
    main()
