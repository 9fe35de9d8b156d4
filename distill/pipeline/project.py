"""The whole of params.yaml: every entry checked, and that entries name what exists, before anything runs."""

import graphlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.core.settings import SECTIONS, Strict, nearest, read_sections, validate, with_defaults
from distill.params.annotators import AnnotatorSettings, SelectionSettings
from distill.params.augmentations import AugmentationSettings
from distill.params.datasets import DatasetSettings
from distill.params.ensembles import EnsembleSettings
from distill.params.exports import ExportSettings
from distill.params.sources import Source
from distill.params.students import StudentSettings
from distill.params.targets import TargetSettings
from distill.params.task_specs import PER_ROW, TASK_SPECS, TaskName
from distill.params.training import TeacherSettings
from distill.recipes.loading import read_student

MODELS: dict[str, type[Strict]] = {
    "sources": Source,
    "datasets": DatasetSettings,
    "augmentations": AugmentationSettings,
    "annotators": AnnotatorSettings,
    "selections": SelectionSettings,
    "teachers": TeacherSettings,
    "targets": TargetSettings,
    "ensembles": EnsembleSettings,
    "students": StudentSettings,
    "exports": ExportSettings,
}

INTERPOLATED = {
    "datasets": ("source",),
    "augmentations": ("of", "masked_lm"),
    "annotators": ("rows",),
    "selections": ("rows", "student"),
    "teachers": ("dataset",),
    "targets": ("teacher", "dataset"),
    "ensembles": ("first", "second"),
    "students": ("recipe", "dataset", "targets", "init"),
}

PREPARED, SETS = ("datasets", "augmentations"), ("targets", "ensembles")

REFERENCES = (
    ("augmentations", "of", PREPARED),
    ("augmentations", "masked_lm", ("teachers",)),
    ("selections", "student", ("students",)),
    ("teachers", "dataset", PREPARED),
    ("targets", "dataset", PREPARED),
    ("targets", "teacher", ("teachers",)),
    ("ensembles", "dataset", PREPARED),
    ("ensembles", "first", SETS),
    ("ensembles", "second", SETS),
    ("students", "dataset", PREPARED),
    ("students", "targets", SETS),
)
"""Keys that name an entry, and the sections that may hold it."""


@dataclass(frozen=True)
class Params:
    """All entries, checked, by name."""

    sources: dict[str, Source]
    datasets: dict[str, DatasetSettings]
    augmentations: dict[str, AugmentationSettings]
    annotators: dict[str, AnnotatorSettings]
    selections: dict[str, SelectionSettings]
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

    def task(self, dataset: str) -> TaskName:
        """The task of a prepared data set."""
        return self.datasets[self.origin(dataset)].task

    def rows_dataset(self, place: str) -> str:
        """The data set of the rows that an annotator or a selection reads, followed to data/prepared/NAME."""
        _, kind, name = place.split("/")
        if kind == "prepared":
            return name
        return self.rows_dataset((self.annotators[name] if kind == "annotations" else self.selections[name]).rows)

    def members(self, target_set: str) -> tuple[str, ...]:
        """The entries of `targets` whose mean an ensemble is; a target set is its own."""
        if target_set not in self.ensembles:
            return (target_set,)
        ensemble = self.ensembles[target_set]
        return (*self.members(ensemble.first), *self.members(ensemble.second))


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
        found = [*_dangling(params, path.parent), *_cycles(params)] or [*_misfits(params)]
        if not any(content[section] for section in SECTIONS):
            found.append("no entries at all; add one to sources, datasets, teachers, targets and students")
        problems = [f"{path}: {line}" for line in found]
    if problems:
        raise UserError("\n".join(problems))
    return params


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
    for where, place in places:
        kind, _, origin = place.removeprefix("data/").partition("/")
        yield where, origin, {"prepared": PREPARED, "inits": ("students",), "annotations": ("annotators",)}.get(kind, (kind,))
    for name in params.exports:
        yield f"exports.{name}", name, ("teachers", "students")


def _dangling(params: Params, folder: Path) -> Iterator[str]:
    """Names that no entry has, and those that two have whose outputs would be one folder."""
    for name, dataset in params.datasets.items():
        for key, source in (("source", dataset.source), *(("transfer", source) for source in dataset.transfer_sources)):
            raw = folder / "data" / "raw" / source
            if source not in params.sources and not raw.exists() and not raw.with_name(f"{raw.name}.dvc").exists():
                what = f"no entry '{source}' in sources and no folder data/raw/{source}"
                yield f"datasets.{name}.{key}: {what}{nearest(source, params.sources)}"
    for where, name, sections in _references(params):
        known = [entry for section in sections for entry in getattr(params, section)]
        if name not in known:
            among = " or ".join(section for section in sections if getattr(params, section)) or sections[0]
            yield f"{where}: no entry '{name}' in {among}{nearest(name, known)}"
    for section, other, kind in (("augmentations", "datasets", "prepared"), ("ensembles", "targets", "targets")):
        twice = (name for name in getattr(params, section) if name in getattr(params, other))
        yield from (f"{section}.{name}: {other} has it too, both would be data/{kind}/{name}; rename one" for name in twice)


