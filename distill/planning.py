"""What target sets keep, lack and take on disk, from params.yaml, configs and token lengths: nothing is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel

from distill.encoders import load_or_explain
from distill.errors import UserError
from distill.jobs import job_of
from distill.params.needs import keeps, lists, names, readers, reads, together, unread, without
from distill.params.students import Needs
from distill.params.targets import Split
from distill.params.whole import Params
from distill.prepared import Dataset
from distill.shapes import Shape
from distill.targets.codec import bytes_a_vector
from distill.targets.outputs import Job, resolve
from distill.targets.plan import VARIANCE_LOST, Plan
from distill.targets.schema import REPLAY
from distill.tasks.base import Task
from distill.tasks.catalogue import task_of


def plan(params: Params, name: str, shapes: Mapping[str, Shape], config: Path, data: Path = Path("data")) -> dict[str, Any]:
    """All that is known of a target set, as JSON has it.

    Args:
        params: All entries, checked.
        name: The target set.
        shapes: Of its students' teachers, by name.
        config: The config.json of its own teacher.
        data: Where prepared data lies.

    Raises:
        UserError: the teacher lacks a layer or cannot be replayed, or the prepared data is damaged.
    """
    settings = params.targets[name]
    shape, job = shapes[settings.teacher], job_of(settings)
    task = params.datasets[params.origin(settings.dataset)].task
    kept, outputs = keeps(settings, shape.layers), resolve(job, shape.layers, task)
    asked = {student: _reads(params, student, shapes) for student in readers(params, name)}
    known = [needs for needs in asked.values() if needs is not None]
    wished = together([lists(settings, shape.layers), *known])
    wanted = replace(job, hidden=wished.hidden, cls=wished.cls, attention=wished.attention, relations=wished.relations)
    rows, bytes_of, attention = _sizes(data / "prepared" / settings.dataset, config, job, wanted)
    return {
        "teacher": {"name": settings.teacher, **asdict(shape)},
        "dataset": {"name": settings.dataset, "rows": rows},
        "students": {
            student: needs and {"reads": names(needs), "lacks": names(without(needs, kept))} for student, needs in asked.items()
        },
        "unread": unread(settings, shape.layers, known) if len(known) == len(asked) else [],
        "codec": {
            "name": job.codec,
            "variance_lost": VARIANCE_LOST[job.codec],
            "bytes_a_value": bytes_a_vector(job.codec, shape.width) / shape.width,
        },
        "outputs": {
            output: {
                "codec": outputs.stored.get(output, REPLAY),
                "source": outputs.replayed.get(output),
                "bytes": bytes_of.get(output),
            }
            for output in outputs.names
        },
        "attention": {"layers": list(wanted.attention), "bytes": attention},
    }


def _reads(params: Params, student: str, shapes: Mapping[str, Shape]) -> Needs | None:
    try:
        return reads(params, student, shapes)
    except UserError:
        return None


def _sizes(folder: Path, config: Path, job: Job, wanted: Job) -> tuple[dict[str, int], dict[str, dict[str, int]], dict[str, int]]:
    """Distinct rows of each split, bytes of a job's outputs, and of the ways to keep the wanted attention."""
    if not (folder / "dataset.json").exists():
        return {}, {}, {}
    dataset = Dataset.open(folder)
    splits = [split for split in get_args(Split) if split in dataset.splits]
    model = hollow_model(config, task_of(dataset.task), dataset.labels)
    sizes = Plan({split: dataset.rows(split) for split in splits}, model, dataset.task)
    rows = {split: len(lengths) for split, lengths in sizes.lengths.items()}
    return rows, sizes.outputs(job), sizes.attention(wanted) if wanted.attention else {}


def hollow_model(config: Path, task: Task, labels: Sequence[str]) -> PreTrainedModel:
    """A model of a config, with a task's head for these labels, whose weights have shapes and no numbers.

    Raises:
        UserError: transformers cannot build it.
    """

    def build() -> Any:
        settings = AutoConfig.from_pretrained(config.parent, **({"num_labels": len(labels)} if labels else {}))
        with torch.device("meta"):
            return getattr(transformers, task.auto).from_config(settings)

    model: PreTrainedModel = load_or_explain(config.parent, "config", build)
    return model
