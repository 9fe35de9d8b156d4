"""data/selections/NAME/: the rows that a student is least sure of (uncertainty sampling; Lewis & Gale 1994)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from distill.annotation.prompts import Texts, rows_of
from distill.annotation.table import ROWS, read_texts, text_columns
from distill.core.arrays import Array
from distill.core.files import sha256, to_json, write_text
from distill.core.numeric import log_softmax
from distill.data.dataset import UNLABELLED, Dataset
from distill.params.annotators import SelectionSettings

DESCRIPTION = "selection.json"


def uncertainty(logits: Array, by: str, *, exclusive: bool = True) -> Array:
    """How unsure a model is of each row, (rows,) float64, from logits (rows, classes).

    `entropy`: −Σ p log p, in nats. `margin`: 1 − (p₁ − p₂), of the two highest probabilities. Labels that do not exclude each
    other are so many yes or no: the sum of their entropies, and the least of their margins.
    """
    if not exclusive:
        both = np.stack([logits, np.zeros_like(logits)], axis=-1)
        each = uncertainty(both.reshape(-1, 2), by).reshape(logits.shape)
        return np.asarray(each.sum(axis=1) if by == "entropy" else each.max(axis=1))
    logs = log_softmax(logits)
    if by == "entropy":
        return np.asarray(-(np.exp(logs) * logs).sum(axis=1))
    highest = np.sort(np.exp(logs), axis=1)
    return np.asarray(1 - (highest[:, -1] - highest[:, -2]))


def choose(unsure: Array, texts: Sequence[Texts], open_rows: Array, known: Sequence[Texts], count: int) -> list[Texts]:
    """The texts that are annotated already, and `count` others of the open rows, the least sure first; each text once."""
    chosen = dict.fromkeys(known)
    before = len(chosen)
    for row in np.argsort(-unsure, kind="stable").tolist():
        if len(chosen) - before == count:
            break
        if open_rows[row]:
            chosen.setdefault(texts[row])
    return list(chosen)


def write_selection(folder: Path, dataset: Dataset, predicted: Array, settings: SelectionSettings) -> dict[str, Any]:
    """Write the training rows to be labelled; returns what selection.json says.

    Of what is `predicted` for the training rows, logits come first: multi-label has those above its thresholds behind them.
    """
    known, texts = read_texts(Path(settings.rows), "train"), rows_of(dataset, "train")
    labels = dataset.rows("train").labels
    open_rows = labels.reshape(len(labels), -1)[:, 0] == UNLABELLED
    unsure = uncertainty(predicted[:, : len(dataset.labels)], settings.by, exclusive=dataset.task != "multi-label")
    chosen = choose(unsure, texts, open_rows, known, settings.count)
    (folder / ROWS).mkdir()
    pa.parquet.write_table(pa.table(text_columns(chosen, len(texts[0]))), folder / ROWS / "train.parquet")
    made = {
        "dataset": dataset.folder.name,
        "fingerprint": sha256(dataset.folder / "dataset.json"),
        "annotated": len(known),
        "chosen": len(chosen) - len(known),
        "without_label": int(open_rows.sum()),
    }
    write_text(folder / DESCRIPTION, to_json(made))
    return made