def _cycles(params: Params) -> Iterator[str]:
    """Data sets, teachers, target sets and students are made from one another: that has to begin somewhere."""
    graph: dict[str, set[str]] = {}
    owners: dict[str, str] = {}
    for name, augmentation in params.augmentations.items():
        owners[f"data/prepared/{name}"] = f"augmentations.{name}"
        graph[f"data/prepared/{name}"] = {f"data/prepared/{augmentation.of}", f"data/teachers/{augmentation.masked_lm}"}
    for name, teacher in params.teachers.items():
        graph[f"data/teachers/{name}"] = {f"data/prepared/{teacher.dataset}"}
    for name, annotator in params.annotators.items():
        graph[f"data/annotations/{name}"] = {annotator.rows}
    for name, selection in params.selections.items():
        owners[f"data/selections/{name}"] = f"selections.{name}"
        graph[f"data/selections/{name}"] = {selection.rows, f"data/students/{selection.student}"}
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


def _misfits(params: Params) -> Iterator[str]:
    """References that resolve, to something of the wrong kind."""
    for name, augmentation in params.augmentations.items():
        task = params.task(augmentation.of)
        if task not in PER_ROW:
            expected = f"expected one of: {', '.join(PER_ROW)}"
            yield f"augmentations.{name}.of: '{augmentation.of}' is for {task}, {expected}"
        task = params.task(params.teachers[augmentation.masked_lm].dataset)
        if not TASK_SPECS[task].vocabulary:
            yield (
                f"augmentations.{name}.masked_lm: '{augmentation.masked_lm}' is a teacher of {task}, expected one of masked-lm; "
                "add a teacher whose data set has the task masked-lm (`epochs: 0` keeps a checkpoint as it is)"
            )
    yield from _not_annotated(params)
    sets: dict[str, TargetSettings | EnsembleSettings] = {**params.targets, **params.ensembles}
    for name, ensemble in params.ensembles.items():
        task = params.task(ensemble.dataset)
        if TASK_SPECS[task].vocabulary:
            yield f"ensembles.{name}: '{ensemble.dataset}' is for {task}, whose logits are not kept; take others"
        for place in ("first", "second"):
            member = getattr(ensemble, place)
            if sets[member].dataset != ensemble.dataset:
                yield (
                    f"ensembles.{name}.{place}: '{member}' was computed on '{sets[member].dataset}', the ensemble is for "
                    f"'{ensemble.dataset}'; compute the targets of both teachers on one data set"
                )
    for name, student in params.students.items():
        if student.sample_weight is not None and (line := _no_weights(params, student)):
            yield f"students.{name}.sample_weight: {line}"
        if line := _wrong_targets(params, student, sets[student.target_set].dataset):
            yield f"students.{name}.targets: {line}"


def _not_annotated(params: Params) -> Iterator[str]:
    """Rows that a language model cannot label, or that a student cannot choose among."""
    for section, entries in (("annotators", params.annotators), ("selections", params.selections)):
        for name, entry in entries.items():
            dataset = params.rows_dataset(entry.rows)
            task, student = params.task(dataset), getattr(entry, "student", None)
            if task != "sequence-classification":
                yield f"{section}.{name}.rows: '{dataset}' is for {task}, expected sequence-classification; take others"
            elif student and (reads := params.students[student].dataset) != dataset:
                yield f"{section}.{name}.student: '{student}' reads '{reads}', the rows are '{dataset}'; take a student of these"


def _no_weights(params: Params, student: StudentSettings) -> str | None:
    """Why a student's training rows cannot be weighted."""
    if not student.label_weight:
        return f"weighs the loss against the labels, which {student.recipe} here does not learn from; set it to null"
    if TASK_SPECS[params.task(student.dataset)].not_audited:
        return "weighs labels that the teacher contradicts, those of masked-lm are the text itself; set it to null"
    return None


def _wrong_targets(params: Params, student: StudentSettings, dataset: str) -> str | None:
    """Why a target set of a data set cannot feed a student, whatever layers it keeps (needs.py looks at those)."""
    target_set, recipe, task = student.target_set, student.recipe, params.task(student.dataset)
    if student.dataset != dataset and params.datasets[params.origin(student.dataset)].teacher_tokenizer is None:
        return (
            f"'{target_set}' was computed on '{dataset}', the student learns on '{student.dataset}'; make them the same, or, if "
            f"'{student.dataset}' has the same rows for another tokenizer, give it teacher_tokenizer: that of '{dataset}'"
        )
    if student.dataset != dataset and (student.reads_hidden or task not in PER_ROW):
        what = "hidden states" if student.reads_hidden else f"logits of {task}"
        return (
            f"{recipe} reads {what}, a vector a token, and the tokens of '{student.dataset}' are not those of '{dataset}'; take "
            "a student with the teacher's tokenizer, or a recipe that reads logits of whole rows alone"
        )
    if student.reads_hidden and target_set in params.ensembles:
        return f"{recipe} reads hidden states, '{target_set}' is an ensemble, of logits alone; name one of its sets"
    if student.targets != target_set and TASK_SPECS[task].vocabulary:
        return f"logits of {task} are replayed, '{student.targets}' lacks what they are replayed from; write {target_set}"
    if student.targets != target_set and student.reads_hidden:
        return f"{recipe} reads hidden states, '{student.targets}' is logits alone; write {target_set}"
    return None
