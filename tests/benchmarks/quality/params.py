"""The params.yaml of one task's work folder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from distill.core.settings import SECTIONS
from distill.pipeline.suggestion import COPIES, SEEDS, gains_by_copies, gains_by_teachers, half_of_layers, weight_of_labels
from tests.benchmarks.quality.entries import MINILM, Method, Settings, Task

KEPT = {"hidden": [0, 2, 3, 4, 6], "cls": [2, 4], "attention": [2, 4, 6], "relations": [6]}
"""What the teacher's 6 layers leave behind for all half-depth students."""
NARROW_KEPT = {"hidden": [0, 1, 3, 4, 6], "attention": [1, 3, 4, 6]}
"""The same for the narrow student's `layer_map`."""
LAYERS, BATCH = 6, 32


def empty(**defaults: Settings) -> dict[str, Any]:
    """All sections, without an entry."""
    content: dict[str, Any] = {"defaults": {section: dict(defaults.get(section, {})) for section in SECTIONS}}
    return content | {section: {} for section in SECTIONS}


def task_params(
    name: str, task: Task, methods: Mapping[str, Method], seeds: Sequence[int], source: Settings, hub: bool = False
) -> dict[str, Any]:
    """The entries of a task: one teacher, one target set, the students of each method.

    Earlier stages of a chain are trained once, with the first seed. `source` is the entry of `sources`, `hub` whether that is the
    hub's copy.
    """
    kind = task.dataset.get("task", "sequence-classification")
    methods = {student: _as_new(method, kind) for student, method in methods.items()}
    inherited = {"batch_size": BATCH, **task.student, "seeds": list(seeds)}
    content = empty(datasets={"tokenizer": MINILM}, teachers={"batch_size": BATCH}, students=inherited)
    content["sources"][name] = dict(source)
    content["datasets"][name] = {"source": name, **task.dataset, **(task.hub if hub else {})}
    content["teachers"][name] = {"dataset": name, "checkpoint": MINILM, **task.teacher}
    if any("TASK" in method.datasets for method in methods.values()):
        content["targets"][name] = {"teacher": name, "dataset": name, **KEPT}
    if any("TASK-copies" in method.datasets for method in methods.values()):
        content["augmentations"][f"{name}-copies"] = {"of": name, "teacher": name, "copies": COPIES}
        content["targets"][f"{name}-copies"] = {"teacher": name, "dataset": f"{name}-copies"}
    for method in (method for method in methods.values() if method.teachers):
        teacher = method.answers(name)
        content["teachers"][teacher] = {**content["teachers"][name], **method.teachers}
        for dataset in sorted(dataset.replace("TASK", name) for dataset in method.datasets):
            content["targets"][method.answers(dataset)] = {"teacher": teacher, "dataset": dataset}
    if augmented := [method for method in methods.values() if "TASK-augmented" in method.datasets]:
        _augment(content, name, task, KEPT if augmented[0].half_depth else NARROW_KEPT)
    for student, method in methods.items():
        first = task.first if method.half_depth else {}
        init = {**method.init, "from": method.init["from"].replace("TEACHER", name)}
        if init.pop("as_new", False):
            init["layers"] = half_of_layers(kind, LAYERS)
        content["students"] |= chain(student, method, name, init, seeds, inherited["epochs"], first)
    return content


def chain(
    student: str, method: Method, task: str, init: Settings, seeds: Sequence[int], epochs: int, first: Settings
) -> dict[str, dict[str, Any]]:
    """A method's students: STUDENT-1, …, and the last one, STUDENT, each initialized from the one before it.

    `init` is how the first is, `first` says what the task's earlier stages have, where the method's do not say it themselves.
    """
    entries: dict[str, dict[str, Any]] = {}
    for number, stage in enumerate(method.stages, start=1):
        last = number == len(method.stages)
        name = student if last else f"{student}-{number}"
        settings = stage if last else {**first, **stage}
        dataset = settings.get("dataset", method.dataset).replace("TASK", task)
        targets = method.answers(dataset)
        entries[name] = {
            **{key: value for key, value in settings.items() if key != "epochs_factor"},
            "dataset": dataset,
            "targets": targets if stage["recipe"] not in ("supervised", "hinton") else f"{targets}/logits",
            "init": init,
            "epochs": round(epochs * settings.get("epochs_factor", 1)),
            **({} if last else {"seeds": list(seeds[:1])}),
        }
        init = {"from": f"data/students/{name}"}
    return entries


def _as_new(method: Method, kind: str) -> Method:
    """A method of one stage, with the data of `new`: copies if it makes any, else the rows alone, read as often.

    So are its teachers, more than one where their mean teaches more, and the weight of labels.
    """
    if method.dataset != "as_new":
        return method
    copies = gains_by_copies(kind)
    longer = {**method.stages[0], "epochs_factor": method.stages[0]["epochs_factor"] * (1 if copies else 1 + COPIES)}
    stages = ({**longer, "alpha": weight_of_labels(kind)} if longer.get("alpha") == "as_new" else longer,)
    teachers = {"seeds": SEEDS} if copies and gains_by_teachers(kind) else {}
    return replace(method, dataset="TASK-copies" if copies else "TASK", stages=stages, teachers=teachers)


def _augment(content: dict[str, Any], name: str, task: Task, targets: Settings) -> None:
    """The augmented data set: refilled by MiniLM, which learns to fill masks from the task's own sentences."""
    corpus, augmented = f"{name}-masked", f"{name}-augmented"
    kept = {key: task.dataset[key] for key in ("limit", "max_length") if key in task.dataset}
    columns = {"text": next(task.dataset["columns"][part] for part in ("text", "context") if part in task.dataset["columns"])}
    content["datasets"][corpus] = {"source": name, "task": "masked-lm", "columns": columns, **kept}
    content["teachers"][corpus] = {"dataset": corpus, "checkpoint": MINILM, "epochs": 3, "learning_rate": 5e-4}
    content["augmentations"][augmented] = {"of": name, "teacher": corpus, "copies": COPIES}
    content["targets"][augmented] = {"teacher": name, "dataset": augmented, **targets}
