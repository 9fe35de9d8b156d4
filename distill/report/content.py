"""What the report tells: the metrics and run records under data/, gathered by data set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from distill.errors import UserError
from distill.files import read_json
from distill.params.students import StudentSettings
from distill.params.whole import Params

ABOUT = ("task", "metric", "rows", "layers", "hidden_size", "parameters", "bytes", "seeds")
"""What a metrics file says that is no measure."""
SPLITS = ("train", "validation", "test")
BASELINE = "supervised"
"""The recipe that reads no targets."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Run:
    """One training run: how long it took and its curves."""

    seed: int
    seconds: float
    losses: tuple[tuple[int, float], ...]
    """(step, training loss)."""
    scores: tuple[tuple[float, float], ...]
    """(epoch, score on the validation split)."""


@dataclass(frozen=True)
class Model:
    """A teacher or a student: what it is, how well it does on the test split, how it was trained."""

    name: str
    teacher: str
    """The name of a student's teacher; empty for a teacher."""
    recipe: str
    """A student's recipe, or `teacher`."""
    shape: str
    """Layers, × width if params.yaml says it; empty if it says neither."""
    metrics: Mapping[str, float]
    """Scores as fractions, log-loss and KL in nats, `NAME_sd` where there are several seeds; `retention` with `_low` and `_high`.
    Empty for a teacher that was measured on another data set."""
    rows: int
    """Of the test split that it was measured on."""
    parameters: int
    bytes: int
    """Of its weights on disk."""
    runs: tuple[Run, ...]

    @property
    def seconds(self) -> float:
        """The training time over all seeds."""
        return sum(run.seconds for run in self.runs)


@dataclass(frozen=True)
class TargetSet:
    """What a target set cost: the teacher's forward pass, and the disk."""

    name: str
    teacher: str
    seconds: float
    """As measured: for `computed` of `tokens` alone."""
    computed: int
    tokens: int
    bytes: Mapping[str, int]
    """By output: `logits`, `hidden-NN`."""


@dataclass(frozen=True)
class Split:
    """How many rows a split has, and which of them are special."""

    name: str
    rows: int
    transfer_rows: int
    """Without a label."""
    truncated_rows: int


@dataclass(frozen=True)
class Duplicates:
    """Rows of the second of a pair of splits that stand in the first too."""

    pair: str
    exact: int
    near: int


@dataclass(frozen=True)
class DataSet:
    """A data set and everything that was trained, computed and measured on it."""

    name: str
    metric: str
    """`accuracy`, `entity_f1` …: what retention is measured in."""
    labels: tuple[str, ...]
    max_length: int
    splits: tuple[Split, ...]
    duplicates: tuple[Duplicates, ...]
    teachers: tuple[Model, ...]
    targets: tuple[TargetSet, ...]
    students: tuple[Model, ...]

    @property
    def models(self) -> tuple[Model, ...]:
        """Teachers, then students."""
        return (*self.teachers, *self.students)


def gather(params: Params, data: Path) -> tuple[DataSet, ...]:
    """Read data/metrics and data/runs for every entry, in the order of params.yaml.

    Students whose head is not trained yet (an intermediate stage) are left out: their scores say nothing.

    Args:
        params: All entries.
        data: The folder `data`.

    Raises:
        UserError: a file is missing or damaged; names it and the stage that writes it.
    """
    return tuple(_data_set(params, data, name) for name in params.datasets)


def _data_set(params: Params, data: Path, name: str) -> DataSet:
    about = _read(data / "runs/datasets" / f"{name}.json", f"prepare@{name}", _described)
    targets = {key: entry for key, entry in params.targets.items() if params.origin(entry.dataset) == name}
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
        students=tuple(
            _student(data, key, entry, _teachers(params, entry.targets.partition("/")[0]))
            for key, entry in params.students.items()
            if params.origin(entry.dataset) == name and entry.trains_head
        ),
    )


def _teachers(params: Params, target_set: str) -> str:
    """The teachers that a student learns from; of an ensemble all of them."""
    return " + ".join(dict.fromkeys(params.targets[member].teacher for member in params.members(target_set)))


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

    def build(record: Any) -> Model:
        measured = {} if elsewhere else _metrics(record)
        recipe = f"teacher of {elsewhere}" if elsewhere else "teacher"
        return Model(name, "", recipe, _shape(record), measured, record["rows"], record["parameters"], record["bytes"], (run,))

    run = _read(data / "runs/teachers" / f"{name}.json", f"teacher@{name}", _run)
    return _read(data / "metrics/teachers" / f"{name}.json", f"evaluate-teacher@{name}", build)


def _student(data: Path, name: str, entry: StudentSettings, teacher: str) -> Model:
    def build(record: Any) -> Model:
        measured = _metrics(record)
        sizes = (record["rows"], record["parameters"], record["bytes"])
        return Model(name, teacher, entry.recipe, _shape(record), measured, *sizes, runs)

    def build_runs(record: Any) -> tuple[Run, ...]:
        runs = {run.seed: run for run in map(_run, record)}
        return tuple(runs[seed] for seed in entry.seeds)

    runs = _read(data / "runs/students" / f"{name}.json", f"student@{name}", build_runs)
    return _read(data / "metrics/students" / f"{name}.json", f"evaluate@{name}", build)


def _target_set(data: Path, name: str, teacher: str) -> TargetSet:
    def build(record: Any) -> TargetSet:
        computed, tokens = record["tokens_computed"], record["tokens"]
        return TargetSet(name, teacher, record["seconds"], computed, tokens, dict(record["bytes"]))

    return _read(data / "runs/targets" / f"{name}.json", f"targets@{name}", build)


def _run(record: Any) -> Run:
    history = record["history"]
    return Run(
        record["seed"],
        record["seconds"],
        tuple((entry["step"], entry["loss"]) for entry in history if "loss" in entry),
        tuple((entry["epoch"], entry["score"]) for entry in history if "score" in entry),
    )


def _metrics(record: Any) -> dict[str, float]:
    return {record["metric"]: record[record["metric"]]} | {name: record[name] for name in sorted(record) if name not in ABOUT}


def _shape(record: Mapping[str, Any]) -> str:
    return f"{record['layers']} × {record['hidden_size']}"


def _read(path: Path, stage: str, build: Callable[[Any], Made]) -> Made:
    """A file, built into what the report needs of it.

    Raises:
        UserError: the file is missing, is no JSON, or lacks something; names `stage`, which writes it.
    """
    what = f"what `dvc repro {stage}` writes"
    record = read_json(path, what)
    try:
        return build(record)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: is damaged or of an older version ({type(error).__name__}: {error}); expected {what}; run it with --force"
        ) from None
