"""Target sets of tiny teachers."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from distill.padding import pad_batch
from distill.prepared import UNLABELLED, Dataset, PreparedRows
from distill.targets.outputs import Job
from distill.targets.reader import TargetStore
from distill.targets.schema import Fingerprints
from distill.targets.teacher import Teacher
from distill.targets.writer import Materializer
from tests import tiny

HEADS = {
    "sequence-classification": "SequenceClassification",
    "regression": "SequenceClassification",
    "token-classification": "TokenClassification",
    "question-answering": "QuestionAnswering",
    "masked-lm": "MaskedLM",
}
"""Of transformers, by task."""


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


def teacher_for(dataset: Dataset, family: str = "bert", **config: object) -> PreTrainedModel:
    """A random 3-layer teacher of a data set's task."""
    labels = {} if dataset.task == "masked-lm" else {"num_labels": dataset.classes}
    return tiny.family(family, HEADS[dataset.task], vocab_size=dataset.vocabulary, **labels, **config)


def live_logits(model: PreTrainedModel, rows: PreparedRows, positions: np.ndarray, *, every: bool = False) -> Tensor:
    """What the whole model says of these rows, written out: logits of rows, of real tokens, or of masked ones (or all)."""
    batch, lengths = pad_batch(rows, positions), rows.lengths[positions]
    with torch.no_grad():
        outputs = model(**batch)
    spans = "start_logits" in outputs
    logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=2) if spans else outputs.logits
    if logits.dim() == 2:
        return logits
    parts = []
    for row, position, length in zip(logits, positions, lengths.tolist(), strict=True):
        own = rows.labels[rows.offsets[position] : rows.offsets[position + 1]]
        masked_lm = "Masked" in type(model).__name__ and not every
        parts.append(row[:length][torch.from_numpy(own != UNLABELLED)] if masked_lm else row[:length])
    return torch.cat(parts)
