"""The records under data/, gathered by data set."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from distill.core.errors import UserError
from distill.core.files import read_json
from distill.core.settings import SPLITS
from distill.evaluation.details import read_detail
from distill.params.resolved import Resolved, Student
from distill.report.candidates import SCORED, UNSCORED
from distill.report.records import (
    BASELINE,
    Audit,
    DataSet,
    Duplicates,
    Format,
    GivenAnswers,
    LiveTeacherCost,
    Model,
    Run,
    Split,
    Suspect,
    TargetSet,
)
from distill.tasks.judged import Judged, read_judged

ABOUT = (
    "task",
    "metric",
    "rows",
    "layers",
    "hidden_size",
    "parameters",
    "bytes",
    "seeds",
    "shipped",
    "retention_rows",
    "further",
    "cascade",
)
"""What a metrics file says that is no measure."""
ROWS = ("rows", "transfer_rows", "truncated_rows")
"""What a split counts."""
OWN_ROWS = "rows"
"""The setting of the benchmark in which a model reads rows of the test split, of their own lengths."""
WORST = 20
"""Rows of an audit that are shown, of each kind."""


def gather(params: Resolved, data: Path) -> tuple[DataSet, ...]:
    """Read the records of every entry under the folder `data`, in the order of params.yaml.

    Students whose head is not trained yet (an intermediate stage) are in the cost comparison alone: their scores say nothing.

    Raises:
        UserError: a file is missing or damaged; names it and the stage that writes it.
    """
    with _record(data / "metrics/benchmark.json", "benchmark") as benchmark:
        machine = benchmark["machine"]
        versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "onnxruntime", "transformers"))
        described = f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores, {versions}"
    return tuple(_data_set(params, data, name, benchmark, described) for name in params.datasets)


@contextmanager
def _record(path: Path, stage: str, content: Any = None) -> Iterator[Any]:
    """A file's content, or `content` if it has been read already; where it lacks what is looked up, the error names the stage."""
    what = f"what `dvc repro {stage}` writes"
    try:
        yield read_json(path, what) if content is None else content
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        reason = f"is damaged or of an older version ({type(error).__name__}: {error})"
        raise UserError(f"{path}: {reason}; expected {what}; run it with --force --single-item") from None


def _data_set(params: Resolved, data: Path, name: str, benchmark: Any, machine: str) -> DataSet:
    entries = [entry for entry in params.students if entry.origin == name]
    read = {target_set for entry in entries for target_set in entry.targets}
    targets = [entry for entry in params.targets if entry.origin == name or entry.name in read]
    teaching = {entry.teacher for entry in targets}
    sets = {entry.name: (_given_set if entry.given else _target_set)(data, entry.name, entry.teacher) for entry in targets}
    runs = {entry.name: _runs(data, entry) for entry in entries}
    teachers = [
        _teacher(data, entry.name, "" if entry.origin == name else entry.dataset, benchmark)
        for entry in params.teachers
        if entry.origin == name or entry.name in teaching
    ]
    students = [
        _model(data, "students", entry.name, " + ".join(entry.teachers), entry.recipe, runs[entry.name], benchmark)
        for entry in entries
        if entry.trains_head
    ]
    taught = [_taught(data, entry, runs[entry.name], sets) for entry in entries if entry.recipe != BASELINE]
    with _record(data / "runs/datasets" / f"{name}.json", f"prepare@{name}") as record:
        return DataSet(
            name,
            record["metric"],
            tuple(record["labels"]),
            record["max_length"],
            tuple(Split(split, *(part[key] for key in ROWS)) for split, part in _ordered(record["splits"])),
            tuple(Duplicates(pair, rows["exact"], rows["near"]) for pair, rows in _ordered(record["duplicates"])),
            tuple(teachers),
            tuple(sets.values()),
            tuple(students),
            tuple(taught),
            entries={entry.name: entry.settings for entry in entries},
            machine=machine,
        )


