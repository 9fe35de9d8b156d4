"""data/folds/NAME/: further teachers beside data/teachers/NAME, whose answers are soft targets.

    folds.json             their kind, `folds` or `seeds` (null: there are none), and how many there are
    assignment.parquet     of folds: `example_id` and `fold`, a row for each text with a label, ordered by example id
    0/, 1/ …               weights and configs, by fold or in the order of `seeds`

Tokenizer, exports and hidden states are the teacher's own.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedModel

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import atomic_file, read_json, sha256, to_json, write_text
from distill.data.dataset import ID_BYTES, Dataset
from distill.data.row_index import RowIndex
from distill.models.fit import require_fit
from distill.models.loading import load_model, weights_fingerprint
from distill.tasks.registry import task_of

DESCRIPTION, ASSIGNMENT = "folds.json", "assignment.parquet"
NO_FOLD = -1
"""Of rows that no teacher has seen."""

Kind = Literal["folds", "seeds"]


def write_description(folder: Path, kind: Kind | None, count: int, ids: Array | None = None, folds: Array | None = None) -> None:
    """Say what is in the folder. Of folds: the example ids, (rows, 16) uint8, and the fold of each, NO_FOLD for those of none."""
    if ids is not None and folds is not None:
        _, firsts = np.unique(ids[folds != NO_FOLD], axis=0, return_index=True)
        held = np.flatnonzero(folds != NO_FOLD)[firsts]
        table = pa.table(
            {
                "example_id": pa.array([ids[row].tobytes() for row in held], pa.binary(ID_BYTES)),
                "fold": pa.array(folds[held], pa.int8()),
            }
        )
        with atomic_file(folder / ASSIGNMENT) as path:
            pq.write_table(table, path)
    write_text(folder / DESCRIPTION, to_json({"kind": kind, "count": count}))


@dataclass(frozen=True)
class FurtherTeachers:
    """Further teachers on disk, and which row each of them has not seen."""

    folder: Path
    kind: Kind
    count: int
    ids: Array
    """(texts, 16) uint8, ordered: those of a fold."""
    folds: Array
    """(texts,) int64."""

    @classmethod
    def open(cls, folder: Path) -> "FurtherTeachers | None":
        """Read what is there; None if a teacher has no further ones."""
        place = folder / DESCRIPTION
        content = read_json(place, "what further teachers there are")
        again = f"run `dvc repro folds@{folder.name}`, or `dvc pull {folder}`"
        kind, count = (content.get("kind"), content.get("count")) if isinstance(content, dict) else ("", None)
        if kind not in (*get_args(Kind), None) or not isinstance(count, int):
            raise UserError(f"{place}: is damaged ({str(content)[:60]}); {again}")
        if kind is None:
            return None
        ids, folds = np.empty((0, ID_BYTES), np.uint8), np.empty(0, np.int64)
        if kind == "folds":
            try:
                table = pq.read_table(folder / ASSIGNMENT)
                ids = np.frombuffer(b"".join(table["example_id"].to_pylist()), np.uint8).reshape(-1, ID_BYTES)
                folds = table["fold"].to_numpy().astype(np.int64)
            except (OSError, KeyError, ValueError, pa.ArrowException) as error:
                raise UserError(f"{folder / ASSIGNMENT}: is missing or damaged ({error}); {again}") from None
        return cls(folder, cast(Kind, kind), count, ids, folds)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of their weights and of the assignment."""
        parts = [self.kind, *(weights_fingerprint(self.folder / str(number)) for number in range(self.count))]
        parts += [sha256(self.folder / ASSIGNMENT)] if self.kind == "folds" else []
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def load(self, number: int, dataset: Dataset) -> PreTrainedModel:
        """One of them, in eval mode."""
        folder = self.folder / str(number)
        model = load_model(folder, task_of(dataset.task), dataset.labels, new_head=False)
        require_fit(model, dataset, str(folder))
        return model.eval()

    def fold_of(self, ids: Array) -> Array:
        """The fold of each row by its example id, (rows, 16) uint8 → (rows,) int64; NO_FOLD where none has seen it."""
        places = RowIndex(self.ids).find(ids)
        found = np.full(len(ids), NO_FOLD, np.int64)
        found[places >= 0] = self.folds[places[places >= 0]]
        return found

    def answering(self, ids: Array) -> Array:
        """Which of them answer for which rows, (rows, count) bool: the one that has not seen it, or all."""
        fold = self.fold_of(ids)[:, None]
        found: Array = (fold == NO_FOLD) | (fold == np.arange(self.count))
        return found
