"""data/jobs/benchmark.json, data/teachers/, data/students/, data/exports/, data/prepared/ → data/metrics/benchmark.json

A measurement holds for the machine that it names. The file is git-tracked and kept from DVC's cache, as scores are: `dvc repro`
measures again only when a model, an export or this code has changed (`--force --single-item benchmark`: in any case), and the
run-cache passes no other machine's times off as this one's. It is no metric of DVC's: it would drown `dvc metrics show`.
"""

from pathlib import Path

import click

from distill.core.console import Number, command, print_result
from distill.core.files import to_json, write_text


@command
@click.option(
    "--seconds",
    type=Number(min=0),
    default=40.0,
    show_default=True,
    help="Of timing, at most, once there are 5 rounds.",
)
@click.option("--length", "lengths", type=click.IntRange(min=1), multiple=True, default=(32, 128), show_default=True)
@click.option("--batch", "batches", type=click.IntRange(min=1), multiple=True, default=(8, 32), show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="By default as many as torch takes: the cores, or OMP_NUM_THREADS.")
def main(seconds: float, lengths: tuple[int, ...], batches: tuple[int, ...], threads: int | None) -> None:
    """Time teachers, students and exports against each other, on the CPU; leave the machine alone meanwhile."""
    from distill.params.resolved import BenchmarkJob, read_job

    job = read_job(BenchmarkJob, Path("data/jobs/benchmark.json"))
    import torch

    from distill.benchmark.benchmark import Settings, benchmark
    from distill.benchmark.runners import Subject
    from distill.data.dataset import Dataset

    subjects = [
        Subject(model.kind, model.name, Dataset.open(Path("data/prepared", model.dataset)), model.origin, model.teacher)
        for model in job.models
    ]
    measured = benchmark(subjects, Settings(seconds, lengths, batches, threads or torch.get_num_threads()))
    write_text(Path("data/metrics/benchmark.json"), to_json(measured))
    print_result(f"benchmark: {len(subjects)} models, {measured['machine']['threads']} threads; data/metrics/benchmark.json")


if __name__ == "__main__":
    main()
