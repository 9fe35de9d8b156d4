"""The scores of an ONNX file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import read_json, sha256
from distill.data.dataset import Dataset
from distill.data.tokenizers import load_tokenizer, tokenizer_fingerprint
from distill.export.session import FP32, INT8, files_of, open_session
from distill.models.predict import predict_by
from distill.tasks.base import EvaluationSplit
from distill.tasks.cascade import cascade
from distill.tasks.judged import Judged
from distill.tasks.registry import task_of

BATCH_TOKENS = 1024
"""Tokens run at once: a masked language model's logits are those of every token, over the vocabulary."""


def measure_exports(
    folder: Path, dataset: Dataset, validation: Mapping[str, Array], teacher: Mapping[str, Judged] | None = None
) -> dict[str, Any]:
    """The scores of both files of an export, on the test split; of INT8 also how far it follows fp32.

    With what a student's teacher has judged, by split, each file has its `cascade` too: distill/tasks/cascade.py; `validation` is
    what they predict of the validation rows, as `write_export` has found.
    """
    task, split = task_of(dataset.task), EvaluationSplit.from_dataset(dataset, "test")
    exact, rounded = (predicted(folder / name, dataset, split) for name in (FP32, INT8))
    split = task.expecting(split, task.judge(exact, split) if teacher is None else teacher["test"].rows)
    cascades: dict[str, dict[str, Any]] = {FP32: {}, INT8: {}}
    if teacher is not None:
        before = task.expecting(EvaluationSplit.from_dataset(dataset, "validation"), teacher["validation"].rows)
        for name, kept in {FP32: exact, INT8: rounded}.items():
            student = {"validation": task.judged(validation[name], before), "test": task.judged(kept, split)}
            found = cascade(dataset.task, dataset.metric, student, teacher)
            cascades[name] = {"cascade": found} if found else {}
    relation = task.relation(rounded, exact, split)
    follows = {"agreement": "agreement_with_fp32", "kl_from_teacher": "kl_from_fp32"}
    return {
        "task": dataset.task,
        "metric": dataset.metric,
        "rows": len(task.judge(exact, split)),
        "fp32": {**about(folder / FP32), **task.measures(exact, split), **cascades[FP32]},
        "int8": {
            **about(folder / INT8),
            **task.measures(rounded, split),
            **{follows[key]: relation[key] for key in relation},
            **cascades[INT8],
        },
    }


def predicted(path: Path, dataset: Dataset, split: EvaluationSplit, settings: Path | None = None) -> Array:
    """What scoring needs of a file's logits, in the form of `predict` in distill/models/predict.py.

    `settings` is the folder of its config and tokenizer; by default its own.
    """
    session, settings = open_session(path), settings or path.parent
    fingerprint = tokenizer_fingerprint(load_tokenizer(settings))
    if fingerprint != dataset.tokenizer:
        raise UserError(
            f"{path}: its tokenizer is {fingerprint[:12]}, the rows of {dataset.folder} were made with {dataset.tokenizer[:12]}; "
            "score it on the data set of its model"
        )
    title = f"evaluate {settings.name}/{path.name}"

    def forward(batch: dict[str, Tensor], where: Tensor | None) -> Tensor:
        logits = torch.from_numpy(session({name: part.numpy() for name, part in batch.items()}))
        return logits if where is None else logits[where]

    task = task_of(dataset.task)
    config = read_json(settings / "config.json", "a model's config, as transformers saves it")
    return task.tuned(predict_by(forward, task, split.rows, title, BATCH_TOKENS), config)


def about(path: Path) -> dict[str, Any]:
    """Which files these are: the bytes and SHA-256 of each, and all bytes."""
    files = {file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in files_of(path)}
    return {"bytes": sum(file.stat().st_size for file in files_of(path)), "files": files}
