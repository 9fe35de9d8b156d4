"""How good a model is, how far it agrees with its teacher, and how sure we may be of it."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error
from tqdm import tqdm
from transformers import PreTrainedModel

from distill.padding import length_batches, pad_batch
from distill.prepared import PreparedRows
from distill.tasks import log_softmax, score

Array = np.ndarray[Any, np.dtype[Any]]
METRICS = ("accuracy", "macro_f1", "mcc")
CALIBRATION_BINS = 15
RESAMPLES = 2000
BATCH_TOKENS = 8192


def predict(model: PreTrainedModel, rows: PreparedRows, title: str) -> Array:
    """A model's logits over all rows, (rows, classes) float32, in eval mode."""
    model.eval()
    logits = np.empty((len(rows), model.config.num_labels), np.float32)
    bar = tqdm(total=len(rows), desc=title, unit="row", disable=None)
    with bar, torch.inference_mode():
        for chosen in length_batches(rows.lengths, BATCH_TOKENS):
            batch = pad_batch(rows, chosen)
            logits[chosen] = model(**{name: part.to(model.device) for name, part in batch.items()}).logits.float().cpu()
            bar.update(len(chosen))
    return logits


def scores(logits: Array, labels: Array) -> dict[str, float]:
    """Accuracy, macro-F1, Matthews' correlation, log-loss (nats), and expected calibration error (15 bins, L1; Guo 2017)."""
    predictions = logits.argmax(axis=1)
    probabilities = np.exp(log_softmax(logits))
    error = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.tensor(labels), logits.shape[1], n_bins=CALIBRATION_BINS, norm="l1"
    )
    return {
        **{metric: score(metric, predictions, labels) for metric in METRICS},
        "log_loss": float(log_loss(labels, probabilities, labels=np.arange(logits.shape[1]))),
        "calibration_error": float(error),
    }


def agreement(student: Array, teacher: Array) -> dict[str, float]:
    """How far a student follows its teacher: the share of rows with the same top class, and KL(teacher ‖ student) in nats."""
    own, theirs = log_softmax(student), log_softmax(teacher)
    return {
        "agreement": float((student.argmax(axis=1) == teacher.argmax(axis=1)).mean()),
        "kl_from_teacher": float((np.exp(theirs) * (theirs - own)).sum(axis=1).mean()),
    }


def retention(metric: str, students: Array, teacher: Array, labels: Array, seed: int = 1) -> dict[str, float]:
    """The student's score, the mean over its seeds, over the teacher's; with a 95% interval from a paired bootstrap of the rows.

    Args:
        metric: `accuracy`, `macro_f1` or `mcc`.
        students: Predicted class numbers, (seeds, rows).
        teacher: The same of the teacher.
        labels: The true ones.
        seed: Of the resampling.

    Returns:
        `retention`, `retention_low`, `retention_high`; none if the teacher scores 0.
    """
    if score(metric, teacher, labels) == 0:
        return {}

    def ratio(rows: Array) -> float:
        reference = score(metric, teacher[rows], labels[rows])
        own = float(np.mean([score(metric, student[rows], labels[rows]) for student in students]))
        return own / reference if reference else 1.0

    rows = np.arange(len(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interval = bootstrap(
            (rows,), ratio, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
        ).confidence_interval
    return {"retention": ratio(rows), "retention_low": float(interval.low), "retention_high": float(interval.high)}


def size(model: PreTrainedModel, folder: Path) -> dict[str, int]:
    """Layers, hidden size, parameters, and bytes of the weights on disk."""
    return {
        "layers": int(model.config.num_hidden_layers),
        "hidden_size": int(model.config.hidden_size),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
    }


def over_seeds(runs: list[dict[str, float]]) -> dict[str, float]:
    """The mean of every measure over seeds, and its sample standard deviation as `NAME_sd` where there are several."""
    means = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    if len(runs) > 1:
        means |= {f"{name}_sd": float(np.std([run[name] for run in runs], ddof=1)) for name in runs[0]}
    return means
