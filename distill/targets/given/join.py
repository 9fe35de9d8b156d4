"""Answers of a table put beside the rows of a prepared data set."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.errors import UserError
from distill.data.dataset import Dataset, PreparedRows
from distill.data.row_index import row_keys
from distill.params.given import GivenSettings
from distill.sources.streams import Stream
from distill.targets.given.ids import ids_are_per_split, require_one_row_an_id, text_key, written_otherwise
from distill.targets.given.numbers import mean
from distill.targets.given.table import Answer, Key, read_answers
from distill.targets.given.words import word_starts

NAMED = 3
"""Rows that a message names."""


@dataclass(frozen=True)
class AnsweredSplit:
    """The rows of a split that have an answer, equal ones once, in the order of the data."""

    positions: Array
    """(rows,) int64: where each stands in the split, first."""
    logits: Array
    """(vectors, labels) float32: one a row, or one a token, NaN where no word begins; of sentence embedding (rows, size)."""
    missing: tuple[Key, ...] = ()
    """The rows that have no answer, by their keys."""

    @property
    def rows(self) -> int:
        """How many rows the split has, equal ones once."""
        return len(self.positions) + len(self.missing)


def read_table(
    tables: Mapping[str, Stream], dataset: Dataset, settings: GivenSettings, where: str
) -> tuple[dict[Key, Answer], bool]:
    """The answers of a table, and whether their ids are told by split."""
    by_split = ids_are_per_split(tables, dataset, settings, where)
    return read_answers(tables, where, settings, dataset.task, dataset.labels, by_split), by_split


def join(
    answers: Mapping[Key, Answer], dataset: Dataset, settings: GivenSettings, where: str, by_split: bool = False
) -> tuple[dict[str, AnsweredSplit], int]:
    """By split the rows with answers, of the splits that have any; and how many answers are of no row.

    Of equal rows under several keys the answer is the mean of theirs.

    Raises:
        UserError: no row has an answer; or some of a split have none, and `missing` says so; an id stands for two texts; or words
            and answers are not as many. Names the rows.
    """
    used: set[Key] = set()
    joined = {}
    for split in dataset.splits:
        keys = _keys(dataset, split, settings, by_split)
        if settings.columns.key == "id":
            advice = f"take {text_key(dataset)} as the key"
            require_one_row_an_id([key[-1] for key in keys], dataset.rows(split), f"{dataset.folder}: {split}", advice)
        joined[split] = _answered(answers, keys, dataset, split, where)
        used.update(key for key in keys if key in answers)
    if not used:
        raise UserError(f"{where}: {_strangers(answers, dataset, settings, by_split)}")
    for split, part in joined.items():
        if part.missing:
            _tell_missing(split, part, where, settings, answers)
    return {split: part for split, part in joined.items() if len(part.positions)}, len(answers) - len(used)


def coverage(answers: Mapping[Key, Answer], dataset: Dataset, settings: GivenSettings, by_split: bool = False) -> dict[str, int]:
    """How many rows of each split a table answers, equal ones once."""
    found = {}
    for split in dataset.splits:
        keys, ids = _keys(dataset, split, settings, by_split), row_keys(dataset.rows(split).ids)
        found[split] = len({bytes(identity) for key, identity in zip(keys, ids, strict=True) if key in answers})
    return found


def _keys(dataset: Dataset, split: str, settings: GivenSettings, by_split: bool) -> list[Key]:
    """Of each row what the table may call it; `by_split` is what `ids_are_per_split` says."""
    if settings.columns.key == "id":
        own = dataset.own_ids(split)
        before = (split,) if by_split else ()
        return [(*before, name) for name in (own if own is not None else map(_hexadecimal, dataset.rows(split).ids))]
    texts = dataset.texts(split)
    if settings.columns.key == "tokens":
        return [tuple(words) for words in texts["words"]]
    return list(zip(*texts.values(), strict=True))


def _hexadecimal(identity: Array) -> str:
    return identity.tobytes().hex()


def _answered(answers: Mapping[Key, Answer], keys: list[Key], dataset: Dataset, split: str, where: str) -> AnsweredSplit:
    rows = dataset.rows(split)
    same: dict[bytes, list[int]] = {}
    for row, identity in enumerate(row_keys(rows.ids)):
        same.setdefault(bytes(identity), []).append(row)
    told = {group[0]: [row for row in group if keys[row] in answers] for group in same.values()}
    missing = tuple(keys[first] for first, rest in told.items() if not rest)
    places = np.array([first for first, rest in told.items() if rest], np.int64)
    found = {row: answers[keys[row]] for rest in told.values() for row in rest}
    if dataset.spec.labels_per_token:
        lines = dict(_token_lines(found, dataset, split, rows))
    else:
        lines = {row: answer.logits for row, answer in found.items()}
    exclusive, numbers = dataset.task != "multi-label", dataset.spec.numbers or dataset.spec.embeds
    groups = [[lines[row] for row in told[first]] for first in places.tolist()]
    parts = [mean(group, exclusive=exclusive, numbers=numbers) for group in groups]
    mixed = sum(len({line.tobytes() for line in group}) > 1 for group in groups)
    if mixed:
        print_result(
            f"{where}: {split}: {mixed} rows are equal to others, once they are tokenized, and have the mean of their answers"
        )
    width = len(dataset.labels) if not dataset.spec.embeds else max((part.shape[1] for part in parts), default=1)
    logits = np.concatenate([np.zeros((0, width)), *parts]).astype(np.float32)
    return AnsweredSplit(places, logits, missing)


def _token_lines(found: Mapping[int, Answer], dataset: Dataset, split: str, rows: PreparedRows) -> Iterator[tuple[int, Array]]:
    """An answer a word at the word's first token, (tokens, labels), NaN at all others: as tags are."""
    texts = dataset.texts(split)["words"]
    for row, words, places in word_starts(dataset, split, sorted(found)):
        answer, count = found[row], len(texts[row])
        if len(answer.logits) != count:
            raise UserError(
                f"{answer.place}: has answers for {len(answer.logits)} words, row {row} of {split} has {count}; give one a word"
            )
        lines = np.full((rows.lengths[row], len(dataset.labels)), np.nan)
        lines[places] = answer.logits[words]
        yield row, lines