def _ordered(by_split: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Splits, or pairs such as `train-test`, in the order in which they are used; JSON has them by name."""
    return sorted(by_split.items(), key=lambda item: [SPLITS.index(name) for name in item[0].split("-")])


def _teacher(data: Path, name: str, elsewhere: str, benchmark: Any) -> Model:
    """`elsewhere` is the data set that it was measured on, if that is another one: its scores compare with nothing here."""
    with _record(data / "runs/teachers" / f"{name}.json", f"teacher@{name}") as record:
        runs = (_run(record),)
    model = replace(_model(data, "teachers", name, "", "teacher", runs, benchmark), further_seconds=_further(data, name))
    return replace(model, recipe=f"teacher of {elsewhere}", metrics={}, detail=None, formats=()) if elsewhere else model


def _further(data: Path, name: str) -> float:
    """Seconds that a teacher's further ones took; none where no target set has asked for them."""
    path = data / "runs/folds" / f"{name}.json"
    if not path.exists():
        return 0.0
    with _record(path, f"folds@{name}") as record:
        return float(sum(run["seconds"] for run in record))


def _model(data: Path, kind: str, name: str, teacher: str, recipe: str, runs: tuple[Run, ...], benchmark: Any) -> Model:
    suffix = f"@{name}" if kind == "students" else f"-teacher@{name}"
    with _record(data / "metrics/exports" / kind / f"{name}.json", f"export{suffix}") as record:
        exports = dict(record)
    with _record(data / "metrics" / kind / f"{name}.json", f"evaluate{suffix}") as record:
        metric = record["metric"]
        return Model(
            name,
            teacher,
            recipe,
            shape=f"{record['layers']} × {record['hidden_size']}",
            metrics={metric: record[metric]} | {key: record[key] for key in sorted(record) if key not in ABOUT},
            rows=record["rows"],
            parameters=record["parameters"],
            bytes=record["bytes"],
            runs=runs,
            detail=read_detail(data / "evaluations" / kind / name / "detail.json", f"evaluate{suffix}"),
            formats=_formats(data, kind, name, record, exports, benchmark),
            judged=_judged(data / "evaluations/students" / name, runs, f"evaluate{suffix}") if kind == "students" else (),
            mended=exports["quantization"]["told"],
            retention_rows=record.get("retention_rows"),
            further=record.get("further"),
        )


def _judged(folder: Path, runs: tuple[Run, ...], stage: str) -> tuple[Judged, ...]:
    found = read_judged(folder, "test", stage)
    return tuple(found[str(run.seed)] for run in runs)


def _runs(data: Path, entry: Student) -> tuple[Run, ...]:
    with _record(data / "runs/students" / f"{entry.name}.json", f"student@{entry.name}") as record:
        runs = {run.seed: run for run in map(_run, record)}
        return tuple(runs[seed] for seed in entry.seeds)


def _run(record: Any) -> Run:
    history = record["history"]
    return Run(
        record["seed"],
        record["seconds"],
        round(max((entry["epoch"] for entry in history), default=0)),
        tuple((entry["step"], entry["loss"]) for entry in history if "loss" in entry),
        tuple((entry["epoch"], entry["score"]) for entry in history if "score" in entry),
    )


def _formats(data: Path, kind: str, name: str, scores: Any, exports: Any, benchmark: Any) -> tuple[Format, ...]:
    """A model in all formats that were timed on its own rows, the reference first."""
    with _record(data / "metrics/benchmark.json", "benchmark", benchmark) as record:
        formats = record[kind][name]["formats"]
        order = sorted(formats, key=lambda form: (not form.startswith("torch"), "fp32" not in form, form))
        return tuple(
            _format(form, formats[form], exports[SCORED[form]] if form in SCORED else scores, scores["metric"]) for form in order
        )


def _format(name: str, entry: Any, scores: Mapping[str, Any], metric: str) -> Format:
    times, batches = entry["latency"][OWN_ROWS], entry["throughput"]
    return Format(
        name,
        None if name in UNSCORED else float(scores.get("shipped", scores[metric])),
        entry["bytes"],
        **{key: times[key] for key in ("p50", "p50_low", "p50_high", "p95")},
        **{key: times.get(key) for key in ("speedup", "speedup_low", "speedup_high")},
        rows_a_second=batches[max(batches, key=int)]["rows_a_second"] if batches else None,
        memory=entry["memory"]["process_bytes"],
    )


def _target_set(data: Path, name: str, teacher: str) -> TargetSet:
    with _record(data / "metrics/targets" / f"{name}.json", f"targets@{name}") as record:
        losses = dict(record)
    audit = _audit(data / "audits" / f"{name}.parquet", name)
    with _record(data / "runs/targets" / f"{name}.json", f"targets@{name}") as record:
        computed, tokens = record["tokens_computed"], record["tokens"]
        return TargetSet(name, teacher, record["seconds"], computed, tokens, dict(record["bytes"]), losses, audit)


def _given_set(data: Path, name: str, teacher: str) -> TargetSet:
    with _record(data / "runs/given" / f"{name}.json", f"given@{name}") as record:
        answered = [
            GivenAnswers(split, part["rows"], part["answered"], part["scores"].get(record["metric"]))
            for split, part in sorted(record["splits"].items(), key=lambda item: SPLITS.index(item[0]))
        ]
        tokens, sizes = record["tokens"], dict(record["bytes"])
    audit = _audit(data / "audits" / f"{name}.parquet", name, "given")
    return TargetSet(name, teacher, 0.0, 0, tokens, sizes, {}, audit, tuple(answered))


def _audit(path: Path, name: str, stage: str = "audit") -> Audit:
    columns = ["text", "word", "label", "teacher", "confidence", "kind"]
    with _record(path.with_suffix(".json"), f"{stage}@{name}") as record:
        worst = [
            Suspect(f"{word} … in: {text}" if word else text, *rest)
            for kind in ("suspect", "hard")
            for text, word, *rest in zip(
                *pq.read_table(path, columns=columns, filters=[("kind", "=", kind)]).slice(0, WORST).to_pydict().values(),
                strict=True,
            )
        ]
        counts = (record["rows"], record["suspect"], record["hard"], record["confused"])
        return Audit(*counts, tuple(worst), dict(record["certainty"]))


def _taught(data: Path, entry: Student, runs: tuple[Run, ...], sets: Mapping[str, TargetSet]) -> LiveTeacherCost:
    """Of a set of which nothing was computed in this run, no time is known."""
    place, stage = ("runs/augmentations", "augment") if entry.augmented else ("runs/datasets", "prepare")
    with _record(data / place / f"{entry.dataset}.json", f"{stage}@{entry.dataset}") as record:
        tokens = (record if entry.augmented else record["splits"]["train"])["tokens"]
    read, epochs = [sets[name] for name in entry.targets], sum(run.epochs for run in runs)
    known = all(targets.computed for targets in read)
    live = epochs * tokens * sum(targets.seconds / targets.computed for targets in read) if known else None
    return LiveTeacherCost(entry.name, entry.targets, len(runs), epochs, live)
