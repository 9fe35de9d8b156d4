"""data/metrics/benchmark.json: every model in every format, timed in one run.

    machine                              processor, threads, versions
    settings                             lengths, batch sizes, seconds
    teachers.NAME, students.NAME
        dataset, teacher, parameters
        flops.LENGTH
        formats.FORMAT                   torch-fp32, torch-bf16, onnx-fp32, onnx-int8
            bytes                        of the weights on disk
            latency.SETTING              ms of one row: `rows` (the test split's own lengths), or rows of so many tokens
            throughput.SIZE              rows a second, of the test split's rows in batches
            memory                       in a fresh process
            joules                       a row of `rows`; null where the machine does not tell

A speed-up is the ratio to the teacher as torch runs it in fp32, in the same run; rows of different data sets are not compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from distill.benchmark.machine import Meter, describe
from distill.benchmark.memory import Job, peak_memories
from distill.benchmark.runners import TORCH, Subject, fits, flops, random_rows, shuffled_rows
from distill.benchmark.statistics import latency, speedup, throughput
from distill.benchmark.timing import Arm, Batch, Duration, Times, interleave
from distill.models.loading import load_for

ROWS = "rows"
LATENCY_CALLS, BATCH_CALLS = 3, 1
Key = tuple[str, str, str]
"""Kind, name and format of a model."""


@dataclass(frozen=True)
class Settings:
    """What to measure, and for how long."""

    seconds: float
    """Of timing, over all settings; but at least 5 rounds each."""
    lengths: tuple[int, ...]
    batches: tuple[int, ...]
    threads: int


def benchmark(subjects: Sequence[Subject], settings: Settings) -> dict[str, Any]:
    """Measure all models against each other; all are in memory at once."""
    torch.set_num_threads(settings.threads)
    abouts = {(subject.kind, subject.name): _about(subject, settings.lengths) for subject in subjects}
    owners = {(subject.kind, subject.name, form): subject for subject in subjects for form in subject.files()}
    runs = {key: subject.runner(key[2], settings.threads) for key, subject in owners.items()}
    results = {key: {"bytes": subject.bytes(key[2]), "latency": {}, "throughput": {}} for key, subject in owners.items()}
    _time(owners, runs, abouts, results, settings)
    del runs
    for key, memory in zip(owners, peak_memories(_jobs(owners, abouts, settings)), strict=True):
        results[key]["memory"] = memory
    document: dict[str, Any] = {
        "machine": describe(settings.threads),
        "settings": {"lengths": list(settings.lengths), "batches": list(settings.batches), "seconds": settings.seconds},
        "teachers": {},
        "students": {},
    }
    for (kind, name), about in abouts.items():
        formats = {form: entry for (*owner, form), entry in results.items() if owner == [kind, name]}
        document[kind][name] = {**about, "formats": formats}
    return document


def _jobs(owners: Mapping[Key, Subject], abouts: Mapping[tuple[str, str], Any], settings: Settings) -> list[Job]:
    """Each model on the longest row of `lengths` that it has positions for."""
    longest, jobs = max(settings.lengths, default=1), []
    for (kind, name, form), subject in owners.items():
        length = max(map(int, abouts[kind, name]["flops"]), default=min(longest, subject.dataset.max_length))
        jobs.append((subject, form, settings.threads, random_rows(subject.dataset.vocabulary, length)(0)))
    return jobs


def _about(subject: Subject, lengths: Sequence[int]) -> dict[str, Any]:
    """What is true of a model in every format."""
    model, _ = load_for(subject.folder, subject.dataset)
    return {
        "dataset": subject.dataset.folder.name,
        "teacher": subject.teacher,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops": {str(length): flops(model, length) for length in lengths if fits(model, length)},
    }


def _time(
    owners: Mapping[Key, Subject],
    runs: Mapping[Key, Callable[[Batch], object]],
    abouts: Mapping[tuple[str, str], Any],
    results: dict[Key, dict[str, Any]],
    settings: Settings,
) -> None:
    """Fill in latencies, throughputs and energy."""
    meter = Meter.find()
    share = settings.seconds / (1 + len(settings.lengths) + len(settings.batches))
    for setting in (ROWS, *map(str, settings.lengths)):
        arms = {
            key: Arm(
                _test_rows(subject, 1) if setting == ROWS else random_rows(subject.dataset.vocabulary, int(setting)), runs[key]
            )
            for key, subject in owners.items()
            if setting in (ROWS, *abouts[key[:2]]["flops"])
        }
        times = interleave(arms, Duration(share, LATENCY_CALLS), f"latency, {setting}", meter)
        for key, timed in times.items():
            compared = _compared(owners, times, key, own_rows=setting == ROWS)
            results[key]["latency"][setting] = {**latency(timed.seconds), **compared}
            if setting == ROWS:
                results[key]["joules"] = timed.joules
    for size in settings.batches:
        arms = {key: Arm(_test_rows(subject, size), runs[key]) for key, subject in owners.items()}
        times = interleave(arms, Duration(share, BATCH_CALLS), f"throughput, batches of {size}", meter)
        for key, timed in times.items():
            compared = _compared(owners, times, key, own_rows=True)
            results[key]["throughput"][str(size)] = {**throughput(timed.seconds, size), **compared}


def _test_rows(subject: Subject, size: int) -> Callable[[int], Batch]:
    return shuffled_rows(subject.dataset.rows("test"), size)


def _compared(owners: Mapping[Key, Subject], times: Mapping[Key, Times], key: Key, *, own_rows: bool) -> dict[str, float]:
    """The speed-up over the teacher; none if it was not timed, or, where each reads its own rows, on those of other data."""
    reference = ("teachers", owners[key].teacher, TORCH)
    if reference not in times or (own_rows and owners[reference].origin != owners[key].origin):
        return {}
    return speedup(times[reference].seconds, times[key].seconds)
