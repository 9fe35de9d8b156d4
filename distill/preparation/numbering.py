"""The raw labels of all splits into numbers, by the classes that the training split and `labels` make."""

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.columns import Column
from distill.data.dataset import UNLABELLED
from distill.data.long_arrays import full, new_array
from distill.data.rows import Rows
from distill.data.tag_schemes import scheme_of, to_bio
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.labels import LIKE_NONE, Classes, Given, Reader, alike, joined, name_classes, quoted, shown
from distill.preparation.nested import require_one
from distill.preparation.scores import LARGEST, look_for_stand_ins, read_scores, rounded, score_readers
from distill.preparation.tags import require_one_case, require_scheme, rewritten, told_of
from distill.sources.streams import class_names

Texts = Callable[[Any], list[Hashable | None]]
"""The raw label, or labels, of a row → as text, None for no label."""

Named = tuple[dict[str, Rows], tuple[str, ...]]
"""Rows by split, and the label names in order."""

ORIGIN = {
    "label": "the training rows' labels, or the data set's `labels`",
    "tags": "the training rows' tags, or the data set's `labels`",
}


def number_classes(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """A class a row: labels become (rows,) int64, UNLABELLED for transfer rows."""
    readers = _readers(rows, tables, settings, "label")
    texts = {split: _texts(reader, lambda label: (label,), "label", settings) for split, reader in readers.items()}
    counts = _counted(rows, texts, where)
    _look_at_unlabelled(where, settings, readers, counts)
    train, given = settings.splits.train, Given(settings.renames, settings.order)
    classes = name_classes(counts[train], _known(counts), readers[train].carried, given, "label")
    _tell(where, classes)

    def numbered(split: str, part: Rows, bad: BadRows) -> Array:
        labels = full(len(part), UNLABELLED, np.int64)
        for place, label in enumerate(part.labels):
            text = texts[split](label)[0]
            if text in classes.index:
                labels[place] = classes.index[text]
            elif text is not None:
                bad.add(int(part.numbers[place]), "unknown label", f"label {classes.unknown(label, ORIGIN['label'])}")
        return labels

    return _numbered(rows, where, settings, numbered), classes.names


def number_tags(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """A tag a word: labels become lists of numbers, None for a row without any tag; they are made when they are read."""
    readers = _readers(rows, tables, settings, "tags")
    texts = {split: _texts(reader, lambda tags: tags or (), "tag", settings) for split, reader in readers.items()}
    counts = _counted(rows, texts, where)
    _look_at_unlabelled(where, settings, readers, counts)
    if rewritten(Given(settings.renames, settings.order)):
        for split, part in rows.items():
            scheme = scheme_of(counts[split], map(texts[split], part.labels))
            if scheme is not None:
                print_result(f"{where}: {split}: its tags are of the scheme {scheme}, and read as BIO")
                texts[split] = _as_bio(texts[split])
                counts[split] = Counter(text for tags in part.labels for text in texts[split](tags) if text is not None)
    classes = _tag_classes(counts, readers[settings.splits.train].carried, where, settings)

    def numbers(split: str, tags: Any) -> list[int | None]:
        return [UNLABELLED if text is None else classes.index.get(text) for text in texts[split](tags)]

    def numbered(split: str, part: Rows, bad: BadRows) -> Column:
        labels: Any = part.labels
        known = np.zeros(len(part), bool)
        for place, tags in enumerate(labels):
            found = numbers(split, tags)
            known[place] = any(tag != UNLABELLED for tag in found)
            if None in found:
                token = found.index(None)
                unknown = classes.unknown(tags[token], ORIGIN["tags"])
                bad.add(int(part.numbers[place]), "unknown label", f"token {token}: tag {unknown}")
        made: Column = labels.where(known).map(functools.partial(numbers, split))
        return made

    return _numbered(rows, where, settings, numbered), classes.names


def number_label_sets(rows: dict[str, Rows], tables: Mapping[str, pa.Table], where: str, settings: DatasetSettings) -> Named:
    """Any number of labels a row: they become (rows, labels) int8, 1 where one applies, UNLABELLED throughout for transfer rows.

    Of columns of 0 and 1 the names are those of the columns.
    """
    columns, given = settings.columns, Given(settings.renames, settings.order)
    readers = _readers(rows, tables, settings, "label")
    if columns.labels is not None:
        readers = dict.fromkeys(rows, Reader(unlabelled=settings.unlabelled or ()))
    texts = {split: _texts(reader, lambda labels: labels or (), "label", settings) for split, reader in readers.items()}
    counts, train = _counted(rows, texts, where), settings.splits.train
    if columns.labels is None:
        _look_at_unlabelled(where, settings, readers, counts)
    carried = readers[train].carried if columns.labels is None else columns.labels
    classes = name_classes(counts[train], _known(counts), carried, given, "label")
    if columns.labels is not None and set(classes.names) != {given.renames.get(name, name) for name in columns.labels}:
        raise UserError(
            f"labels: {shown(classes.names)} are not the names of columns.labels; give the same names, or one of both"
        )
    _tell(where, classes)

    def numbered(split: str, part: Rows, bad: BadRows) -> Array:
        labels = new_array((len(part), len(classes.names)), np.int8)
        for place, raw in enumerate(part.labels):
            found = texts[split](raw)
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
    readers = score_readers(rows, tables, where, settings)

    def numbered(split: str, part: Rows, bad: BadRows) -> Array:
        reader = readers[split]
        hidden = len(part) > 0 and all(reader.score(value) == -1 for value in part.labels)
        scores = read_scores(part, (lambda _: None) if hidden else reader.score, bad, -LARGEST, "a finite number")
        return rounded(scores, f"{where}: {split}")

    made = _numbered(rows, where, settings, numbered)
    tell_unmet(where, settings, readers.values())
    look_for_stand_ins(made, where)
    return made, ("score",)


def _tag_classes(
    counts: Mapping[str, Counter[Hashable]], carried: Sequence[str] | None, where: str, settings: DatasetSettings
) -> Classes:
    known, given = _known(counts), Given(settings.renames, settings.order)
    if carried and any(isinstance(text, str) and text not in carried for text in known):  # they were of another scheme than BIO
        carried = None
    classes = name_classes(counts[settings.splits.train], known, carried, given, "tags")
    names = require_scheme(classes.names, in_order=bool(carried or given.order))
    require_one_case(names, {*given.renames, *(given.order or ())})
    if (told := told_of(names)) is not None:
        print_result(f"{where}: {told}")
    _tell(where, classes)
    return replace(
        classes, names=names, index={text: names.index(classes.names[number]) for text, number in classes.index.items()}
    )


def _readers(rows: Mapping[str, Rows], tables: Mapping[str, pa.Table], settings: DatasetSettings, part: str) -> dict[str, Reader]:
    """Of each split, by the order that its own schema has."""
    column = getattr(settings.columns, part)
    return {split: Reader(class_names(tables[split], column), settings.unlabelled or ()) for split in rows}


def _texts(reader: Reader, listed: Callable[[Any], Sequence[Any]], part: str, settings: DatasetSettings) -> Texts:
    known: dict[str, Hashable | None] = {}
    named = {*settings.renames, *(settings.order or ()), *reader.unlabelled}

    def read(label: Any) -> Hashable | None:
        if isinstance(label, str) and label in known:
            return known[label]
        require_one(label, part, named)
        text = reader.read(label)
        if isinstance(label, str):
            known[label] = text
        return text

    return lambda labels: list(map(read, listed(labels)))


def _as_bio(texts: Texts) -> Texts:
    return lambda tags: list(to_bio(texts(tags)))


def _counted(rows: Mapping[str, Rows], texts: Mapping[str, Texts], where: str) -> dict[str, Counter[Hashable]]:
    """How often each text is a label, by split; blanks around labels are told of."""
    counts, padded = {split: Counter[Hashable]() for split in rows}, 0
    for split, part in rows.items():
        for number, labels in zip(part.numbers, part.labels, strict=True):
            try:
                counts[split].update(text for text in texts[split](labels) if text is not None)
            except UserError as error:
                raise UserError(f"{where}: {split}: row {number}: {error}") from None
            several = labels if isinstance(labels, list) else (labels,)
            padded += sum(isinstance(label, str) and label != label.strip() != "" for label in several)
    if padded:
        print_result(f"{where}: blanks around {padded} labels are ignored")
    return counts


def _numbered(
    rows: Mapping[str, Rows], where: str, settings: DatasetSettings, number: Callable[[str, Rows, BadRows], Array | Column]
) -> dict[str, Rows]:
    made = {}
    for split, part in rows.items():
        bad = BadRows(f"{where}: {split}", settings.bad_rows == "drop")
        made[split] = replace(part, labels=number(split, part, bad)).without(bad.found)
    return made


def _known(counts: Mapping[str, Counter[Hashable]]) -> set[Hashable]:
    return {text for split in counts.values() for text in split}


def _look_at_unlabelled(
    where: str, settings: DatasetSettings, readers: Mapping[str, Reader], counts: Mapping[str, Counter[Hashable]]
) -> None:
    """Refuse labels that are those of `unlabelled` but for the way that they are written; say which of these no row has."""
    given, rows = settings.unlabelled or (), sum(counts.values(), Counter[Hashable]())
    meant = {alike(text): text for text in given}
    for text in map(str, rows if meant else ()):
        if alike(text) in meant and text not in {*settings.renames, *(settings.order or ())}:
            raise UserError(
                f"{where}: the label {quoted(text)} ({rows[text]} of all rows) is {quoted(meant[alike(text)])} of `unlabelled`, "
                f"written in another way; if it is no label, unlabelled: [{', '.join(map(quoted, [*given, text]))}]; if it is a "
                f"class, labels: {{{quoted(text)}: {quoted(text)}}}"
            )
    tell_unmet(where, settings, readers.values())


def tell_unmet(where: str, settings: DatasetSettings, readers: Iterable[Reader]) -> None:
    """Say which values of `unlabelled` no row has."""
    unmet = [text for text in settings.unlabelled or () if not any(text in reader.met for reader in readers)]
    if unmet:
        print_result(f"{where}: unlabelled: no row has {', '.join(map(quoted, unmet))}")


def _tell(where: str, classes: Classes) -> None:
    """What was taken for classes and may be meant otherwise."""
    if several := joined(classes.names):
        print_result(f"{where}: classes that look like several labels: {shown(several)}; see task: multi-label")
    like_none = [name for name in classes.names if name.lower() in LIKE_NONE]
    if like_none:
        print_result(f"{where}: classes like others: {shown(like_none)}; if they stand for no label, write them in `unlabelled`")
    if classes.by_place:
        pairs = ", ".join(f"{text} is {classes.names[number]}" for text, number in classes.index.items())
        print_result(f"{where}: the names in `labels` are those of the sorted numbers: {pairs}")
