"""The whole of params.yaml: every entry checked, and that entries name what exists, before anything runs."""

import graphlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from pydantic import Field, TypeAdapter, create_model

from distill.errors import UserError
from distill.params.augmentations import AugmentationSettings
from distill.params.base import SECTIONS, Strict, nearest, read_yaml, require_sections, validate, with_defaults
from distill.params.datasets import DatasetSettings
from distill.params.ensembles import EnsembleSettings
from distill.params.exports import ExportSettings
from distill.params.sources import Source
from distill.params.students import StudentSettings
from distill.params.targets import TargetSettings
from distill.params.teachers import TeacherSettings
from distill.recipes.catalogue import RECIPES
from distill.recipes.loading import read_student

MODELS: dict[str, type[Strict]] = {
    "sources": Source,
    "datasets": DatasetSettings,
    "augmentations": AugmentationSettings,
    "teachers": TeacherSettings,
    "targets": TargetSettings,
    "ensembles": EnsembleSettings,
    "students": StudentSettings,
    "exports": ExportSettings,
}
INTERPOLATED = {
    "datasets": ("source",),
    "augmentations": ("of", "masked_lm"),
    "teachers": ("dataset",),
    "targets": ("teacher", "dataset"),
    "ensembles": ("first", "second"),
    "students": ("recipe", "dataset", "targets", "init"),
}
PER_ROW = ("sequence-classification", "regression")
"""Tasks of one answer a row: its words can be replaced, and another tokenizer's student can learn from its logits."""


@dataclass(frozen=True)
class Params:
    """All entries, checked, by name."""

    sources: dict[str, Source]
    datasets: dict[str, DatasetSettings]
    augmentations: dict[str, AugmentationSettings]
    teachers: dict[str, TeacherSettings]
    targets: dict[str, TargetSettings]
    ensembles: dict[str, EnsembleSettings]
    students: dict[str, StudentSettings]
    exports: dict[str, ExportSettings]
    """Of every teacher and student."""

    def origin(self, dataset: str) -> str:
        """The entry of `datasets` from which a prepared data set was made, through whatever augmentations."""
        while dataset in self.augmentations:
            dataset = self.augmentations[dataset].of
        return dataset

    def members(self, target_set: str) -> tuple[str, ...]:
        """The entries of `targets` whose mean an ensemble is; a target set is its own."""
        if target_set not in self.ensembles:
            return (target_set,)
        ensemble = self.ensembles[target_set]
        return (*self.members(ensemble.first), *self.members(ensemble.second))

    def shippable(self) -> dict[str, str]:
        """The students whose head is trained, and the entry of `datasets` that the data set of each comes from."""
        return {name: self.origin(entry.dataset) for name, entry in self.students.items() if entry.trains_head}


def load_params(path: Path) -> Params:
    """Read and check the whole file.

    Raises:
        UserError: a line for each entry that is wrong, dangling, or part of a cycle.
    """
    content = read_yaml(path)
    require_sections(content, str(path))
    content["exports"] = {name: {} for name in (*content["teachers"], *content["students"])} | content["exports"]
    problems: list[str] = []
    entries: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for section in SECTIONS:
        problems += _check_defaults(content, path, section)
        for name in content[section]:
            try:
                if section == "students":
                    entries[section][name] = read_student(content, path, name)
                else:
                    where = f"{path}: {section}.{name}"
                    entries[section][name] = validate(MODELS[section], with_defaults(content, section, name), where)
            except UserError as error:
                problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    params = Params(**entries)
    problems = [*_dangling(params, path), *_cycles(params, path)] or _misfits(params, path)
    if not any(content[section] for section in SECTIONS):
        problems.append(f"{path}: no entries at all; add one to sources, datasets, teachers, targets and students")
    if problems:
        raise UserError("\n".join(problems))
    return params


