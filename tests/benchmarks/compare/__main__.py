"""`make compare`: one student taught from the store, by TextBrewer and by a plain loop, both with the teacher running beside it.

All begin with the same initial student and read the same rows in as many steps, with the same loss, optimizer, schedule and
threads, each in processes and an environment of its own. Seconds are CPU time of whole processes, which other work on the
machine hardly changes: ours are the stages `targets` and `student`, so that the teacher's pass is in them; what a further student
takes from the store stands beside it.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from distill.core.console import command, print_result
from distill.core.errors import UserError
from distill.core.files import to_json, write_text
from tests.benchmarks.quality.__main__ import listed, source_of
from tests.benchmarks.quality.entries import MINILM, TASKS
from tests.benchmarks.quality.params import empty
from tests.benchmarks.quality.project import repro, write_project
from tests.projects import edit_params

WORK, OUT = Path("data/.scratch/compare"), Path("data/metrics/compare.json")
CHOSEN = "snips-intents,mrpc,sst2"
THEIRS = ("textbrewer==0.2.1.post1", "tensorboard", "setuptools", "torch", "transformers")
STUDENT = {"batch_size": 32, "temperature": 2.0, "alpha": 0.1, "schedule": "linear", "warmup": 0.1, "weight_decay": 0.01}
STUDENT |= {"max_grad_norm": 1.0}
PRECISIONS = {"fp32": "fp32", "auto": "auto"}
WAYS = {
    "textbrewer": "TextBrewer 0.2.1.post1, live teacher, fp32",
    "loop": "plain loop, live teacher, fp32",
    "fp32": "ours, fp32",
    "auto": "ours, auto",
}
Round = dict[str, dict[str, float]]
"""By way: `score`, `seconds`, and of ours `further`, the seconds without the teacher's pass."""


@command
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folders snips, mrpc, sst2.")
@click.option("--tasks", default=CHOSEN, show_default=True)
@click.option("--rows", default=2000, show_default=True, help="Training rows of each task.")
@click.option("--epochs", default=4, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Each with another seed, and the ways in another order.")
@click.option("--threads", default=1, show_default=True)
def main(data: Path | None, tasks: str, rows: int, epochs: int, rounds: int, threads: int) -> None:
    """Train every way in turn, and write their medians to data/metrics/compare.json."""
    python, results = environment(WORK / "environment"), []
    for name in listed(tasks, TASKS, "--tasks"):
        if TASKS[name].dataset.get("task", "sequence-classification") != "sequence-classification":
            raise UserError(f"--tasks {name}: is no sequence-classification; TextBrewer's side is written for that alone")
        source = source_of(TASKS[name], data)
        if source is None:
            raise UserError(f"{name}: no data; give --data, with the folder {TASKS[name].folder}")
        folder = prepare(name, source, rows, epochs, threads)
        found = [run_round(folder, name, number, epochs, threads, python) for number in range(1, rounds + 1)]
        results += [summary(name, way, found) for way in WAYS]
        write_text(OUT, to_json({"rows": rows, "epochs": epochs, "rounds": rounds, "threads": threads, "ways": results}))
        print_result(table([row for row in results if row["task"] == name]))
    click.echo(table(results))


def environment(folder: Path) -> Path:
    """The Python of an environment that has TextBrewer, and nothing of this project."""
    python = folder.absolute() / "bin/python"
    if not (folder / "done").exists():
        print_result(f"{folder}: installing {', '.join(THEIRS)}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", *THEIRS], check=True)
        (folder / "done").touch()
    return python


def prepare(name: str, source: dict[str, Any], rows: int, epochs: int, threads: int) -> Path:
    """A project with the teacher, the initial student and the tokenized rows."""
    task, folder = TASKS[name], WORK / name
    content = empty(datasets={"tokenizer": MINILM})
    content["sources"][name] = source
    limit = {**task.dataset.get("limit", {}), "train": rows}
    content["datasets"][name] = {"source": name, **task.dataset, **(task.hub if "hub" in source else {}), "limit": limit}
    content["teachers"][name] = {"dataset": name, "checkpoint": MINILM, "batch_size": 32, **task.teacher}
    content["targets"][name] = {"teacher": name, "dataset": name}
    init = {"from": f"data/teachers/{name}", "layers": [0, 1, 2]}
    common = {"recipe": "hinton", "dataset": name, "targets": f"{name}/logits", "init": init, "epochs": epochs, **STUDENT}
    common["learning_rate"] = task.student["learning_rate"]
    for precision in PRECISIONS:
        content["students"][precision] = {**common, "precision": precision}
    write_project(folder, content, frozen=False)
    if not repro(folder, [f"folds@{name}", *(f"init@{student}" for student in PRECISIONS)], threads):
        raise UserError(f"{name}: could not be prepared (see {folder / 'log.txt'})")
    write_rows(folder, name)
    return folder


