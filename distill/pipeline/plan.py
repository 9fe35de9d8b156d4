"""What target sets keep, lack and take on disk, from params.yaml, configs and token lengths: nothing is computed."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, PreTrainedModel

from distill.core.errors import UserError
from distill.core.locations import load_or_explain
from distill.core.settings import SPLITS
from distill.data.dataset import Dataset
from distill.models.loading import model_class
from distill.params.given import OF_TOKENS, GivenSettings
from distill.params.students import Needs
from distill.params.task_specs import TASK_SPECS
from distill.pipeline.entries import Params
from distill.pipeline.needs import difference, kept_needs, listed_needs, output_names, readers, reads, union, unused_outputs
from distill.pipeline.shapes import Shape
from distill.sources.files import read_local
from distill.store.codecs.vectors import bytes_a_vector
from distill.store.codecs.vocabulary import Draws, TopK
from distill.store.output_names import LIKELIEST, LOGITS, REPLAY, TOKENS
from distill.store.replay.embeddings import replays_embeddings
from distill.targets.disk_size import VARIANCE_LOST, DiskSize, file_bytes
from distill.targets.given.distillkit import answered_compressed
from distill.targets.given.join import coverage, read_table
from distill.targets.given.logprobs import answered_rows, read_logprobs
from distill.targets.given.write import CODECS
from distill.targets.materialization.outputs import MaterializeSpec, job_of, resolve, settled
from distill.targets.materialization.units import TeacherShape
from distill.tasks.base import Task
from distill.tasks.registry import task_of


def plan(params: Params, name: str, shapes: Mapping[str, Shape], config: Path) -> dict[str, Any]:
    """All that is known of a target set, as JSON has it; `config` is the config.json of its teacher."""
    settings = params.targets[name]
    shape, job = shapes[settings.teacher], job_of(settings)
    task = params.task(settings.dataset)
    job = settled(job, shape.layers, task, lambda: replays_embeddings(meta_model(config, task_of(task), ())))
    kept, outputs = kept_needs(settings, shape.layers), resolve(job, shape.layers, task)
    asked = {student: _reads(params, student, shapes) for student in readers(params, name)}
    known = [needs for needs in asked.values() if needs is not None]
    wished = union([listed_needs(settings, shape.layers), *known])
    wanted = replace(job, hidden=wished.hidden, cls=wished.cls, attention=wished.attention, relations=wished.relations)
    rows, bytes_of, attention = _sizes(Path("data/prepared", settings.dataset), config, job, wanted)
    return {
        "teacher": {"name": settings.teacher, **asdict(shape), **_further(params, settings.teacher)},
        "dataset": {"name": settings.dataset, "stage": params.preparing(settings.dataset), "rows": rows},
        "students": {
            name: needs and {"reads": output_names(needs), "lacks": output_names(difference(needs, kept))}
            for name, needs in asked.items()
        },
        "unread": unused_outputs(settings, shape.layers, known) if len(known) == len(asked) else [],
        "codec": {
            "name": job.codec,
            "variance_lost": VARIANCE_LOST[job.codec],
            "bytes_a_value": bytes_a_vector(job.codec, shape.width) / shape.width,
        },
        "outputs": {
            name: {"codec": outputs.stored.get(name, REPLAY), "source": outputs.replayed.get(name), "bytes": bytes_of.get(name)}
            for name in outputs.names
        },
        "attention": {"layers": list(wanted.attention), "bytes": attention},
        **({"distributions": _distributions(job, config, task)} if TASK_SPECS[task].causal else {}),
    }


def _distributions(job: MaterializeSpec, config: Path, task: str) -> dict[str, Any]:
    """The ways to keep a decoder's distributions, by the settings that ask for them, in bytes a predicted token."""
    shape = TeacherShape.of(meta_model(config, task_of(task), ()))
    top, drawn = TopK(shape.classes, min(job.top_k, shape.classes)), Draws(shape.classes, job.draws, job.draw_seed)
    ways = [
        ("replay", f"codec: {codec}", bytes_a_vector(codec, shape.inner)) for codec in dict.fromkeys((job.codec, "int8", "int4"))
    ]
    ways += [("top-k", f"top_k: {top.k}", top.bytes_a_token), ("draws", f"draws: {job.draws}", drawn.bytes_a_token)]
    return {
        "kept": job.logits_as,
        "bytes_a_token": {f"logits_as: {kind}, {setting}": size for kind, setting, size in ways},
        "kinds": {f"logits_as: {kind}, {setting}": kind for kind, setting, _ in ways},
    }


