"""What `evaluate` writes besides scores: data/evaluations/KIND/NAME/detail.json, which the report reads; no torch.

Of a student with several seeds it describes the one that is shipped, the best on validation.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from distill.core.errors import UserError
from distill.core.files import to_json


@dataclass(frozen=True)
class ClassScore:
    """A class, or an entity type: how well it is found among the test rows."""

    label: str
    support: int
    """How many rows, or entities, are of it."""
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Confusion:
    """Rows (or tags) of each label by what the model says of them."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """A line a true label, a column a predicted one."""


@dataclass(frozen=True)
class Bin:
    """Predictions of similar confidence: its mean, and how often the model is right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Coverage:
    """The surest rows, or questions: their share of all, and the share of them that is right."""

    share: float
    right: float


@dataclass(frozen=True)
class AnsweredAlone(Coverage):
    """Test rows that a student answers alone, at a confidence that was chosen on validation rows."""

    goal: float
    """The share of them that was right on validation, at least."""
    threshold: float
    """The confidence; 0 where all rows are answered."""


@dataclass(frozen=True)
class Agreement:
    """Rows, questions, tags or masked tokens by who is right; `neither_differ` counts those that are wrong in two ways."""

    both: int
    student_only: int
    teacher_only: int
    neither_same: int
    neither_differ: int


@dataclass(frozen=True)
class Example:
    """A test row where student and teacher part; of several such tags or masked tokens the surest."""

    text: str
    """What was read, shortened; parts of pairs on lines of their own, the tagged word in brackets, `[?]` for the masked one."""
    label: str
    teacher: str
    student: str
    teacher_confidence: float | None
    student_confidence: float | None
    right: Literal["teacher", "student", "neither"]
    """Of numbers: who is nearer."""


@dataclass(frozen=True)
class Continuation:
    """How a decoder goes on with a test row, the likeliest token after the other."""

    before: str
    """What it read, the end of it."""
    text: str
    """What the row says there."""
    said: str


@dataclass(frozen=True)
class Detail:
    """Empty or None where a task has no such thing (docs/tasks.md)."""

    task: str
    classes: tuple[ClassScore, ...] = ()
    confusion: Confusion | None = None
    calibration: tuple[Bin, ...] = ()
    agreement: Agreement | None = None
    """None for a teacher."""
    examples: tuple[Example, ...] = ()
    """Of a student; the surest first, of numbers those farthest apart."""
    coverage: tuple[Coverage, ...] = ()
    answered: AnsweredAlone | None = None
    """Of a student."""
    continuations: tuple[Continuation, ...] = ()
    """Of a decoder."""

    def to_json(self) -> str:
        """Sorted keys; the same bytes for the same content."""
        return to_json(asdict(self))


def read_detail(path: Path, stage: str) -> Detail:
    """What `stage` wrote."""
    adapter: TypeAdapter[Any] = TypeAdapter(Detail)
    try:
        found: Detail = adapter.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; expected what `dvc repro {stage}` writes") from None
    except ValidationError:
        raise UserError(f"{path}: is damaged or of an older version; run `dvc repro --force --single-item {stage}`") from None
    return found
