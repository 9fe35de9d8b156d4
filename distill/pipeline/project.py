"""The whole of params.yaml: every entry checked, and that entries name what exists, before anything runs."""

import graphlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.core.settings import SECTIONS, inherited, read_sections, with_defaults
from distill.core.validation import Strict, nearest, validate
from distill.params.annotators import AnnotatorSettings, SelectionSettings
from distill.params.augmentations import AugmentationSettings
from distill.params.datasets import DatasetSettings
from distill.params.ensembles import EnsembleSettings
from distill.params.exports import ExportSettings
from distill.params.given import GivenSettings
from distill.params.sources import Source
from distill.params.students import StudentSettings
from distill.params.targets import TargetSettings
from distill.params.training import TeacherSettings
from distill.pipeline.entries import Params
from distill.pipeline.misfits import misfits
from distill.recipes.loading import read_student

MODELS: dict[str, type[Strict]] = {
    "sources": Source,
    "datasets": DatasetSettings,
    "augmentations": AugmentationSettings,
    "annotators": AnnotatorSettings,
    "selections": SelectionSettings,
    "teachers": TeacherSettings,
    "targets": TargetSettings,
    "given": GivenSettings,
    "ensembles": EnsembleSettings,
    "students": StudentSettings,
    "exports": ExportSettings,
}

INTERPOLATED = {
    "datasets": ("source",),
    "augmentations": ("of", "teacher"),
    "annotators": ("rows",),
    "selections": ("rows", "student"),
    "teachers": ("dataset",),
    "targets": ("teacher", "dataset"),
    "given": ("table", "dataset"),
    "ensembles": ("first", "second"),
    "students": ("recipe", "dataset", "targets", "init"),
}

PREPARED, SETS = ("datasets", "augmentations"), ("targets", "given", "ensembles")

REFERENCES = (
    ("augmentations", "of", PREPARED),
    ("augmentations", "teacher", ("teachers",)),
    ("selections", "student", ("students",)),
    ("teachers", "dataset", PREPARED),
    ("targets", "dataset", PREPARED),
    ("targets", "teacher", ("teachers",)),
    ("given", "dataset", PREPARED),
    ("ensembles", "dataset", PREPARED),
    ("ensembles", "first", SETS),
    ("ensembles", "second", SETS),
    ("students", "dataset", PREPARED),
    ("students", "targets", SETS),
)
"""Keys that name an entry, and the sections that may hold it."""

SHARED_FOLDERS = (
    ("augmentations", "datasets", "prepared"),
    ("given", "targets", "targets"),
    ("ensembles", "targets", "targets"),
    ("ensembles", "given", "targets"),
)
"""Pairs of sections whose entries write to one folder of data/."""


SETTING = re.compile(r"(?P<section>\w+)\.(?P<name>[\w-]+)(?:\.|: )(?P<key>\w+)")
"""What lines about an entry begin with."""


def load_params(path: Path) -> Params:
    """Read and check the whole file."""
    return checked(read_sections(path), path)


def checked(sections: dict[str, Any], path: Path) -> Params:
    """Check the sections of the file at `path`, which is named in errors."""
    exports = {name: {} for name in (*sections["teachers"], *sections["students"])} | sections["exports"]
    content = {**sections, "exports": exports}
    problems: list[str] = []
    entries: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for section in SECTIONS:
        problems += [f"{path}: {line}" for line in _wrong_defaults(content, section)]
        for name in content[section]:
            try:
                if section == "students":
                    entries[section][name] = read_student(content, path, name)
                else:
                    where = f"{path}: {section}.{name}"
                    entries[section][name] = validate(MODELS[section], with_defaults(content, section, name), where)
            except UserError as error:
                problems.append(str(error))
    if not problems:
        params = Params(**entries)
        found = [*_dangling(params, path.parent), *_cycles(params)] or [*misfits(params)]
        if not any(content[section] for section in SECTIONS):
            found.append("no entries at all; add one to sources, datasets, teachers, targets and students")
        problems = [f"{path}: {line}" for line in found]
    if problems:
        lines = dict.fromkeys("\n".join(problems).splitlines())
        raise UserError("\n".join(f"{line}{_inherited(content, line.removeprefix(f'{path}: '))}" for line in lines))
    return params


def _inherited(content: dict[str, Any], line: str) -> str:
    """Where the setting stands that a line names, if the entry has it of its section's defaults."""
    found = SETTING.match(line)
    if found is None or found["section"] not in SECTIONS or found["name"] not in content[found["section"]]:
        return ""
    of_entry = found["key"] in inherited(content, found["section"], found["name"])
    return f" (it stands in defaults.{found['section']})" if of_entry else ""