def plan_given(params: Params, name: str) -> dict[str, Any]:
    """All that is known of a given set, as JSON has it: whose answers its table has, if that is here."""
    settings = params.given[name]
    folder, raw = Path("data/prepared", settings.dataset), Path(settings.table)
    rows: dict[str, int] = {}
    answered: dict[str, int] | None = None
    sizes: dict[str, dict[str, int] | None] = {LOGITS: None, TOKENS: None}
    if (folder / "dataset.json").exists():
        dataset = Dataset.open(folder)
        rows = {split: len(dataset.rows(split).firsts()) for split in SPLITS if split in dataset.splits}
        if settings.columns.form in OF_TOKENS:
            if raw.exists():
                answered = {"train": _answered_of_tokens(raw, dataset, settings)}
            sizes = {LIKELIEST: {}, TOKENS: {}}
        elif raw.exists():
            found, by_split = read_table(read_local(raw), dataset, settings, str(raw))
            answered = coverage(found, dataset, settings, by_split)
        if settings.columns.form not in OF_TOKENS:
            sizes = _given_sizes(dataset, rows if answered is None else answered)
    asked = {student: output_names(params.students[student].needs(1, 1)) for student in readers(params, name)}
    return {
        "table": settings.table,
        "dataset": {"name": settings.dataset, "stage": params.preparing(settings.dataset), "rows": rows},
        "answered": answered,
        "students": {student: {"reads": reads, "lacks": []} for student, reads in asked.items()},
        "outputs": {
            output: {"codec": CODECS.get(output, "top-K"), "source": None, "bytes": size} for output, size in sizes.items()
        },
    }


def _answered_of_tokens(raw: Path, dataset: Dataset, settings: GivenSettings) -> int:
    """How many training rows a table of likeliest tokens answers."""
    tables = read_local(raw)
    if settings.compression is not None:
        return answered_compressed(tables, dataset, settings, str(raw))
    return answered_rows(read_logprobs(tables, str(raw), settings), dataset)


def _given_sizes(dataset: Dataset, rows: Mapping[str, int]) -> dict[str, dict[str, int] | None]:
    """Bytes of a given set's outputs by split, if the rows with answers are of the lengths of the first."""
    found: dict[str, dict[str, int] | None] = {}
    for output, width in ((LOGITS, len(dataset.labels)), (TOKENS, 1 + (dataset.rows("train").token_types is not None))):
        sizes = {}
        for split, count in rows.items():
            lengths = dataset.rows(split).lengths[:count]
            per_token = output == TOKENS or dataset.spec.labels_per_token
            vectors = lengths if per_token else np.ones_like(lengths)
            sizes[split] = file_bytes(output, CODECS[output], width, vectors) if count else 0
        found[output] = sizes
    return found


def _further(params: Params, name: str) -> dict[str, Any]:
    """The further teachers of `folds` or `seeds`, what they take, in trainings of the teacher, and how many read a row."""
    teacher = params.teachers[name]
    if teacher.folds is not None:
        return {"folds": teacher.folds, "trainings": teacher.folds - 1, "readers": {"labelled": 1, "unlabelled": teacher.folds}}
    count = len(teacher.seeds)
    return {"seeds": count, "trainings": count, "readers": {"labelled": count + 1, "unlabelled": count + 1}} if count else {}


def _reads(params: Params, student: str, shapes: Mapping[str, Shape]) -> Needs | None:
    with contextlib.suppress(UserError):
        return reads(params, student, shapes)
    return None


def _sizes(
    folder: Path, config: Path, job: MaterializeSpec, wanted: MaterializeSpec
) -> tuple[dict[str, int], dict[str, dict[str, int]], dict[str, int]]:
    """Distinct rows of each split, bytes of a job's outputs, and of the ways to keep the wanted attention."""
    if not (folder / "dataset.json").exists():
        return {}, {}, {}
    dataset = Dataset.open(folder)
    splits = [split for split in SPLITS if split in dataset.splits]
    model = meta_model(config, task_of(dataset.task), dataset.labels)
    sizes = DiskSize({split: dataset.rows(split) for split in splits}, model, dataset.task)
    rows = {split: len(lengths) for split, lengths in sizes.lengths.items()}
    return rows, sizes.outputs(job), sizes.attention(wanted) if wanted.attention else {}


def meta_model(config: Path, task: Task, labels: Sequence[str]) -> PreTrainedModel:
    """A model of a config, with a task's head for these labels, whose weights have shapes and no numbers."""

    def build() -> Any:
        settings = AutoConfig.from_pretrained(config.parent, **({"num_labels": len(labels)} if labels else {}))
        with torch.device("meta"):
            return model_class(task).from_config(settings)

    model: PreTrainedModel = load_or_explain(config.parent, "config", build)
    return model
