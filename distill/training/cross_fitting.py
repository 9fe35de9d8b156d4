"""Further teachers, so that soft targets are not learnt by heart (Dao et al. 2021, arXiv 2104.09732, algorithm 1).

A teacher answers for the rows that it was fine-tuned on as if it knew them by heart: its soft targets there say little more than
the label. Cross-fitting cuts the labelled rows into folds and fine-tunes a teacher without each; a row's target is that of the
teacher that has not seen it.

Rows of one text are in one fold, questions of one context, and passages of one query. Folds are decided by hashes of the texts:
of each class, texts are ordered by their hashes and cut into equal parts. So each fold has its share of each class, every teacher
sees a class that stands in two texts, and when rows are added, few that were there change their fold.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.data.averaging import labels_a_row
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows, row_texts
from distill.data.groups import groups_of
from distill.models.folds import NO_FOLD, write_description
from distill.params.training import TeacherSettings
from distill.preparation.normalization import normalized
from distill.training.fine_tuning import FineTuning


def assign_folds(dataset: Dataset, folds: int, seed: int) -> Array:
    """The fold of each training row, (rows,) int8; NO_FOLD for those whose text (of question answering: context) has no label."""
    rows = dataset.rows("train")
    labelled, classes = labels_a_row(rows) > 0, _classes(dataset, rows)
    strata: dict[int, list[tuple[bytes, Array]]] = {}
    for key, members in _groups(rows, _texts(dataset)):
        known = classes[members[labelled[members]]]
        if len(known):
            strata.setdefault(Counter(known.tolist()).most_common(1)[0][0], []).append((_hash(seed, key), members))
    if (count := sum(map(len, strata.values()))) < folds:
        what = "contexts" if dataset.spec.windows else "queries" if dataset.spec.groups else "texts"
        raise UserError(
            f"folds: {dataset.folder} has {count} different {what} with a label, which cannot be cut into {folds} folds; lower "
            "folds, or give labels to more rows"
        )
    found = np.full(len(rows), NO_FOLD, np.int8)
    for stratum, texts in strata.items():
        start = int.from_bytes(_hash(seed, f"class {stratum}")[:4]) / 2**32
        for rank, (_, members) in enumerate(sorted(texts, key=lambda text: text[0])):
            found[members] = int((rank + start) / len(texts) * folds)
    if empty := sorted({*range(folds)} - {*found.tolist()}):
        raise UserError(
            f"folds: {dataset.folder} has too few texts with a label for {folds} folds, fold {empty[0]} is empty; lower folds, "
            "or give labels to more rows"
        )
    return found


def train_further(dataset: Dataset, settings: TeacherSettings, name: str, folder: Path | None, scratch: Path) -> list[Any]:
    """Fine-tune what `folds` or `seeds` of an entry ask for, into an empty folder (distill/models/folds.py); how each run went.

    What they have made stays in `scratch`, by all that they depend on, so that a killed stage trains none of them again. `folder`
    is None where another process writes; then nothing is returned.
    """
    folds = None if settings.folds is None else assign_folds(dataset, settings.folds, settings.seed)
    count = settings.folds or len(settings.seeds)
    records = []
    for number, run in enumerate(_runs(dataset, settings, name, folds, scratch)):
        model, trained = run.run()
        if folder is not None:
            model.save_pretrained(folder / str(number))
            records.append(trained.record(run.settings.seed))
    if folder is not None:
        write_description(folder, "seeds" if folds is None else "folds", count, dataset.rows("train").ids, folds)
    return records


def _runs(dataset: Dataset, settings: TeacherSettings, name: str, folds: Array | None, scratch: Path) -> Iterator[FineTuning]:
    """One fine-tuning after the other: without each fold, or with each seed."""
    for seed in settings.seeds:
        yield FineTuning(dataset, settings.model_copy(update={"seed": seed}), f"teacher {name} seed {seed}", scratch)
    for fold in range(settings.folds or 0):
        yield FineTuning(dataset, settings, f"teacher {name} fold {fold}", scratch, None if folds is None else folds == fold)


def _texts(dataset: Dataset) -> list[str]:
    """What decides whether two rows are one text: of windows their context, of passages their query, else all that is read."""
    columns = dataset.texts("train")
    if dataset.spec.windows:
        return [normalized(context) for context in columns["context"]]
    if dataset.spec.groups:
        return [normalized(query) for query in columns["text"]]
    return [normalized(" ".join(row)) for row in row_texts(columns)]


def _groups(rows: PreparedRows, texts: list[str]) -> Iterator[tuple[str, Array]]:
    """The rows that have a text, or an example id, in common, however indirectly; with the least of their texts."""
    numbers: dict[str | bytes, int] = {}
    text_numbers = [numbers.setdefault(text, len(numbers)) for text in texts]
    id_numbers = [numbers.setdefault(each.tobytes(), len(numbers)) for each in rows.ids]
    links = coo_array((np.ones(len(rows)), (text_numbers, id_numbers)), shape=(len(numbers), len(numbers)))
    for members in groups_of(connected_components(links, directed=False)[1][text_numbers]):
        yield min(texts[row] for row in members), members


def _classes(dataset: Dataset, rows: PreparedRows) -> Array:
    """What rows are stratified by, (rows,) int64: the class; the rarest of several labels or tags; whether there is an answer."""
    if dataset.spec.windows:
        return np.asarray(rows.labels[:, 0] > 0, np.int64)
    if dataset.spec.numbers:
        return np.zeros(len(rows), np.int64)
    if not rows.labels_per_token and rows.labels.ndim == 1:
        return np.asarray(rows.labels)
    several = rows.labels == 1
    if rows.labels_per_token:
        owners, tagged = np.repeat(np.arange(len(rows)), rows.lengths), rows.labels != UNLABELLED
        several = np.zeros((len(rows), len(dataset.labels)), bool)
        several[owners[tagged], rows.labels[tagged]] = True
    rarity = several.sum(axis=0)
    rarest = np.where(several, rarity, len(rows) + 1).argmin(axis=1)
    return np.where(several.any(axis=1), rarest, -1)


def _hash(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed} {text}".encode()).digest()
