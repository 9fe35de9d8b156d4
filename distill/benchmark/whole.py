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
from distill.benchmark.memory import peak_memory
from distill.benchmark.rounds import Arm, Batch, Plan, Times, interleave
from distill.benchmark.statistics import latency, speedup, throughput
from distill.benchmark.subjects import TORCH, Subject, fits, flops, own_rows, random_rows
from distill.models import load_for

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


@dataclass(frozen=True)
class Loaded:
    """A model in one format."""

    subject: Subject
    run: Callable[[Batch], object]


def benchmark(subjects: Sequence[Subject], settings: Settings) -> dict[str, Any]:
    """Measure all models against each other; all are in memory at once.

    Raises:
        UserError: a model is missing or does not fit its data set.
    """
    torch.set_num_threads(settings.threads)
    abouts = {(subject.kind, subject.name): _about(subject, settings.lengths) for subject in subjects}
    loaded = {
        (subject.kind, subject.name, form): Loaded(subject, subject.runner(form, settings.threads))
        for subject in subjects
        for form in subject.files()
    }
    found = {key: {"bytes": entry.subject.bytes(key[2]), "latency": {}, "throughput": {}} for key, entry in loaded.items()}
    _time(loaded, abouts, found, settings)
    del loaded
    longest = max(settings.lengths, default=1)
    for subject in subjects:
        about = abouts[subject.kind, subject.name]
        length = max(map(int, about["flops"]), default=min(longest, subject.dataset.max_length))
        batch = random_rows(subject.dataset.vocabulary, length)(0)
        for form in subject.files():
            found[subject.kind, subject.name, form]["memory"] = peak_memory(subject, form, settings.threads, batch)
    return _document(abouts, found, settings)


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
    loaded: Mapping[Key, Loaded], abouts: Mapping[tuple[str, str], Any], found: dict[Key, dict[str, Any]], settings: Settings
) -> None:
    """Fill in latencies, throughputs and energy."""
    meter = Meter.find()
    share = settings.seconds / (1 + len(settings.lengths) + len(settings.batches))
    for setting in (ROWS, *map(str, settings.lengths)):
        arms = {key: _arm(entry, setting) for key, entry in loaded.items() if setting in (ROWS, *abouts[key[:2]]["flops"])}
        times = interleave(arms, Plan(share, LATENCY_CALLS), f"latency, {setting}", meter)
        for key, own in times.items():
            compared = _compared(loaded, times, key, own_lengths=setting == ROWS)
            found[key]["latency"][setting] = {**latency(own.seconds), **compared}
            if setting == ROWS:
                found[key]["joules"] = own.joules
    for size in settings.batches:
        arms = {key: Arm(own_rows(_rows(entry), size), entry.run) for key, entry in loaded.items()}
        times = interleave(arms, Plan(share, BATCH_CALLS), f"throughput, batches of {size}", meter)
        for key, own in times.items():
            compared = _compared(loaded, times, key, own_lengths=True)
            found[key]["throughput"][str(size)] = {**throughput(own.seconds, size), **compared}


def _arm(entry: Loaded, setting: str) -> Arm:
    if setting == ROWS:
        return Arm(own_rows(_rows(entry), 1), entry.run)
    return Arm(random_rows(entry.subject.dataset.vocabulary, int(setting)), entry.run)


def _rows(entry: Loaded) -> Any:
    return entry.subject.dataset.rows("test")


def _compared(loaded: Mapping[Key, Loaded], times: Mapping[Key, Times], key: Key, *, own_lengths: bool) -> dict[str, float]:
    """The speed-up over the teacher; none if it was not timed, or, where each reads its own rows, on those of other data."""
    own = loaded[key].subject
    reference = ("teachers", own.teacher, TORCH)
    if reference not in times or (own_lengths and loaded[reference].subject.origin != own.origin):
        return {}
    return speedup(times[reference].seconds, times[key].seconds)


def _document(abouts: Mapping[tuple[str, str], Any], found: Mapping[Key, Any], settings: Settings) -> dict[str, Any]:
    document: dict[str, Any] = {
        "machine": describe(settings.threads),
        "settings": {"lengths": list(settings.lengths), "batches": list(settings.batches), "seconds": settings.seconds},
        "teachers": {},
        "students": {},
    }
    for (kind, name), about in abouts.items():
        formats = {form: entry for (*owner, form), entry in found.items() if owner == [kind, name]}
        document[kind][name] = {**about, "formats": formats}
    return document
