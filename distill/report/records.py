"""What the report tells, by data set; `distill/report/gather.py` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distill.evaluation.details import Detail
from distill.params.task_specs import TASK_SPECS
from distill.tasks.judged import Judged

BASELINE = "supervised"
"""The recipe that reads no targets."""


@dataclass(frozen=True)
class Run:
    """One training run: how long it took and its curves."""

    seed: int
    seconds: float
    epochs: int
    """That were trained, the best one or not."""
    losses: tuple[tuple[int, float], ...]
    """(step, training loss)."""
    scores: tuple[tuple[float, float], ...]
    """(epoch, score on the validation split)."""


@dataclass(frozen=True)
class Format:
    """A model in one of the formats that were timed; times are of single rows of the test split."""

    name: str
    score: float | None
    """Of the very file; None where nobody measures it."""
    bytes: int
    p50: float
    """Milliseconds."""
    p50_low: float
    p50_high: float
    p95: float
    speedup: float | None
    """Over the teacher in torch, fp32; None if they were not timed on the same rows."""
    speedup_low: float | None
    speedup_high: float | None
    rows_a_second: float | None
    """In the largest batches that were timed."""
    memory: int
    """Bytes of a fresh process, at most."""


@dataclass(frozen=True)
class Model:
    """A teacher or a student: what it is, how well it does on the test split, how it was trained."""

    name: str
    teacher: str
    """The name of a student's teacher; empty for a teacher."""
    recipe: str
    """A student's recipe, or `teacher`."""
    shape: str
    """Layers × width."""
    metrics: Mapping[str, float]
    """Scores as fractions, log-loss and KL in nats, `NAME_sd` where there are several seeds; `retention` with `_low` and `_high`.
    Empty for a teacher that was measured on another data set."""
    rows: int
    """Of the test split that it was measured on."""
    parameters: int
    bytes: int
    """Of its weights on disk."""
    runs: tuple[Run, ...]
    detail: Detail | None
    """None for a teacher that was measured on another data set."""
    formats: tuple[Format, ...]
    """As timed; none for a teacher that was measured on another data set."""
    judged: tuple[Judged, ...] = field(default=(), compare=False, repr=False)
    """Of a student: its test rows, by each seed."""
    mended: str = ""
    """What became of an INT8 file that lost too much."""
    retention_rows: int | None = None
    """Of a student: how many test rows its teacher has answered, which retention and agreement are over; None of all."""
    further: str | None = None
    """Of a student: `folds` or `seeds`, if its teacher's answers are the mean of further ones, which scores `teacher_score`."""
    further_seconds: float = 0.0
    """Of a teacher: the training time of its further ones."""

    @property
    def measured_by(self) -> str:
        """Whose score a student's retention is of."""
        return f"its teacher {self.teacher}’s" if self.further is None else f"its teachers’ mean ({self.teacher}, {self.further})"

    @property
    def seconds(self) -> float:
        """The training time over all seeds."""
        return sum(run.seconds for run in self.runs)

    @property
    def label(self) -> str:
        """Its name in charts and tables of several models: a teacher and a student may share theirs."""
        return self.name if self.teacher else f"{self.name} (teacher)"


@dataclass(frozen=True)
class Suspect:
    """A training row whose label the teacher contradicts, or finds hard."""

    text: str
    label: str
    teacher: str
    """What the teacher says instead."""
    confidence: float | None
    """The probability of that; None for numbers."""
    kind: str
    """`suspect` or `hard`."""


@dataclass(frozen=True)
class Audit:
    """What a teacher thinks of the labels of its training rows."""

    rows: int
    suspect: int
    hard: int
    confused: Mapping[str, Mapping[str, int]]
    """Label → the teacher's label → suspects."""
    worst: tuple[Suspect, ...]
    """Of each kind the first few, by falling loss."""
    certainty: Mapping[str, Any]
    """How sure it is of `train` and `validation` rows and, with folds, of the former once `seen`: distill/audit/certainty.py."""


@dataclass(frozen=True)
class GivenAnswers:
    """How many rows of a split were given answers, and how good these are."""

    split: str
    rows: int
    answered: int
    score: float | None
    """In the data set's metric, on the rows that have a label; None if none has."""


@dataclass(frozen=True)
class TargetSet:
    """What a target set cost: the teacher's forward pass, and the disk; and what its teacher thinks of the labels."""

    name: str
    teacher: str
    seconds: float
    """As measured: for `computed` of `tokens` alone."""
    computed: int
    tokens: int
    bytes: Mapping[str, int]
    """By output: `logits`, `hidden-NN`."""
    losses: Mapping[str, Mapping[str, float]]
    """By output: `variance_lost`, `kl`, `replayed_kl`; outputs that are exact are not in it."""
    audit: Audit
    given: tuple[GivenAnswers, ...] = ()
    """By split; of answers that were given alone, which cost nothing here."""

    @property
    def full_seconds(self) -> float | None:
        """What the whole set takes: scaled up if a part came from an earlier run, None if all of it did."""
        return self.seconds * self.tokens / self.computed if self.computed else None


@dataclass(frozen=True)
class LiveTeacherCost:
    """What a live teacher would have computed for a student; those of intermediate stages count too."""

    name: str
    sets: tuple[str, ...]
    """The target sets that it reads; of an ensemble several."""
    seeds: int
    epochs: int
    """Over all seeds."""
    live_seconds: float | None
    """A forward pass over its training rows for each epoch; None if the time of a set is not known."""


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
    taught: tuple[LiveTeacherCost, ...]
    entries: Mapping[str, str]
    """The settings of each student, as YAML."""
    machine: str
    """What models were timed on."""

    @property
    def task(self) -> str:
        """What its models are for; empty if nobody has looked at one closely."""
        return next((model.detail.task for model in self.models if model.detail is not None), "")

    @property
    def units(self) -> str:
        """What scores are means over."""
        return TASK_SPECS[self.task].units if self.task else "rows"

    @property
    def correlated(self) -> bool:
        """Whether models agree by how far their answers, numbers or vectors, go together."""
        return bool(self.task) and TASK_SPECS[self.task].correlated

    @property
    def models(self) -> tuple[Model, ...]:
        """Teachers, then students."""
        return (*self.teachers, *self.students)

    def teacher_of(self, student: Model) -> Model | None:
        """The teacher that a student is compared with; None if that is an ensemble."""
        return next((model for model in self.teachers if model.name == student.teacher), None)