def _wrong_defaults(content: dict[str, Any], section: str) -> Iterator[str]:
    """Defaults may give any setting but those that dvc.yaml reads from each entry."""
    interpolated = INTERPOLATED.get(section, ())
    allowed = [key for key in MODELS[section].model_fields if key not in interpolated]
    for key in content["defaults"][section]:
        if key in interpolated:
            yield f"defaults.{section}.{key}: cannot be inherited, dvc.yaml reads it from each entry; write it there"
        elif key in MODELS[section].REPLACED:
            yield f"defaults.{section}.{key}: {MODELS[section].REPLACED[key]}"
        elif key not in allowed:
            yield f"defaults.{section}.{key}: unknown key{nearest(str(key), allowed)}"
    for name, entry in content[section].items():
        yield from (f"{section}.{name}.{key}: is missing; give it" for key in interpolated if key not in entry)


def _references(params: Params) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Where an entry names another: its path, the name, and the sections that may hold it."""
    for section, key, sections in REFERENCES:
        for name, entry in getattr(params, section).items():
            named = getattr(entry, key)
            yield f"{section}.{name}.{key}", named.removesuffix("/logits") if key == "targets" else named, sections
    places = [(f"students.{name}.init.from", student.init.source) for name, student in params.students.items()]
    places += [(f"annotators.{name}.rows", annotator.rows) for name, annotator in params.annotators.items()]
    places += [(f"selections.{name}.rows", selection.rows) for name, selection in params.selections.items()]
    places += [(f"given.{name}.table", given.table) for name, given in params.given.items() if "/annotations/" in given.table]
    for where, place in places:
        kind, origin = place.split("/")[1:3]
        yield where, origin, {"prepared": PREPARED, "inits": ("students",), "annotations": ("annotators",)}.get(kind, (kind,))
    for name in params.exports:
        yield f"exports.{name}", name, ("teachers", "students")


def _dangling(params: Params, folder: Path) -> Iterator[str]:
    """Names that no entry has, and those that two have whose outputs would be one folder."""
    tables = {f"given.{name}.table": given.table.split("/") for name, given in params.given.items()}
    sources = [(where, name) for where, (_, kind, name, *_) in tables.items() if kind == "raw"]
    for name, dataset in params.datasets.items():
        sources.append((f"datasets.{name}.source", dataset.source))
        sources += [(f"datasets.{name}.transfer", source) for source in dataset.transfer_sources]
    for where, source in sources:
        raw = folder / f"data/raw/{source}"  # below it, wherever an absolute path leads
        if source not in params.sources and not raw.exists() and not raw.with_name(f"{raw.name}.dvc").exists():
            what = f"no entry '{source}' in sources and no folder data/raw/{source}"
            yield f"{where}: {what}{nearest(source, params.sources)}"
    for where, name, sections in _references(params):
        known = [entry for section in sections for entry in getattr(params, section)]
        if name not in known:
            among = " or ".join(section for section in sections if getattr(params, section)) or sections[0]
            yield f"{where}: no entry '{name}' in {among}{nearest(name, known)}"
    for section, other, kind in SHARED_FOLDERS:
        twice = (name for name in getattr(params, section) if name in getattr(params, other))
        yield from (f"{section}.{name}: {other} has it too, both would be data/{kind}/{name}; rename one" for name in twice)


def _cycles(params: Params) -> Iterator[str]:
    """Data sets, teachers, target sets and students are made from one another: that has to begin somewhere."""
    graph: dict[str, set[str]] = {}
    owners: dict[str, str] = {}
    for name, augmentation in params.augmentations.items():
        owners[f"data/prepared/{name}"] = f"augmentations.{name}"
        graph[f"data/prepared/{name}"] = {f"data/prepared/{augmentation.of}", f"data/teachers/{augmentation.teacher}"}
    for name, teacher in params.teachers.items():
        graph[f"data/teachers/{name}"] = {f"data/prepared/{teacher.dataset}"}
    for name, annotator in params.annotators.items():
        graph[f"data/annotations/{name}"] = {annotator.rows}
    for name, selection in params.selections.items():
        owners[f"data/selections/{name}"] = f"selections.{name}"
        graph[f"data/selections/{name}"] = {selection.rows, f"data/students/{selection.student}"}
    for name, given in params.given.items():
        owners[f"data/targets/{name}"] = f"given.{name}.table"
        graph[f"data/targets/{name}"] = {given.table.removesuffix("/rows"), f"data/prepared/{given.dataset}"}
    for name, ensemble in params.ensembles.items():
        owners[f"data/targets/{name}"] = f"ensembles.{name}"
        graph[f"data/targets/{name}"] = {f"data/targets/{ensemble.first}", f"data/targets/{ensemble.second}"}
    for name, student in params.students.items():
        owners[f"data/inits/{name}"] = f"students.{name}.init.from"
        graph[f"data/inits/{name}"] = {student.init.source}
        graph[f"data/students/{name}"] = {f"data/inits/{name}", f"data/targets/{student.target_set}"}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        where = next(owners[node] for node in error.args[1] if node in owners)
        yield f"{where}: a cycle, none of these can be made first: {' <- '.join(error.args[1])}"
