"""What papers report of their methods and models, beside what was measured here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from distill.core.errors import UserError
from distill.core.files import read_json
from distill.core.quantities import millions
from distill.report.parts import Block, Note
from distill.report.records import DataSet, Model
from distill.report.tables import NONE, Column, Table, make_table, percent, times


@dataclass(frozen=True)
class Published:
    """A model of a paper, against BERT-base."""

    model: str
    recipe: str
    of: str
    """Which score `kept` is a share of."""
    smaller: float
    """Times fewer parameters."""
    faster: float
    where: str
    """What `faster` was measured on."""
    source: str
    kept: float
    """The share of BERT-base's score."""
    preset: str | None = None
    """Its shape's name in distill/params/inits.py, if it is timed by `make benchmark-presets`."""


def read_published() -> tuple[Published, ...]:
    """The figures of published.yaml."""
    entries = YAML(typ="safe", pure=True).load(Path(__file__).with_suffix(".yaml"))
    for entry in entries:
        if "scores" in entry:
            entry["kept"] = sum(entry.pop("scores")) / sum(entry.pop("bert_base"))
    return tuple(Published(**entry) for entry in entries)


PUBLISHED = read_published()
WHY = (
    "The papers distil BERT-base, 12 layers of 768, with the data and the computers that they had. What is measured here "
    "is of this teacher, this data set and this machine: compare the order of methods, not their heights."
)
PRESETS_FILE, WRITTEN = Path("metrics/presets.json"), "what `make benchmark-presets` writes"
REFERENCE_PRESET, TORCH, ONNX, INT8 = "bert-base", "torch-fp32", "onnx-fp32", "onnx-int8"


def published(data_set: DataSet) -> Block | None:
    """Each published model, and the best student here that its method made; none if none of the methods is in use."""
    measured = {known.recipe: student for known in PUBLISHED if (student := _best(data_set, known.recipe)) is not None}
    if not measured:
        return None
    return Block("Beside the papers", (methods(data_set, measured), Note(WHY, "quiet")))


def methods(data_set: DataSet, measured: Mapping[str, Model]) -> Table:
    """Published figures, then those of the best student here of the same recipe."""

    def here(title: str, text: Callable[[Model], str], number: bool = True) -> Column[Published]:
        return Column(title, lambda known: text(measured[known.recipe]) if known.recipe in measured else NONE, number)

    columns: list[Column[Published]] = [
        Column("Model", lambda known: known.model, number=False),
        Column("Kept", lambda known: percent(known.kept)),
        Column("Smaller", lambda known: times(known.smaller)),
        Column("Faster", lambda known: times(known.faster)),
        here("Student here", lambda student: student.name, number=False),
        here("Kept here", lambda student: percent(student.metrics["retention"])),
        here("Smaller here", lambda student: times(_smaller(data_set, student))),
        here("Faster here", lambda student: times(_faster(student))),
        Column("Where, and source", lambda known: f"{known.of}; {known.where}. {known.source}", number=False, prose=True),
    ]
    caption = "Kept: of the teacher’s score. Smaller: times fewer parameters. Faster: in torch, fp32"
    return make_table(caption, columns, PUBLISHED)


def presets(data: Path) -> Block | None:
    """What well-known shapes reach as INT8 files; None where `make benchmark-presets` has not been run."""
    path = data / PRESETS_FILE
    if not path.exists():
        return None
    record = read_json(path, WRITTEN)
    try:
        machine, models = record["machine"], list(record["models"].items())
        about = (
            f"Random weights: speed and size do not depend on what weights say. One row of {record['length']} tokens, "
            f"{machine['threads']} threads of {machine['processor']}, all in one run; sizes are of ONNX files."
        )
        return Block("Well-known shapes", (sizes(models), Note(about, "quiet")))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is damaged or of an older version ({error!r}); expected {WRITTEN}; run it again") from None


def sizes(models: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """A line a shape."""
    columns: list[Column[tuple[str, Mapping[str, Any]]]] = [
        Column("Shape", lambda row: row[0], number=False),
        Column("Parameters, M", lambda row: millions(row[1]["parameters"])),
        Column("fp32, MB", lambda row: millions(row[1]["bytes"][ONNX])),
        Column("INT8, MB", lambda row: millions(row[1]["bytes"][INT8])),
        Column("Smaller as INT8", lambda row: times(row[1]["bytes"][ONNX] / row[1]["bytes"][INT8])),
        Column("torch, fp32", lambda row: times(row[1]["formats"][TORCH]["over_reference"]["speedup"])),
        Column("ONNX, INT8", lambda row: times(row[1]["formats"][INT8]["over_reference"]["speedup"])),
    ]
    return make_table(f"Sizes, and speeds as times {REFERENCE_PRESET} in torch, fp32", columns, models)


def _best(data_set: DataSet, recipe: str) -> Model | None:
    kept = [model for model in data_set.students if model.recipe == recipe and "retention" in model.metrics]
    return max(kept, key=lambda model: model.metrics["retention"], default=None)


def _smaller(data_set: DataSet, student: Model) -> float | None:
    teacher = data_set.teacher_of(student)
    return teacher.parameters / student.parameters if teacher is not None else None


def _faster(student: Model) -> float | None:
    return next((form.speedup for form in student.formats if form.name == TORCH), None)