def json_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of params.yaml, for editors."""
    student = Union[tuple(RECIPES.values())]  # type: ignore[valid-type]  # noqa: UP007
    defaults = create_model(
        "Defaults",
        __base__=Strict,
        **{section: (create_partial(model, INTERPOLATED.get(section, ())), ...) for section, model in MODELS.items()},  # type: ignore[call-overload]
    )
    fields = {section: (dict[str, model], ...) for section, model in MODELS.items()}  # type: ignore[valid-type]
    fields["students"] = (dict[str, student], ...)  # type: ignore[valid-type]
    whole = create_model("Params", __base__=Strict, defaults=(defaults, ...), **fields)  # type: ignore[call-overload]
    schema: dict[str, Any] = TypeAdapter(whole).json_schema(by_alias=True)
    for section, keys in INTERPOLATED.items():
        for model in RECIPES.values() if section == "students" else (MODELS[section],):
            entry = schema["$defs"][model.__name__]
            entry["required"] = [key for key in entry["required"] if key in keys]  # the others may be inherited
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def create_partial(model: type[Strict], without: tuple[str, ...]) -> type[Strict]:
    """The model with every key optional, and those in `without` gone: what `defaults` may give."""
    fields: dict[str, Any] = {
        name: (
            field.annotation,
            Field(default=None if field.is_required() else field.get_default(), description=field.description),
        )
        for name, field in model.model_fields.items()
        if name not in without
    }
    return create_model(f"{model.__name__}Defaults", __base__=Strict, **fields)


def _check_defaults(content: dict[str, Any], path: Path, section: str) -> list[str]:
    """Defaults may give any setting but those that dvc.yaml reads from each entry."""
    problems = []
    allowed = [key for key in MODELS[section].model_fields if key not in INTERPOLATED.get(section, ())]
    for key in content["defaults"][section]:
        where = f"{path}: defaults.{section}.{key}"
        if key in INTERPOLATED.get(section, ()):
            problems.append(f"{where}: cannot be inherited, dvc.yaml reads it from each entry; write it there")
        elif key not in allowed:
            problems.append(f"{where}: unknown key{nearest(str(key), allowed)}")
    for name, entry in content[section].items():
        missing = [key for key in INTERPOLATED.get(section, ()) if key not in entry]
        problems += [f"{path}: {section}.{name}.{key}: is missing; give it" for key in missing]
    return problems


def _references(params: Params) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Where an entry names another: its path, the name, and the sections that may hold it."""
    prepared, sets = ("datasets", "augmentations"), ("targets", "ensembles")
    for name, augmentation in params.augmentations.items():
        yield f"augmentations.{name}.of", augmentation.of, prepared
        yield f"augmentations.{name}.masked_lm", augmentation.masked_lm, ("teachers",)
    for name, teacher in params.teachers.items():
        yield f"teachers.{name}.dataset", teacher.dataset, prepared
    for name, targets in params.targets.items():
        yield f"targets.{name}.dataset", targets.dataset, prepared
        yield f"targets.{name}.teacher", targets.teacher, ("teachers",)
    for name, ensemble in params.ensembles.items():
        yield f"ensembles.{name}.dataset", ensemble.dataset, prepared
        yield f"ensembles.{name}.first", ensemble.first, sets
        yield f"ensembles.{name}.second", ensemble.second, sets
    for name, student in params.students.items():
        yield f"students.{name}.dataset", student.dataset, prepared
        yield f"students.{name}.targets", student.targets.partition("/")[0], sets
        kind, _, origin = student.init.source.removeprefix("data/").partition("/")
        yield f"students.{name}.init.from", origin, {"prepared": prepared, "inits": ("students",)}.get(kind, (kind,))
    for name in params.exports:
        yield f"exports.{name}", name, ("teachers", "students")


def _dangling(params: Params, path: Path) -> list[str]:
    """Names that no entry has, and those that two have whose outputs would be one folder."""
    problems: list[str] = []
    for name, dataset in params.datasets.items():
        raw = path.parent / "data" / "raw" / dataset.source
        if dataset.source not in params.sources and not raw.exists() and not raw.with_name(f"{raw.name}.dvc").exists():
            problems.append(
                f"{path}: datasets.{name}.source: no entry '{dataset.source}' in sources and no folder "
                f"data/raw/{dataset.source}{nearest(dataset.source, params.sources)}"
            )
    for where, name, sections in _references(params):
        known = [entry for section in sections for entry in getattr(params, section)]
        if name not in known:
            among = " or ".join(section for section in sections if getattr(params, section)) or sections[0]
            problems.append(f"{path}: {where}: no entry '{name}' in {among}{nearest(name, known)}")
    for section, other, folder in (("augmentations", "datasets", "prepared"), ("ensembles", "targets", "targets")):
        twice = [name for name in getattr(params, section) if name in getattr(params, other)]
        both = f"{other} has it too, both would be data/{folder}"
        problems += [f"{path}: {section}.{name}: {both}/{name}; rename one" for name in twice]
    return problems


