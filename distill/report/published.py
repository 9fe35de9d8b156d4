"""What papers report of their methods and models, beside what was measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files import read_json
from distill.report.content import DataSet, Format, Model
from distill.report.parts import Block, Note
from distill.report.tables import NONE, Column, Table, make_table, millions, percent, times


@dataclass(frozen=True)
class Published:
    """A model of a paper: ratios to BERT-base (109M parameters)."""

    model: str
    recipe: str
    kept: float
    """The share of BERT-base's score."""
    of: str
    """Which score."""
    smaller: float
    """Times fewer parameters."""
    faster: float
    where: str
    """What `faster` was measured on."""
    source: str
    preset: str | None = None
    """Its shape's name in distill/presets.py, if it is timed by `make benchmark-presets`."""


PUBLISHED = (
    Published(
        "DistilBERT",
        "distilbert",
        *(0.97, "GLUE, development sets", 1.67, 1.6),
        "a Xeon E5-2690 v3, one row at a time",
        "Sanh et al. 2019, arXiv 1910.01108",
        "distilbert",
    ),
    Published(
        "BERT-PKD, 6 layers",
        "pkd",
        *((81.5 + 70.7 + 89.0 + 92.0 + 85.0 + 65.5) / (83.9 + 71.1 + 90.9 + 93.4 + 87.5 + 67.0), "six tasks of GLUE, test sets"),
        *(1.64, 2.0),
        "one K80 GPU",
        "Sun et al. 2019, arXiv 1908.09355; figures of Jiao et al. 2020",
    ),
    Published(
        "TinyBERT, 4 layers",
        "tinybert",
        *(0.968, "GLUE, test sets", 7.5, 9.4),
        "one K80 GPU",
        "Jiao et al. 2020, arXiv 1909.10351",
        "tinybert-4",
    ),
    Published(
        "TinyBERT, 6 layers",
        "tinybert",
        *(79.4 / 79.5, "GLUE, test sets", 1.64, 2.0),
        "one K80 GPU",
        "Jiao et al. 2020, arXiv 1909.10351",
        "tinybert-6",
    ),
    Published(
        "MobileBERT",
        "mobilebert",
        *(77.7 / 78.3, "GLUE, test sets", 4.3, 5.5),
        "a Pixel 4 phone, 128 tokens",
        "Sun et al. 2020, arXiv 2004.02984",
        "mobilebert",
    ),
    Published(
        "MiniLM, 6 layers",
        "minilm",
        *(0.99, "at least, on SQuAD 2.0 and several tasks of GLUE", 1.65, 2.0),
        "GPU",
        "Wang et al. 2020, arXiv 2002.10957",
    ),
)
"""Retention, size and speed as their abstracts or tables have them; a quotient of two scores is written as one."""
WHY = (
    "The papers distil BERT-base, 12 layers of 768, with the data and the computers that they had. What is measured here "
    "is of this teacher, this data set and this machine: compare the order of methods, not their heights."
)
PRESETS_FILE, WRITTEN = Path("metrics/presets.json"), "what `make benchmark-presets` writes"
REFERENCE_PRESET, TORCH, ONNX, INT8 = "bert-base", "torch-fp32", "onnx-fp32", "onnx-int8"


def published(data_set: DataSet) -> Block | None:
    """Each published model, and the best student here that its method made; none if none of the methods is in use."""
    measured = {known.recipe: own for known in PUBLISHED if (own := _best(data_set, known.recipe)) is not None}
    if not measured:
        return None
    return Block("Beside the papers", (methods(data_set, measured), Note(WHY, "quiet")))


def methods(data_set: DataSet, measured: Mapping[str, Model]) -> Table:
    """Published figures, then those of the best student here of the same recipe."""

    def here(known: Published) -> Model | None:
        return measured.get(known.recipe)

    columns: list[Column[Published]] = [
        Column("Model", lambda known: known.model, number=False),
        Column("Kept", lambda known: percent(known.kept)),
        Column("Smaller", lambda known: times(known.smaller)),
        Column("Faster", lambda known: times(known.faster)),
        Column("Student here", lambda known: own.name if (own := here(known)) else NONE, number=False),
        Column("Kept here", lambda known: percent(own.metrics["retention"]) if (own := here(known)) else NONE),
        Column("Smaller here", lambda known: times(_smaller(data_set, here(known)))),
        Column("Faster here", lambda known: times(_faster(here(known)))),
        Column("Where, and source", lambda known: f"{known.of}; {known.where}. {known.source}", number=False, prose=True),
    ]
    caption = "Kept: of the teacher’s score. Smaller: times fewer parameters. Faster: in torch, fp32"
    return make_table(caption, columns, PUBLISHED)


def presets(data: Path) -> Block | None:
    """What well-known shapes reach as INT8 files; None where `make benchmark-presets` has not been run.

    Raises:
        UserError: the file is damaged.
    """
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


def _smaller(data_set: DataSet, own: Model | None) -> float | None:
    teacher = data_set.teacher_of(own) if own is not None else None
    return teacher.parameters / own.parameters if own is not None and teacher is not None else None


def _faster(own: Model | None) -> float | None:
    form: Format | None = next((form for form in own.formats if form.name == TORCH), None) if own is not None else None
    return form.speedup if form is not None else None
