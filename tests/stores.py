"""Target sets of tiny teachers."""

from pathlib import Path

from transformers import PreTrainedModel

from distill.prepared import Dataset
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.schema import Fingerprints
from distill.targets.teacher import Teacher
from distill.targets.writer import Materializer


def fingerprints(dataset: Dataset, **changed: object) -> Fingerprints:
    values = {
        "teacher": "t" * 64,
        "config": "c" * 64,
        "tokenizer": dataset.tokenizer,
        "labels": dataset.labels,
        "max_length": dataset.max_length,
    }
    return Fingerprints(**{**values, **changed})


def materializer(
    model: PreTrainedModel, dataset: Dataset, job: Job, scratch: Path, base: TargetStore | None = None, **changed: object
) -> Materializer:
    """A materializer of a tiny teacher, whose fingerprints are made up."""
    return Materializer(Teacher(model, fingerprints(dataset, **changed)), dataset, job, scratch, base)


def materialize(
    model: PreTrainedModel,
    dataset: Dataset,
    folder: Path,
    job: Job,
    scratch: Path | None = None,
    base: TargetStore | None = None,
) -> Path:
    """Compute and assemble a target set."""
    made = materializer(model, dataset, job, scratch or folder.parent / f"{folder.name}-scratch", base)
    made.run()
    folder.mkdir(parents=True)
    made.assemble(folder)
    return folder
