"""The raw labels of all splits into numbers, by the classes that the training split and `labels` make."""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.data.rows import Rows
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import names_entities
from distill.preparation.bad_rows import BadRows
from distill.preparation.labels import NUMBER, Classes, Given, Reader, class_names, name_classes, shown
from distill.preparation.tag_schemes import to_bio
from distill.preparation.tags import require_scheme, rewritten

Named = tuple[dict[str, Rows], tuple[str, ...]]
"""Rows by split, and the label names in order."""

ORIGIN = {
    "label": "the training rows' labels, or the data set's `labels`",
    "tags": "the training rows' tags, or the data set's `labels`",
}
LIKE_NONE = ("none", "nan", "na", "n/a", "null")
LARGEST = float(np.finfo(np.float32).max)


def number_classes(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """A class a row: labels become (rows,) int64, UNLABELLED for transfer rows."""
    readers = _readers(rows, tables, settings, "label")
    texts = {split: [readers[split].read(value) for value in part.labels] for split, part in rows.items()}
    train = settings.splits.train
    _tell_blanks(where, chain.from_iterable(part.labels for part in rows.values()))
    given = Given(settings.renames, settings.order)
    classes = name_classes(_counted(texts[train]), _known(texts), readers[train].carried, given, "label")
    _tell_places(where, classes)
    like_none = [name for name in classes.names if name.lower() in LIKE_NONE]
    if like_none:
        print_result(f"{where}: classes like others: {shown(like_none)}; if they stand for no label, write them in `unlabelled`")

    def numbered(split: str, part: Rows, bad: BadRows) -> Array:
        labels = np.full(len(part), UNLABELLED, np.int64)
        for place, text in enumerate(texts[split]):
            if text in classes.index:
                labels[place] = classes.index[text]
            elif text is not None:
                unknown = classes.unknown(part.labels[place], ORIGIN["label"])
                bad.add(int(part.numbers[place]), "unknown label", f"label {unknown}")
        return labels

    return _numbered(rows, where, settings, numbered), classes.names


def number_tags(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """A tag a word: labels become lists of numbers, None for a row without any tag."""
    readers = _readers(rows, tables, settings, "tags")
    texts = {split: [[readers[split].read(tag) for tag in tags or ()] for tags in part.labels] for split, part in rows.items()}
    _tell_blanks(where, (tag for part in rows.values() for tags in part.labels for tag in tags or ()))
    if rewritten(Given(settings.renames, settings.order)):
        texts = {split: to_bio(tags, f"{where}: {split}") for split, tags in texts.items()}
    classes = _tag_classes(texts, readers[settings.splits.train].carried, where, settings)

    def numbered(split: str, part: Rows, bad: BadRows) -> Array:
        labels: list[list[int] | None] = []
        for place, tags in enumerate(texts[split]):
            found = [UNLABELLED if tag is None else classes.index.get(tag) for tag in tags]
            if None in found:
                token = found.index(None)
                unknown = classes.unknown(part.labels[place][token], ORIGIN["tags"])
                bad.add(int(part.numbers[place]), "unknown label", f"token {token}: tag {unknown}")
                found = []
            labels.append([tag for tag in found if tag is not None] if set(found) - {UNLABELLED} else None)
        return np.fromiter(labels, object, len(labels))

    return _numbered(rows, where, settings, numbered), classes.names


def number_label_sets(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """Any number of labels a row: they become (rows, labels) int64, 1 where one applies, UNLABELLED throughout for transfer rows.

    Of columns of 0 and 1 the names are those of the columns.
    """
    columns, given = settings.columns, Given(settings.renames, settings.order)
    readers = _readers(rows, tables, settings, "label")
    if columns.labels is not None:
        readers = dict.fromkeys(rows, Reader(unlabelled=settings.unlabelled or ()))
    texts = {
        split: [[readers[split].read(label) for label in labels or ()] for labels in part.labels] for split, part in rows.items()
    }
    _tell_blanks(where, (label for part in rows.values() for labels in part.labels for label in labels or ()))
    flat, train = {split: list(chain.from_iterable(part)) for split, part in texts.items()}, settings.splits.train
    carried = readers[train].carried if columns.labels is None else columns.labels
    classes = name_classes(_counted(flat[train]), _known(flat), carried, given, "label")
    if columns.labels is not None and set(classes.names) != {given.renames.get(name, name) for name in columns.labels}:
        raise UserError(
            f"labels: {shown(classes.names)} are not the names of columns.labels; give the same names, or one of both"
        )
    _tell_places(where, classes)

    def numbered(split: str, part: Rows, bad: BadRows) -> Array:
        labels = np.zeros((len(part), len(classes.names)), np.int64)
        for place, (raw, found) in enumerate(zip(part.labels, texts[split], strict=True)):
            if raw is None or (raw and not any(text is not None for text in found)):
                labels[place] = UNLABELLED
                continue
            odd = next((label for label, text in zip(raw, found, strict=True) if text not in classes.index), None)
            if odd is not None or None in found:
                bad.add(int(part.numbers[place]), "unknown label", f"label {classes.unknown(odd, ORIGIN['label'])}")
                continue
            labels[place, [classes.index[text] for text in found]] = 1
        return labels

    return _numbered(rows, where, settings, numbered), classes.names


def number_scores(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """A number a row: labels become (rows,) float32, NaN for transfer rows.

    A split of −1 alone is the hub's way to say that its scores are not public.
    """
    reader = Reader(None, settings.unlabelled or ())

    def numbered(split: str, part: Rows, bad: BadRows) -> Array:
        hidden = len(part) > 0 and all(reader.read(value) == "-1" for value in part.labels)
        scores = np.full(len(part), math.nan, np.float32)
        for place, value in enumerate(() if hidden else part.labels):
            text = reader.read(value)
            if text is None:
                continue
            if not NUMBER.fullmatch(str(text)) or abs(float(str(text))) > LARGEST:
                details = f"label {value!r:.60}, expected a finite number, or null for a transfer row"
                bad.add(int(part.numbers[place]), "unknown label", details)
                continue
            scores[place] = float(str(text))
        return scores

    return _numbered(rows, where, settings, numbered), ("score",)


def _tag_classes(
    texts: Mapping[str, list[list[Hashable | None]]], carried: Sequence[str] | None, where: str, settings: DatasetSettings
) -> Classes:
    flat = {split: list(chain.from_iterable(rows)) for split, rows in texts.items()}
    counts, known = _counted(flat[settings.splits.train]), _known(flat)
    given = Given(settings.renames, settings.order)
    if carried and any(isinstance(text, str) and text not in carried for text in known):  # they were of another scheme than BIO
        carried = None
    classes = name_classes(counts, known, carried, given, "tags")
    names = require_scheme(classes.names, in_order=bool(carried or given.order))
    if not names_entities(names):
        print_result(f"{where}: the tags name no entities, each is a class of words (token_accuracy, macro_f1): {shown(names)}")
    _tell_places(where, classes)
    return replace(
        classes, names=names, index={text: names.index(classes.names[number]) for text, number in classes.index.items()}
    )


def _readers(rows: Mapping[str, Rows], tables: Mapping[str, pa.Table], settings: DatasetSettings, part: str) -> dict[str, Reader]:
    """Of each split, by the order that its own schema has."""
    column = getattr(settings.columns, part)
    return {split: Reader(class_names(tables[split], column), settings.unlabelled or ()) for split in rows}


def _numbered(
    rows: Mapping[str, Rows], where: str, settings: DatasetSettings, number: Callable[[str, Rows, BadRows], Array]
) -> dict[str, Rows]:
    made = {}
    for split, part in rows.items():
        bad = BadRows(f"{where}: {split}", settings.bad_rows == "drop")
        made[split] = replace(part, labels=number(split, part, bad)).without(bad.found)
    return made


def _counted(texts: Iterable[Hashable | None]) -> Counter[Hashable]:
    return Counter(text for text in texts if text is not None)


def _known(texts: Mapping[str, Iterable[Hashable | None]]) -> set[Hashable]:
    return {text for split in texts.values() for text in split if text is not None}


def _tell_blanks(where: str, values: Iterable[Any]) -> None:
    padded = sum(isinstance(value, str) and value != value.strip() != "" for value in values)
    if padded:
        print_result(f"{where}: blanks around {padded} labels are ignored")


def _tell_places(where: str, classes: Classes) -> None:
    if classes.by_place:
        pairs = ", ".join(f"{text} is {classes.names[number]}" for text, number in classes.index.items())
        print_result(f"{where}: the names in `labels` are those of the sorted numbers: {pairs}")
