"""The whole of params.yaml: every entry checked, and that entries name what exists, before anything runs."""

import graphlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from pydantic import TypeAdapter, create_model

from distill.errors import UserError
from distill.params.base import SECTIONS, Strict, nearest, read_yaml, require_sections, validate, with_defaults
from distill.params.datasets import DatasetSettings
from distill.params.sources import Source
from distill.params.students import RECIPES, StudentSettings, read_student
from distill.params.targets import TargetSettings
from distill.params.teachers import TeacherSettings

MODELS: dict[str, type[Strict]] = {
    "sources": Source,
    "datasets": DatasetSettings,
    "teachers": TeacherSettings,
    "targets": TargetSettings,
    "students": StudentSettings,
}
INTERPOLATED = {"datasets": ("source",), "teachers": ("dataset",), "targets": ("teacher", "dataset")}
INTERPOLATED["students"] = ("recipe", "dataset", "targets", "init")


@dataclass(frozen=True)
class Params:
    """All entries, checked, by name."""

    sources: dict[str, Source]
    datasets: dict[str, DatasetSettings]
    teachers: dict[str, TeacherSettings]
    targets: dict[str, TargetSettings]
    students: dict[str, StudentSettings]


def load_params(path: Path) -> Params:
    """Read and check the whole file.

    Raises:
        UserError: a line for each entry that is wrong, dangling, or part of a cycle.
    """
    content = read_yaml(path)
    require_sections(content, str(path))
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
    problems = [*_dangling(params, path), *_cycles(params, path)]
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
        name: (field.annotation, field.get_default() if not field.is_required() else None)
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


def _dangling(params: Params, path: Path) -> list[str]:
    def refer(where: str, section: Literal["datasets", "teachers", "targets"], name: str) -> None:
        entries = getattr(params, section)
        if name not in entries:
            problems.append(f"{path}: {where}: no entry '{name}' in {section}{nearest(name, entries)}")

    problems: list[str] = []
    for name, dataset in params.datasets.items():
        raw = path.parent / "data" / "raw" / dataset.source
        if dataset.source not in params.sources and not raw.exists() and not raw.with_name(f"{raw.name}.dvc").exists():
            problems.append(
                f"{path}: datasets.{name}.source: no entry '{dataset.source}' in sources and no folder "
                f"data/raw/{dataset.source}{nearest(dataset.source, params.sources)}"
            )
    for name, teacher in params.teachers.items():
        refer(f"teachers.{name}.dataset", "datasets", teacher.dataset)
    for name, targets in params.targets.items():
        refer(f"targets.{name}.dataset", "datasets", targets.dataset)
        refer(f"targets.{name}.teacher", "teachers", targets.teacher)
    for name, student in params.students.items():
        refer(f"students.{name}.dataset", "datasets", student.dataset)
        refer(f"students.{name}.targets", "targets", student.targets.partition("/")[0])
        problems += _unfed(params, path, name, student)
        kind, _, origin = student.init.source.removeprefix("data/").partition("/")
        section = {"prepared": "datasets", "inits": "students"}.get(kind, kind)
        known = getattr(params, section)
        if origin not in known:
            problems.append(f"{path}: students.{name}.init.from: no entry '{origin}' in {section}{nearest(origin, known)}")
    return problems


def _unfed(params: Params, path: Path, name: str, student: StudentSettings) -> list[str]:
    """A student whose target set cannot feed its recipe, whatever layers it keeps; distill/params/needs.py looks at those."""
    target_set, _, part = student.targets.partition("/")
    targets = params.targets.get(target_set)
    if targets is None:
        return []
    where = f"{path}: students.{name}.targets"
    if targets.dataset != student.dataset:
        return [f"{where}: '{target_set}' was computed on '{targets.dataset}', the student learns on '{student.dataset}'"]
    if student.reads_hidden and part:
        return [f"{where}: {student.recipe} reads hidden states, '{student.targets}' is logits alone; write {target_set}"]
    return []


def _cycles(params: Params, path: Path) -> list[str]:
    """Students are born from students: that chain has to begin somewhere."""
    graph: dict[str, set[str]] = {}
    for name, student in params.students.items():
        graph[f"data/students/{name}"] = {f"data/inits/{name}"}
        graph[f"data/inits/{name}"] = {student.init.source}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        names = [node.removeprefix("data/inits/") for node in error.args[1] if node.startswith("data/inits/")]
        return [f"{path}: students.{names[0]}.init.from: a cycle, no student is born first: {' <- '.join(error.args[1])}"]
    return []