def write_rows(folder: Path, name: str) -> None:
    """The training rows as the other side reads them: a JSON line each."""
    from distill.data.dataset import Dataset

    rows = Dataset.open(folder / "data/prepared" / name).rows("train")
    lines = []
    for row in range(len(rows)):
        start, end = rows.offsets[row : row + 2]
        content = {"input_ids": rows.tokens[start:end].tolist(), "labels": int(rows.labels[row])}
        if rows.token_types is not None:
            content["token_type_ids"] = rows.token_types[start:end].tolist()
        lines.append(json.dumps(content))
    write_text(folder / "rows.jsonl", "\n".join(lines) + "\n")


def run_round(folder: Path, name: str, number: int, epochs: int, threads: int, python: Path) -> Round:
    """Train each way with the round's seed, in the round's order."""
    variables = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}

    def run(*words: object) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            subprocess.run([*map(str, words)], cwd=folder, env=variables, stdout=log, stderr=log, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def theirs(way: str) -> dict[str, float]:
        student = folder / "students" / way
        shutil.rmtree(student, ignore_errors=True)
        initial = f"data/inits/{next(iter(PRECISIONS))}"
        spec = {**STUDENT, "epochs": epochs, "seed": number, "learning_rate": TASKS[name].student["learning_rate"]}
        spec |= {"rows": "rows.jsonl", "teacher": f"data/teachers/{name}", "initial": initial}
        write_text(folder / "spec.json", to_json({**spec, "student": f"students/{way}", "scratch": "students/scratch"}))
        seconds = run(python, Path(__file__).with_name("live_teacher.py").absolute(), way, "spec.json")
        return {"seconds": seconds, "score": score(folder, name, student)}

    def ours(way: str) -> dict[str, float]:
        for place in (f"targets/{name}", f"students/{way}", ".scratch"):
            shutil.rmtree(folder / "data" / place, ignore_errors=True)
        edit_params(folder, students={way: {"seeds": [number]}})
        first = run(sys.executable, "-m", "stages.targets", name)
        further = run(sys.executable, "-m", "stages.student", way)
        return {"seconds": first + further, "further": further, "score": score(folder, name, folder / "data/students" / way)}

    runs: dict[str, Callable[[str], dict[str, float]]] = {way: ours if way in PRECISIONS else theirs for way in WAYS}
    order = list(runs)[number % len(runs) :] + list(runs)[: number % len(runs)]
    return {way: runs[way](way) for way in order}


def score(folder: Path, name: str, student: Path) -> float:
    """In percent of the test rows, in the data set's own metric."""
    from distill.data.dataset import Dataset
    from distill.models.loading import load_for
    from distill.models.predict import predict
    from distill.tasks.base import EvaluationSplit
    from distill.tasks.registry import task_of

    dataset = Dataset.open(folder / "data/prepared" / name)
    split, task = EvaluationSplit.from_dataset(dataset, "test"), task_of(dataset.task)
    if not (student / "tokenizer.json").exists():
        for file in (folder / "data/teachers" / name).glob("tokenizer*"):
            shutil.copy(file, student)
    model, _ = load_for(student, dataset)
    return 100 * task.score(dataset.metric, task.judge(predict(model.eval(), task, split.rows, "score"), split))


def summary(task: str, way: str, rounds: list[Round]) -> dict[str, Any]:
    """Medians over rounds; ratios are those of the same round."""
    found: dict[str, Any] = {"task": task, "way": way}
    for key in rounds[0][way]:
        found[key] = statistics.median(each[way][key] for each in rounds)
    found["faster"] = statistics.median(each["textbrewer"]["seconds"] / each[way]["seconds"] for each in rounds)
    if "further" in found:
        found["further_faster"] = statistics.median(each["textbrewer"]["seconds"] / each[way]["further"] for each in rounds)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| task | | score | CPU seconds | times TextBrewer's speed | a further student |", "|---|---|---:|---:|---:|---:|"]
    for row in rows:
        more = f"{row['further']:.0f} s, {row['further_faster']:.1f}×" if "further" in row else "–"
        figures = f"{row['score']:.1f} | {row['seconds']:.0f} | {row['faster']:.1f}× | {more} |"
        lines.append(f"| {row['task']} | {WAYS[row['way']]} | {figures}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
