"""The records under data/, gathered by data set."""

from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
from ruamel.yaml import YAML

from distill.choosing import SCORED, UNSCORED
from distill.detail.form import read_detail
from distill.errors import UserError
from distill.files import read_json
from distill.params.students import StudentSettings
from distill.params.whole import Params
from distill.report.content import (
    BASELINE,
    Audit,
    DataSet,
    Duplicates,
    Format,
    Model,
    Run,
    Split,
    Suspect,
    TargetSet,
    Taught,
)

ABOUT = ("task", "metric", "rows", "layers", "hidden_size", "parameters", "bytes", "seeds", "shipped")
"""What a metrics file says that is no measure."""
SPLITS = ("train", "validation", "test")
OWN_ROWS = "rows"
"""The setting of the benchmark in which a model reads rows of the test split, of their own lengths."""
WORST = 20
"""Rows of an audit that are shown, of each kind."""
Made = TypeVar("Made")


def gather(params: Params, data: Path) -> tuple[DataSet, ...]:
    """Read the records of every entry, in the order of params.yaml.

    Students whose head is not trained yet (an intermediate stage) are in the ledger alone: their scores say nothing.

    Args:
        params: All entries.
        data: The folder `data`.

    Raises:
        UserError: a file is missing or damaged; names it and the stage that writes it.
    """
    return tuple(_data_set(params, data, name) for name in params.datasets)


def _data_set(params: Params, data: Path, name: str) -> DataSet:
    about = _read(data / "runs/datasets" / f"{name}.json", f"prepare@{name}", _described)
    students = {key: entry for key, entry in params.students.items() if params.origin(entry.dataset) == name}
    read = {member for entry in students.values() for member in params.members(entry.targets.partition("/")[0])}
    targets = {key: entry for key, entry in params.targets.items() if params.origin(entry.dataset) == name or key in read}
    teaching = {entry.teacher for entry in targets.values()}
    return DataSet(
        name=name,
        **about,
        teachers=tuple(
            _teacher(data, key, entry.dataset if params.origin(entry.dataset) != name else "")
            for key, entry in params.teachers.items()
            if params.origin(entry.dataset) == name or key in teaching
        ),
        targets=tuple(_target_set(data, key, entry.teacher) for key, entry in targets.items()),
        students=tuple(_student(params, data, key, entry) for key, entry in students.items() if entry.trains_head),
        taught=tuple(_taught(params, data, key, entry) for key, entry in students.items() if entry.recipe != BASELINE),
        entries={key: _yaml({"students": {key: _settings(entry)}}) for key, entry in students.items()},
        machine=_read(data / "metrics/benchmark.json", "benchmark", _machine),
    )


def _described(record: Any) -> dict[str, Any]:
    return {
        "metric": record["metric"],
        "labels": tuple(record["labels"]),
        "max_length": record["max_length"],
        "splits": tuple(
            Split(name, part["rows"], part["transfer_rows"], part["truncated_rows"]) for name, part in _ordered(record["splits"])
        ),
        "duplicates": tuple(Duplicates(pair, found["exact"], found["near"]) for pair, found in _ordered(record["duplicates"])),
    }


