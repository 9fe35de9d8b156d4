"""A model's predictions, judged row by row, and the Parquet file that keeps them: data/evaluations/KIND/NAME/judged.parquet.

From it scores of any selection of rows can be had again, without models: paired intervals, and cascades. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distill.core.arrays import Array
from distill.core.errors import UserError

FILE = "judged.parquet"
TEACHER = "teacher"
"""Who has judged, beside a student's seeds: what the store has of its teacher."""
SCHEMA = pa.schema(
    [
        ("split", pa.string()),
        ("model", pa.string()),
        ("id", pa.string()),
        ("confidence", pa.float32()),
        ("right", pa.bool_()),
        ("judged", pa.list_(pa.float32())),
    ]
)
SHAPE = b"shape"
"""The metadata that says which shape a row's `judged` has."""


@dataclass(frozen=True)
class Judged:
    """Rows, or questions, in the order of their split."""

    ids: tuple[str, ...]
    confidence: Array | None
    """(rows,) float: the probability of what is predicted, of several tags that of the least sure one; None of numbers."""
    right: Array
    """(rows,) bool: whether all of a row is right."""
    rows: Array
    """(rows, …) float: what `Task.judge` says of each."""

    def __len__(self) -> int:
        return len(self.ids)


def write_judged(path: Path, kept: Mapping[tuple[str, str], Judged]) -> None:
    """Write what is judged, by split and model (a seed, or TEACHER): the same bytes for the same content."""
    tables = [
        pa.table(
            {
                "split": [split] * len(judged),
                "model": [model] * len(judged),
                "id": list(judged.ids),
                "confidence": pa.nulls(len(judged), pa.float32()) if judged.confidence is None else judged.confidence,
                "right": judged.right,
                "judged": list(judged.rows.reshape(len(judged), -1).astype(np.float32)),
            },
            SCHEMA,
        )
        for (split, model), judged in kept.items()
    ]
    shape = " ".join(map(str, next(iter(kept.values())).rows.shape[1:]))
    pq.write_table(pa.concat_tables(tables).replace_schema_metadata({SHAPE: shape.encode()}), path, compression="zstd")


def read_judged(folder: Path, split: str, stage: str) -> dict[str, Judged]:
    """What is judged of a split, by model in the order of the file; `folder` is what `stage` has written."""
    path = folder / FILE
    try:
        table = pq.read_table(path, filters=[("split", "=", split)])
        shape = tuple(map(int, table.schema.metadata[SHAPE].split()))
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; expected what `dvc repro {stage}` writes") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is damaged ({type(error).__name__}); run `dvc repro --force --single-item {stage}`") from None
    found = {}
    for model in dict.fromkeys(table["model"].to_pylist()):
        part = table.filter(pa.compute.equal(table["model"], model)).combine_chunks()
        confidence = part["confidence"]
        found[model] = Judged(
            tuple(part["id"].to_pylist()),
            None if confidence.null_count else confidence.to_numpy().astype(np.float64),
            np.asarray(part["right"].to_numpy(zero_copy_only=False), bool),
            np.asarray(part["judged"].combine_chunks().flatten().to_numpy(), np.float64).reshape(len(part), *shape),
        )
    return found
