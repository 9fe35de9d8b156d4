"""The tables that `dvc plots` draws: data/plots/PLOT/KIND/NAME/DATASET.csv, each in the columns of .dvc/plots/PLOT.json."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from distill.evaluation.details import Detail

PLOTS = {
    "training": ("curve", "epoch", "value", "seed"),
    "confusion": ("actual", "predicted", "count"),
    "calibration": ("confidence", "accuracy", "count"),
}
"""By plot: the columns of its table."""


CURVES = {"loss": "training loss", "score": "validation score"}


def tables(detail: Detail, runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The tables of a model as CSV, by plot; an empty text where there is nothing to draw.

    `runs` is what data/runs/ says of its training, one record a seed.
    """
    confusion = detail.confusion
    lines: dict[str, list[Sequence[Any]]] = {
        "training": [
            (title, entry["epoch"], entry[key], run["seed"])
            for run in runs
            for key, title in CURVES.items()
            for entry in run["history"]
            if key in entry
        ],
        "confusion": [
            (label, predicted, count)
            for label, row in zip(confusion.labels, confusion.counts, strict=True)
            for predicted, count in zip(confusion.labels, row, strict=True)
        ]
        if confusion
        else [],
        "calibration": [(each.confidence, each.accuracy, each.count) for each in detail.calibration],
    }
    return {plot: _csv([PLOTS[plot], *rows]) if rows else "" for plot, rows in lines.items()}


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()
