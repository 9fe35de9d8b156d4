"""Raw tables into rows: columns mapped, labels numbered, splits cut. Nothing here knows of tokens."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distill.errors import UserError
from distill.prepared import UNLABELLED

SPLITS = ("train", "validation", "test")
DEFAULT_FRACTION = 0.1


@dataclass(frozen=True)
class Rows:
    """The rows of one split; `texts_pair` is None unless the task has pairs. `numbers` are row numbers in the raw file."""

    texts: list[str]
    texts_pair: list[str] | None
    labels: np.ndarray[Any, np.dtype[np.int64]]
    numbers: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, positions: np.ndarray[Any, np.dtype[Any]]) -> "Rows":
        """The rows at these positions, in this order."""
        pair = None if self.texts_pair is None else [self.texts_pair[i] for i in positions]
        return Rows([self.texts[i] for i in positions], pair, self.labels[positions], self.numbers[positions])


def read_raw(folder: Path) -> dict[str, pa.Table]:
    """The splits of data/raw/NAME/, each from any file that `fetch` can read.

    Raises:
        UserError: the folder is missing or empty, or a file is broken.
    """
    from distill.sources import read_local

    if not folder.exists():
        raise UserError(f"{folder}: no such folder; add '{folder.name}' to `sources`, or put it there with `dvc add`")
    return read_local(folder, "utf-8")


def map_columns(
    table: pa.Table, where: str, text: str, text_pair: str | None, label: str, identity: str | None
) -> tuple[list[str], list[str] | None, list[Any]]:
    """The texts, their pairs and the raw labels (None where there is none) of a table.

    Raises:
        UserError: a column is missing, a text is empty or no text, a row has several labels, an id is repeated.
    """

    def column(name: str, part: str) -> list[Any]:
        if name not in table.column_names:
            from distill.params.base import nearest

            raise UserError(f"{where}: no column '{name}' for columns.{part}{nearest(name, table.column_names)}")
        values: list[Any] = table.column(name).to_pylist()
        return values

    def texts(name: str, part: str) -> list[str]:
        values = column(name, part)
        for row, value in enumerate(values):
            if not isinstance(value, str):
                raise UserError(f"{where}: row {row}: column '{name}' holds {value!r:.40}, expected text; mend or drop the row")
            if not value.strip():
                raise UserError(f"{where}: row {row}: column '{name}' is empty; mend or drop the row")
        return values

    if identity is not None:
        _refuse_duplicates(column(identity, "id"), where, identity)
    pair = texts(text_pair, "text_pair") if text_pair is not None else None
    given = column(label, "label") if label in table.column_names or label != "label" else [None] * table.num_rows
    for row, value in enumerate(given):
        if isinstance(value, (list, dict)):
            raise UserError(f"{where}: row {row}: column '{label}' holds {value!r:.40}, expected one label a row")
    return texts(text, "text"), pair, [None if value == "" else value for value in given]


def class_names(table: pa.Table, label: str) -> tuple[str, ...] | None:
    """The class names that a hub data set carries in its schema, if it does."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(label, {})
    return tuple(feature["names"]) if isinstance(feature, dict) and "names" in feature else None


def label_names(train_labels: Sequence[Any], carried: Sequence[str] | None, given: Sequence[str] | None) -> tuple[str, ...]:
    """The label names in the model's order: those given, else those the source carries, else the sorted values.

    Raises:
        UserError: the training split shows fewer than two classes.
    """
    if given or carried:
        return tuple(given or carried or ())
    values = {value for value in train_labels if value is not None}
    numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    names = tuple(str(value) for value in (sorted(values) if numbers else sorted(map(str, values))))
    if len(names) < 2:
        raise UserError(f"the training split has the labels {list(names)}; expected at least two classes; see columns.label")
    if numbers and list(names) != [str(i) for i in range(len(names))]:
        raise UserError(f"the labels are the numbers {', '.join(names)}, expected 0, 1, …; give their names in `labels`")
    return names


