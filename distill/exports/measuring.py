"""The scores of an ONNX file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.encoders import load_tokenizer, tokenizer_fingerprint
from distill.errors import UserError
from distill.evaluation import Forward, predict_by
from distill.exports.sessions import FP32, INT8, Session, open_session
from distill.files import sha256
from distill.prepared import Dataset
from distill.tasks.base import Gold
from distill.tasks.catalogue import task_of

Array = np.ndarray[Any, np.dtype[Any]]
BATCH_TOKENS = 1024
"""Tokens run at once: a masked language model's logits are those of every token, over the vocabulary."""


def measure_exports(folder: Path, dataset: Dataset) -> dict[str, Any]:
    """The scores of both files of an export, on the test split; of INT8 also how far it follows fp32.

    Raises:
        UserError: as of `measure_export`.
    """
    task, gold = task_of(dataset.task), Gold.of(dataset, "test")
    exact, rounded = (predicted(folder / name, dataset, gold) for name in (FP32, INT8))
    relation = task.relation(rounded, exact, gold)
    follows = {"agreement": "agreement_with_fp32", "kl_from_teacher": "kl_from_fp32"}
    return {
        "task": dataset.task,
        "metric": dataset.metric,
        "rows": len(task.judge(exact, gold)),
        "fp32": {**about(folder / FP32), **task.measures(exact, gold)},
        "int8": {**about(folder / INT8), **task.measures(rounded, gold), **{follows[key]: relation[key] for key in relation}},
    }


def measure_export(path: Path, dataset: Dataset) -> dict[str, Any]:
    """The task's scores of one ONNX file on the test split, and the file's bytes.

    Raises:
        UserError: the file is missing, damaged, or of another tokenizer.
    """
    gold = Gold.of(dataset, "test")
    return {**about(path), **task_of(dataset.task).measures(predicted(path, dataset, gold), gold)}


def predicted(path: Path, dataset: Dataset, gold: Gold) -> Array:
    """What scoring needs of a file's logits, in the form of `predict` in distill/evaluation.py.

    Raises:
        UserError: the file is missing, damaged, or of another tokenizer.
    """
    session = open_session(path)
    own = tokenizer_fingerprint(load_tokenizer(path.parent))
    if own != dataset.tokenizer:
        raise UserError(
            f"{path}: its tokenizer is {own[:12]}, the rows of {dataset.folder} were made with {dataset.tokenizer[:12]}; "
            "score it on the data set of its model"
        )
    title = f"evaluate {path.parent.name}/{path.name}"
    return predict_by(forward_of_session(session), task_of(dataset.task), gold.rows, title, BATCH_TOKENS)


def forward_of_session(session: Session) -> Forward:
    """A session as a function of tensors."""

    def forward(batch: dict[str, Tensor], where: Tensor | None) -> Tensor:
        logits = torch.from_numpy(session({name: part.numpy() for name, part in batch.items()}))
        return logits if where is None else logits[where]

    return forward


def about(path: Path) -> dict[str, Any]:
    """Which file this is: bytes and SHA-256."""
    return {"bytes": path.stat().st_size, "sha256": sha256(path)}