def _ordered(by_split: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Splits, or pairs such as `train-test`, in the order in which they are used; JSON has them by name."""
    return sorted(by_split.items(), key=lambda item: [SPLITS.index(name) for name in item[0].split("-")])


def _teacher(data: Path, name: str, elsewhere: str) -> Model:
    """`elsewhere` is the data set that it was measured on, if that is another one: its scores compare with nothing here."""
    stage = f"evaluate-teacher@{name}"
    run = _read(data / "runs/teachers" / f"{name}.json", f"teacher@{name}", _run)
    about = _read(data / "metrics/teachers" / f"{name}.json", stage, _about)
    if elsewhere:
        return Model(name, "", f"teacher of {elsewhere}", **about | {"metrics": {}}, runs=(run,), detail=None, formats=())
    detail = read_detail(data / "evaluations/teachers" / name / "detail.json", stage)
    return Model(name, "", "teacher", **about, runs=(run,), detail=detail, formats=_formats(data, "teachers", name))


def _student(params: Params, data: Path, name: str, entry: StudentSettings) -> Model:
    members = params.members(entry.targets.partition("/")[0])
    teacher = " + ".join(dict.fromkeys(params.targets[member].teacher for member in members))
    about = _read(data / "metrics/students" / f"{name}.json", f"evaluate@{name}", _about)
    detail = read_detail(data / "evaluations/students" / name / "detail.json", f"evaluate@{name}")
    formats = _formats(data, "students", name)
    return Model(name, teacher, entry.recipe, **about, runs=_runs(data, name, entry), detail=detail, formats=formats)


def _about(record: Any) -> dict[str, Any]:
    measures = {record["metric"]: record[record["metric"]]} | {key: record[key] for key in sorted(record) if key not in ABOUT}
    shape = f"{record['layers']} × {record['hidden_size']}"
    return {"shape": shape, "metrics": measures, **{key: record[key] for key in ("rows", "parameters", "bytes")}}


def _runs(data: Path, name: str, entry: StudentSettings) -> tuple[Run, ...]:
    def build(record: Any) -> tuple[Run, ...]:
        runs = {run.seed: run for run in map(_run, record)}
        return tuple(runs[seed] for seed in entry.seeds)

    return _read(data / "runs/students" / f"{name}.json", f"student@{name}", build)


def _run(record: Any) -> Run:
    history = record["history"]
    return Run(
        record["seed"],
        record["seconds"],
        round(max((entry["epoch"] for entry in history), default=0)),
        tuple((entry["step"], entry["loss"]) for entry in history if "loss" in entry),
        tuple((entry["epoch"], entry["score"]) for entry in history if "score" in entry),
    )


def _formats(data: Path, kind: str, name: str) -> tuple[Format, ...]:
    """A model in all formats that were timed on its own rows, the reference first."""
    stage = "export" if kind == "students" else "export-teacher"
    files = _read(data / "metrics/exports" / kind / f"{name}.json", f"{stage}@{name}", dict)
    own = _read(data / "metrics" / kind / f"{name}.json", f"evaluate@{name}", dict)

    def build(record: Any) -> tuple[Format, ...]:
        timed = record[kind][name]["formats"]
        found = sorted(timed.items(), key=lambda item: (not item[0].startswith("torch"), "fp32" not in item[0], item[0]))
        return tuple(_format(form, entry, _score(form, own, files)) for form, entry in found)

    return _read(data / "metrics/benchmark.json", "benchmark", build)


def _score(form: str, own: Mapping[str, Any], files: Mapping[str, Any]) -> float | None:
    scores = files[SCORED[form]] if form in SCORED else own
    return None if form in UNSCORED else float(scores.get("shipped", scores[own["metric"]]))


def _format(name: str, entry: Any, score: float | None) -> Format:
    times = entry["latency"][OWN_ROWS]
    batches = entry["throughput"]
    fastest = batches[max(batches, key=int)]["rows_a_second"] if batches else None
    speedups = {key: times.get(key) for key in ("speedup", "speedup_low", "speedup_high")}
    measured = {key: times[key] for key in ("p50", "p50_low", "p50_high", "p95")}
    return Format(
        name, score, entry["bytes"], **measured, **speedups, rows_a_second=fastest, memory=entry["memory"]["process_bytes"]
    )


def _machine(record: Any) -> str:
    found = record["machine"]
    versions = ", ".join(f"{name} {found[name]}" for name in ("torch", "onnxruntime", "transformers"))
    return f"{found['processor']}, {found['threads']} of {found['cores']} cores, {versions}"


def _target_set(data: Path, name: str, teacher: str) -> TargetSet:
    losses = _read(data / "metrics/targets" / f"{name}.json", f"targets@{name}", dict)
    audit = _audit(data, name)

    def build(record: Any) -> TargetSet:
        computed, tokens = record["tokens_computed"], record["tokens"]
        return TargetSet(name, teacher, record["seconds"], computed, tokens, dict(record["bytes"]), losses, audit)

    return _read(data / "runs/targets" / f"{name}.json", f"targets@{name}", build)


def _audit(data: Path, name: str) -> Audit:
    path = data / "audits" / f"{name}.parquet"

    def build(record: Any) -> Audit:
        columns = ["text", "word", "label", "teacher", "confidence", "kind"]
        worst = []
        for kind in ("suspect", "hard"):
            rows = pq.read_table(path, columns=columns, filters=[("kind", "=", kind)]).slice(0, WORST).to_pylist()
            worst += [
                Suspect(
                    f"{row['word']} … in: {row['text']}" if row["word"] else row["text"],
                    **{key: row[key] for key in columns[2:]},
                )
                for row in rows
            ]
        return Audit(record["rows"], record["suspect"], record["hard"], record["confused"], tuple(worst))

    return _read(path.with_suffix(".json"), f"audit@{name}", build)


def _taught(params: Params, data: Path, name: str, entry: StudentSettings) -> Taught:
    members = params.members(entry.targets.partition("/")[0])
    augmented = entry.dataset in params.augmentations
    place, stage = ("runs/augmentations", "augment") if augmented else ("runs/datasets", "prepare")
    tokens = _read(
        data / place / f"{entry.dataset}.json",
        f"{stage}@{entry.dataset}",
        lambda record: (record if augmented else record["splits"]["train"])["tokens"],
    )
    sets = tuple(dict.fromkeys(members))
    rates = [_read(data / "runs/targets" / f"{own}.json", f"targets@{own}", _seconds_a_token) for own in sets]
    known = [rate for rate in rates if rate is not None]
    runs = _runs(data, name, entry)
    epochs = sum(run.epochs for run in runs)
    live = epochs * tokens * sum(known) if len(known) == len(rates) else None
    return Taught(name, sets, len(runs), epochs, live)


def _seconds_a_token(record: Any) -> float | None:
    return record["seconds"] / record["tokens_computed"] if record["tokens_computed"] else None


def _settings(entry: StudentSettings) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude_defaults=True)


def _yaml(content: Any) -> str:
    stream = StringIO()
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(content, stream)
    return stream.getvalue()


def _read(path: Path, stage: str, build: Callable[[Any], Made]) -> Made:
    """A file, built into what the report needs of it.

    Raises:
        UserError: the file is missing, is no JSON, or lacks something; names `stage`, which writes it.
    """
    what = f"what `dvc repro {stage}` writes"
    record = read_json(path, what)
    try:
        return build(record)
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise UserError(
            f"{path}: is damaged or of an older version ({type(error).__name__}: {error}); expected {what}; run it with --force"
        ) from None
