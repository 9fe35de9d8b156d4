"""data/teachers/, data/students/, data/exports/, data/prepared/ → data/metrics/benchmark.json

A measurement is never the same twice, and holds for the machine that it names. The file is git-tracked and kept from DVC's
cache, as scores are: `dvc repro` measures again only when a model, an export or this code has changed, and the run-cache never
passes another machine's times off as this one's. `dvc repro --force --single-item benchmark` measures anew. It is no metric of
DVC's: thousands of numbers would drown `dvc metrics show`.
"""

from pathlib import Path

import click

from distill.console import PARAMS, command, say
from distill.files import to_json, write_text


@command
@click.option("--seconds", type=click.FloatRange(min=0), default=120.0, show_default=True, help="Of timing, at least.")
@click.option("--length", "lengths", type=click.IntRange(min=1), multiple=True, default=(32, 128), show_default=True)
@click.option("--batch", "batches", type=click.IntRange(min=1), multiple=True, default=(8, 32), show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="By default as many as torch takes: the cores, or OMP_NUM_THREADS.")
def main(seconds: float, lengths: tuple[int, ...], batches: tuple[int, ...], threads: int | None) -> None:
    """Time teachers, students and exports against each other, on the CPU; leave the machine alone meanwhile."""
    from distill.params.whole import load_params

    params = load_params(PARAMS)
    import torch

    from distill.benchmark.subjects import Subject
    from distill.benchmark.whole import Settings, benchmark
    from distill.prepared import Dataset

    def subject(kind: str, name: str, dataset: str, teacher: str) -> Subject:
        return Subject(kind, name, Dataset.open(Path("data/prepared", dataset)), params.origin(dataset), teacher)

    subjects = [subject("teachers", name, entry.dataset, name) for name, entry in params.teachers.items()]
    for name, entry in params.students.items():
        if entry.trains_head:
            first = params.members(entry.targets.partition("/")[0])[0]
            subjects.append(subject("students", name, entry.dataset, params.targets[first].teacher))
    measured = benchmark(subjects, Settings(seconds, lengths, batches, threads or torch.get_num_threads()))
    write_text(Path("data/metrics/benchmark.json"), to_json(measured))
    say(f"benchmark: {len(subjects)} models, {measured['machine']['threads']} threads; data/metrics/benchmark.json")


if __name__ == "__main__":
    main()
