"""Target sets of tiny teachers."""

from pathlib import Path

from transformers import PreTrainedModel

from distill.prepared import Dataset
from distill.targets.schema import Fingerprints
from distill.targets.writer import Job, Materializer


def fingerprints(dataset: Dataset, **changed: object) -> Fingerprints:
    values = {
        "teacher": "t" * 64,
        "config": "c" * 64,
        "tokenizer": dataset.tokenizer,
        "labels": dataset.labels,
        "max_length": dataset.max_length,
    }
    return Fingerprints(**{**values, **changed})


def materialize(model: PreTrainedModel, dataset: Dataset, folder: Path, job: Job, scratch: Path | None = None) -> Path:
    """Compute and assemble a target set."""
    made = Materializer(model, dataset, fingerprints(dataset), job, scratch or folder.parent / f"{folder.name}-scratch")
    made.run()
    folder.mkdir(parents=True)
    made.assemble(folder)
    return folder