def number_labels(
    values: Sequence[Any], names: Sequence[str], where: str, carried: Sequence[str] | None = None
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Labels as indices into `names`; UNLABELLED for None and for the hub's −1.

    An integer is a position in `carried` (the source's own order) if these are the same names; else it is a name where names
    are numbers, and a position in `names` where they are words.

    Raises:
        UserError: a label that is not among the names.
    """
    index: dict[Any, int] = {name: i for i, name in enumerate(names)}
    positions = carried if carried and set(carried) == set(names) else names
    names_are_numbers = not carried and any(name.isdigit() for name in names)

    def number(row: int, value: Any) -> int:
        if value is None or value == -1:
            return UNLABELLED
        if isinstance(value, int) and not isinstance(value, bool) and not names_are_numbers and 0 <= value < len(names):
            return index[positions[value]]
        if str(value) in index:
            return index[str(value)]
        raise UserError(
            f"{where}: row {row}: label {value!r:.60} is unknown; expected one of {', '.join(names)} "
            "(the training rows' labels, or the data set's `labels`)"
        )

    return np.array([number(row, value) for row, value in enumerate(values)], dtype=np.int64)


def require_split(tables: Mapping[str, Any], split: str, name: str) -> None:
    """Refuse a split that the source does not have.

    Raises:
        UserError: those that it has are named.
    """
    if name not in tables:
        raise UserError(f"splits.{split}: the source has no '{name}'; it has {', '.join(tables)}")


def cut_splits(tables: Mapping[str, Rows], plan: Mapping[str, str | float | None], seed: int) -> dict[str, Rows]:
    """Train, validation and test rows: each a split of the source, or a stratified fraction of the training rows.

    Transfer rows (without a label) stay in the training split.

    Raises:
        UserError: a split that is named does not exist or is empty, or a class is too small to be cut.
    """
    named = {split: plan[split] if plan[split] is not None else split for split in SPLITS}
    require_split(tables, "train", str(named["train"]))
    train = tables[str(named["train"])]
    result, cuts = {}, {}
    for split in SPLITS[1:]:
        name = named[split]
        if isinstance(name, str) and name in tables:
            result[split] = tables[name]
        elif isinstance(plan[split], str):
            require_split(tables, split, str(name))
        else:
            cuts[split] = plan[split] if isinstance(plan[split], float) else DEFAULT_FRACTION
    total = int((train.labels != UNLABELLED).sum())
    for split, fraction in cuts.items():
        kept, cut = _stratified(train, round(float(fraction or 0) * total), f"splits.{split}", seed)
        result[split], train = train.take(cut), train.take(kept)
    result["train"] = train
    for split in SPLITS:
        if len(result[split]) == 0:
            raise UserError(f"splits.{split}: has no rows; give it a larger fraction, or another split of the source")
    return {split: result[split] for split in SPLITS}


def limit_rows(rows: Rows, most: int | None, seed: int) -> Rows:
    """At most so many rows: a seeded sample in the old order, with each label's share (and that of transfer rows) kept."""
    if most is None or len(rows) <= most:
        return rows
    dice = np.random.default_rng(seed)
    turn = np.empty(len(rows))
    for label in np.unique(rows.labels):
        members = dice.permutation(np.flatnonzero(rows.labels == label))
        turn[members] = np.arange(len(members)) / len(members)
    return rows.take(np.sort(np.argsort(turn, kind="stable")[:most]))


def require_labels(rows: Rows, where: str) -> None:
    """Refuse transfer rows in a split that models are scored on.

    Raises:
        UserError: the first row without a label.
    """
    missing = np.flatnonzero(rows.labels == UNLABELLED)
    if len(missing):
        raise UserError(
            f"{where}: row {rows.numbers[missing[0]]}: has no label ({len(missing)} rows have none), and this split is scored; "
            "label them, or take another split or a fraction (splits in params.yaml)"
        )


def _stratified(
    rows: Rows, count: int, where: str, seed: int
) -> tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[Any]]]:
    from sklearn.model_selection import train_test_split

    labelled = np.flatnonzero(rows.labels != UNLABELLED)
    labels = rows.labels[labelled]
    classes, counts = np.unique(labels, return_counts=True)
    if len(counts) == 0:
        raise UserError(f"{where}: no row has a label to cut by; give a split of the source that is labelled")
    if counts.min() < 2:
        row = rows.numbers[labelled[labels == classes[counts.argmin()]][0]]
        raise UserError(f"{where}: the class of row {row} has one example, which cannot be in two splits; add more, or drop it")
    if not len(classes) <= count <= len(labelled) - len(classes):
        raise UserError(
            f"{where}: {count} of {len(labelled)} rows cannot hold each of {len(classes)} classes; change the fraction"
        )
    kept, cut = train_test_split(labelled, test_size=count, random_state=seed, stratify=labels)
    transfer = np.flatnonzero(rows.labels == UNLABELLED)
    return np.sort(np.concatenate([kept, transfer])), np.sort(cut)


def _refuse_duplicates(values: list[Any], where: str, column: str) -> None:
    first: dict[Any, int] = {}
    for row, value in enumerate(values):
        if value in first:
            raise UserError(f"{where}: rows {first[value]} and {row} have the same {column}, {value!r:.60}; ids must be unique")
        first[value] = row