def _cycles(params: Params, path: Path) -> list[str]:
    """Data sets, teachers, target sets and students are made from one another: that has to begin somewhere."""
    graph: dict[str, set[str]] = {}
    owners: dict[str, str] = {}
    for name, augmentation in params.augmentations.items():
        owners[f"data/prepared/{name}"] = f"augmentations.{name}"
        graph[f"data/prepared/{name}"] = {f"data/prepared/{augmentation.of}", f"data/teachers/{augmentation.masked_lm}"}
    for name, teacher in params.teachers.items():
        graph[f"data/teachers/{name}"] = {f"data/prepared/{teacher.dataset}"}
    for name, ensemble in params.ensembles.items():
        owners[f"data/targets/{name}"] = f"ensembles.{name}"
        graph[f"data/targets/{name}"] = {f"data/targets/{ensemble.first}", f"data/targets/{ensemble.second}"}
    for name, student in params.students.items():
        owners[f"data/inits/{name}"] = f"students.{name}.init.from"
        graph[f"data/inits/{name}"] = {student.init.source}
        graph[f"data/students/{name}"] = {f"data/inits/{name}"}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        where = next(owners[node] for node in error.args[1] if node in owners)
        return [f"{path}: {where}: a cycle, none of these can be made first: {' <- '.join(error.args[1])}"]
    return []


def _misfits(params: Params, path: Path) -> list[str]:
    """References that resolve, to something of the wrong kind."""
    problems = []
    for name, augmentation in params.augmentations.items():
        where = f"{path}: augmentations.{name}"
        task = params.datasets[params.origin(augmentation.of)].task
        if task not in PER_ROW:
            problems.append(f"{where}.of: '{augmentation.of}' is for {task}, expected one of: {', '.join(PER_ROW)}")
        task = params.datasets[params.origin(params.teachers[augmentation.masked_lm].dataset)].task
        if task != "masked-lm":
            problems.append(
                f"{where}.masked_lm: '{augmentation.masked_lm}' is a teacher of {task}, expected one of masked-lm; add a teacher "
                "whose data set has the task masked-lm (`epochs: 0` keeps a checkpoint as it is)"
            )
    sets: dict[str, TargetSettings | EnsembleSettings] = {**params.targets, **params.ensembles}
    for name, ensemble in params.ensembles.items():
        if params.datasets[params.origin(ensemble.dataset)].task == "masked-lm":
            problems.append(
                f"{path}: ensembles.{name}: '{ensemble.dataset}' is for masked-lm, whose logits are not kept; take others"
            )
        for place in ("first", "second"):
            member = getattr(ensemble, place)
            if sets[member].dataset != ensemble.dataset:
                problems.append(
                    f"{path}: ensembles.{name}.{place}: '{member}' was computed on '{sets[member].dataset}', the ensemble is for "
                    f"'{ensemble.dataset}'; compute the targets of both teachers on one data set"
                )
    for name, student in params.students.items():
        where = f"{path}: students.{name}.targets"
        problems += [f"{path}: students.{name}.sample_weight: {line}" for line in _unweighable(params, student)]
        problems += [f"{where}: {line}" for line in _unfed(params, student, sets[student.targets.partition("/")[0]].dataset)]
    return problems


def _unweighable(params: Params, student: StudentSettings) -> list[str]:
    """Why a student's training rows cannot be weighted, if they are to be."""
    if student.sample_weight is None:
        return []
    if not student.label_weight:
        return [f"weighs the loss against the labels, which {student.recipe} here does not learn from; set it to null"]
    if params.datasets[params.origin(student.dataset)].task == "masked-lm":
        return ["weighs labels that the teacher contradicts, those of masked-lm are the text itself; set it to null"]
    return []


def _unfed(params: Params, student: StudentSettings, dataset: str) -> list[str]:
    """Why a target set of a data set cannot feed a student, whatever layers it keeps; distill/params/needs.py looks at those."""
    target_set, _, part = student.targets.partition("/")
    own = params.datasets[params.origin(student.dataset)]
    if student.dataset != dataset and own.teacher_tokenizer is None:
        return [
            f"'{target_set}' was computed on '{dataset}', the student learns on '{student.dataset}'; make them the same, or, if "
            f"'{student.dataset}' has the same rows for another tokenizer, give it teacher_tokenizer: that of '{dataset}'"
        ]
    if student.dataset != dataset and (student.reads_hidden or own.task not in PER_ROW):
        reads = f"{student.recipe} reads {'hidden states' if student.reads_hidden else f'logits of {own.task}'}"
        return [
            f"{reads}, a vector a token, and the tokens of '{student.dataset}' are not those of '{dataset}'; take a student with "
            "the teacher's tokenizer, or a recipe that reads logits of whole rows alone"
        ]
    if student.reads_hidden and target_set in params.ensembles:
        return [f"{student.recipe} reads hidden states, '{target_set}' is an ensemble, of logits alone; name one of its sets"]
    if own.task == "masked-lm" and part:
        return [f"logits of masked-lm are replayed, '{student.targets}' lacks what they are replayed from; write {target_set}"]
    if student.reads_hidden and part:
        return [f"{student.recipe} reads hidden states, '{student.targets}' is logits alone; write {target_set}"]
    return []