def _tell_missing(split: str, part: AnsweredSplit, where: str, settings: GivenSettings, answers: Mapping[Key, Answer]) -> None:
    """Say how many rows have no answer, and which; refuse, unless they are to be left out, or none of the split has one."""
    hint = written_otherwise(part.missing, answers, settings.columns.key)
    if not len(part.positions):
        print_result(f"{where}: no row of {split} has an answer; the set has none of that split{hint}")
        return
    line = f"{where}: {len(part.missing)} of {part.rows} rows of {split} have no answer: {_named(map(shown, part.missing))}"
    if settings.missing == "error":
        others = "; add them to the table, or leave them out: missing: skip"
        raise UserError(line + (hint if hint and settings.columns.key == "id" else hint + others))
    print_result(f"{line}; they are left out{hint}")


def _strangers(answers: Mapping[Key, Answer], dataset: Dataset, settings: GivenSettings, by_split: bool) -> str:
    """What to say of a table that has no answer for any row."""
    key = settings.columns.key
    keys = _keys(dataset, "train", settings, by_split)
    what = f"{len(answers)} answers ({_named(map(shown, answers))}), none of which is of a row of {dataset.folder}"
    own = " (example ids, for the data set has no columns.id)" if key == "id" and dataset.own_ids("train") is None else ""
    hint = written_otherwise(keys, answers, key)
    advice = hint or f"; name another column in columns.{key}, or another key"
    return f"has {what}, whose {key}s are {_named(map(shown, keys))}{own}{advice}"


def shown(key: Key) -> str:
    """A key in a line: the texts of a pair apart, words by blanks."""
    return (" | " if len(key) == 2 else " ").join(key)


def _named(keys: Iterable[str]) -> str:
    keys = list(itertools.islice(keys, NAMED + 1))
    return ", ".join(f"{key!r:.60}" for key in keys[:NAMED]) + (", …" if len(keys) > NAMED else "")
