"""Target sets of tiny teachers."""

import multiprocessing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from distill.data.batching import pad_batch
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows
from distill.models.folds import write_description
from distill.store.manifest import Fingerprints
from distill.store.target_set import TargetStore
from distill.targets.materialization.forward import Teacher
from distill.targets.materialization.materialize import Materializer
from distill.targets.materialization.outputs import MaterializeSpec
from tests import tiny
from tests.target_specs import target_spec

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["distill.targets.materialization.materialize", "tests.stores"])
HEADS = {
    "sequence-classification": "SequenceClassification",
    "multi-label": "SequenceClassification",
    "regression": "SequenceClassification",
    "token-classification": "TokenClassification",
    "question-answering": "QuestionAnswering",
    "masked-lm": "MaskedLM",
    "sentence-embedding": "AutoModel",
    "ranking": "SequenceClassification",
}
"""Of transformers, by task."""
MANY = target_spec(hidden=(2, -1), cls=(1,), attention=(1, 3), shard_bytes=3000)
"""An output of each kind, in many shards."""


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
    model: PreTrainedModel,
    dataset: Dataset,
    job: MaterializeSpec,
    scratch: Path,
    base: TargetStore | None = None,
    **changed: object,
) -> Materializer:
    """A materializer of a tiny teacher, whose fingerprints are made up."""
    return Materializer(Teacher(model, fingerprints(dataset, **changed)), dataset, job, scratch, base)


def materialize(
    model: PreTrainedModel,
    dataset: Dataset,
    folder: Path,
    job: MaterializeSpec,
    scratch: Path | None = None,
    base: TargetStore | None = None,
) -> Path:
    """Compute and assemble a target set."""
    made = materializer(model, dataset, job, scratch or folder.parent / f"{folder.name}-scratch", base)
    made.run()
    return assembled(made, folder)


def assembled(made: Materializer, folder: Path) -> Path:
    """Assemble a target set whose units are done."""
    folder.mkdir(parents=True)
    made.assemble(folder)
    return folder


def stored(model: PreTrainedModel, dataset: Dataset, folder: Path, job: MaterializeSpec, *more: object) -> TargetStore:
    """Compute, assemble and open a target set."""
    return TargetStore.open(materialize(model, dataset, folder, job, *more))


def gathered(store: TargetStore, output: str, split: str, ids: np.ndarray) -> Tensor:
    """An output of these rows."""
    reader = store.output(output, split)
    return reader.gather(reader.locate(ids))


def no_folds(project: Path, name: str = "tiny") -> None:
    """What the stage `folds` writes in a project of a teacher that has no further ones."""
    write_description(project / "data" / "folds" / name, None, 0)


def teacher_for(dataset: Dataset, family: str = "bert", **config: object) -> PreTrainedModel:
    """A random 3-layer teacher of a data set's task."""
    labels = {} if dataset.task == "masked-lm" else {"num_labels": dataset.classes}
    return tiny.family(family, HEADS[dataset.task], vocab_size=dataset.vocabulary, **labels, **config)


def live_outputs(
    model: PreTrainedModel, rows: PreparedRows, positions: np.ndarray, *, every: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """What the whole model computes of these rows: logits of rows, of real tokens, or of masked ones (or all); hidden states.

    Tokens stand one row after the other, without padding.
    """
    batch = pad_batch(rows, positions)
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        outputs = model(**batch, output_hidden_states=True)
    if "sentence_embedding" in outputs:
        return outputs.sentence_embedding, [states[real] for states in outputs.hidden_states]
    logits = torch.stack([outputs.start_logits, outputs.end_logits], dim=2) if "start_logits" in outputs else outputs.logits
    if logits.dim() == 3:
        logits = logits[real]
        if "Masked" in type(model).__name__ and not every:
            labels = [rows.labels[rows.offsets[i] : rows.offsets[i + 1]] for i in positions]
            logits = logits[torch.from_numpy(np.concatenate(labels) != UNLABELLED)]
    return logits, [states[real] for states in outputs.hidden_states]
