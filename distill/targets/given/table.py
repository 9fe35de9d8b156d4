"""A table of answers, row by row: whose answer a row is, and what it says of each label."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.progress import bar
from distill.data.tag_schemes import to_bio
from distill.params.given import GivenSettings
from distill.params.task_specs import TASK_SPECS, names_entities
from distill.preparation.columns import column_of, id_text
from distill.preparation.labels import NUMBER
from distill.preparation.scores import LARGEST
from distill.sources.streams import LABEL_ORDER, Stream, class_names
from distill.targets.given.names import Names
from distill.targets.given.numbers import of_log_probabilities, of_logits, of_probabilities, of_votes

SHARES: Mapping[str, Callable[..., Array]] = {
    "probabilities": of_probabilities,
    "log_probabilities": of_log_probabilities,
    "logits": of_logits,
}

Key = tuple[str, ...]
"""An id, behind its split where ids are told by split; a text, a pair of texts, or words."""


@dataclass(frozen=True)
class Answer:
    """What the table says of a row of the data set."""

    logits: Array
    """(lines, labels) float64: one line, or one a word."""
    place: str
    """Where it stands, for messages."""


def read_answers(
    tables: Mapping[str, Stream],
    where: str,
    settings: GivenSettings,
    task: str,
    labels: tuple[str, ...],
    by_split: bool = False,
) -> dict[Key, Answer]:
    """All answers of a table by key; `tables` are its splits, `where` names the source in errors.

    A row whose answer is null is none. Votes of rows with one key are added up. `by_split`: keys begin with the split.

    Raises:
        UserError: a column is missing; a row has no key, no such label, NaN, a probability or a sum out of range, or contradicts
            an earlier row of its key; with the row's number.
    """
    reader = _Reader(settings, task, labels)
    found: dict[Key, list[tuple[Array, str]]] = {}
    for split, stream in tables.items():
        table = stream.table(reader.columns)
        names = reader.names_of(table, where)
        for number, key, value in bar(reader.rows(table, f"{where}: {split}"), total=len(table), title="answers", unit="row"):
            place = f"{where}: {split}: row {number}"
            try:
                numbers = None if value is None else reader.lines(value, names)
            except (ValueError, TypeError) as error:
                raise UserError(f"{place}: column '{reader.shown}' {error}") from None
            if numbers is not None:
                _keep(found.setdefault((split, *key) if by_split else key, []), numbers, place, reader)
    return {key: Answer(reader.logits(parts), parts[0][1]) for key, parts in found.items()}


def _keep(parts: list[tuple[Array, str]], numbers: Array, place: str, reader: "_Reader") -> None:
    """Add what a row says of its key to what others said: votes to votes; of all else they have to say the same."""
    if parts and parts[0][0].shape != numbers.shape:
        raise UserError(
            f"{place}: has {len(numbers)} words, {parts[0][1]} has {len(parts[0][0])} under the same {reader.key}; drop one"
        )
    if parts and not reader.votes:
        if not np.array_equal(parts[0][0], numbers, equal_nan=True):
            raise UserError(
                f"{place}: has another answer than {parts[0][1]} under the same {reader.key}; drop one of them"
                + ("" if reader.form != "label" else ", or, if rows are votes, name the column in columns.votes")
            )
        return
    parts.append((numbers, place))


class _Reader:
    """How the rows of a table are read, as params.yaml says."""

    def __init__(self, settings: GivenSettings, task: str, labels: tuple[str, ...]) -> None:
        self.settings, self.labels = settings, labels
        self.size: int | None = None
        self.words, self.several = TASK_SPECS[task].labels_per_token, task == "multi-label"
        self.entities = self.words and names_entities(labels) and {label[0] for label in labels} <= set("OBI")
        columns = settings.columns
        self.form, self.key, self.votes = columns.form, columns.key, columns.form == "votes"
        self.answer: str | dict[str, str] = getattr(columns, self.form)
        self.keys = [name for name in (getattr(columns, self.key), columns.text_pair) if name is not None]
        self.columns = [*self.keys, *(self.answer.values() if isinstance(self.answer, dict) else [self.answer])]

    @property
    def shown(self) -> str:
        """The column of answers, or the first of them."""
        return self.answer if isinstance(self.answer, str) else next(iter(self.answer.values()))

    def names_of(self, table: pa.Table, where: str) -> Names:
        """What the table calls the labels."""
        told = json.loads((table.schema.metadata or {}).get(LABEL_ORDER, b"null"))
        carried = class_names(table, self.answer) if isinstance(self.answer, str) else None
        try:
            return Names.of(self.labels, self.settings.labels, told, carried)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def rows(self, table: pa.Table, where: str) -> Iterator[tuple[int, Key, Any]]:
        """Row number, key, and the answer as it stands there; None if it is none."""
        keys = [column_of(table, where, name, part) for name, part in zip(self.keys, (self.key, "text_pair"), strict=False)]
        if isinstance(self.answer, dict):
            for column in self.answer.values():
                column_of(table.slice(0, 0), where, column, self.form)
            columns = {label: table.column(column).to_pylist() for label, column in self.answer.items()}
            cells = zip(*columns.values(), strict=True)
            answers: list[Any] = [
                {label: None if _blank(cell) else cell for label, cell in zip(columns, row, strict=True)} for row in cells
            ]
        else:
            answers = _mappings(table, column_of(table, where, self.answer, self.form).tolist(), self.answer)
        for number, (row, value) in enumerate(zip(zip(*keys, strict=True), answers, strict=True)):
            yield number, self._key_of(row, f"{where}: row {number}"), value

    def _key_of(self, row: Sequence[Any], place: str) -> Key:
        if self.key == "tokens":
            words = _parsed(row[0])
            if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
                raise UserError(f"{place}: column '{self.keys[0]}' holds {words!r:.40}, expected a list of words")
            return tuple(words)
        for name, value in zip(self.keys, row, strict=True):
            if value is None or value == "":
                raise UserError(f"{place}: column '{name}' has no {self.key}, so nobody knows whose answer it is; drop the row")
        return tuple(map(id_text, row)) if self.key == "id" else tuple(map(str, row))

    def lines(self, value: Any, names: Names) -> Array | None:
        """What a row says; None if nothing: (lines, labels) logits, or of votes (lines, labels + 1), counts and votes."""
        value = _parsed(value)
        if self.form in ("score", "embedding"):
            return None if value is None else np.array([[_number(value)]]) if self.form == "score" else self._vector(value)
        if self.form in ("votes", "label"):
            return self._counts(value, names)
        if not self.words:
            return None if _says_nothing(value) else self._shares(value, names)[None]
        if not isinstance(value, list):
            raise TypeError(f"holds {value!r:.60}, expected a list, an item a word")
        lines = [self._word(_parsed(item), names) for item in value]
        return None if all(np.isnan(line).all() for line in lines) else np.stack(lines)

    def _vector(self, value: Any) -> Array:
        """A text's vector, (1, size); all are of one size, and none is 0 throughout."""
        if not isinstance(value, list) or not value:
            raise TypeError(f"holds {value!r:.60}, expected a list of numbers")
        vector = np.array([[_number(number) for number in value]])
        self.size = self.size or len(value)
        if len(value) != self.size:
            raise ValueError(f"holds {len(value)} numbers, the rows before it {self.size}; expected vectors of one model")
        if not vector.any():
            raise ValueError("holds zeros alone, which point nowhere; mend or drop the row")
        return vector

    def _word(self, value: Any, names: Names) -> Array:
        """Logits of a word; NaN if nothing is said of it."""
        return np.full(len(self.labels), np.nan) if _says_nothing(value) else self._shares(value, names)

    def _shares(self, value: Any, names: Names) -> Array:
        """Logits of a line."""
        found = np.full(len(self.labels), np.nan)
        if isinstance(value, dict):
            there = {names.find(name): number for name, number in value.items() if number is not None}
            if len(there) < sum(number is not None for number in value.values()):
                raise ValueError(f"names a label twice: {value!r:.80}")
            for place, number in there.items():
                found[place] = _number(number)
        elif isinstance(value, list):
            if names.order is None:
                raise ValueError(
                    f"holds lists, whose order nobody tells; give it: labels: [{', '.join(self.labels)}] if it is the data set's"
                )
            if len(value) != len(names.order):
                raise ValueError(
                    f"holds {len(value)} numbers, expected {len(names.order)}, one for each of {', '.join(names.labels)}"
                )
            found[list(names.order)] = [np.nan if number is None else _number(number) for number in value]
        else:
            raise TypeError(f"holds {value!r:.60}, expected a list of numbers, or LABEL: NUMBER")
        return SHARES[self.form](found, exclusive=not self.several)

    def _counts(self, value: Any, names: Names) -> Array | None:
        """Counts of votes, or of one label, and how many there are."""
        a_list = self.several or self.words
        nested = isinstance(value, list) and any(isinstance(item, list) for item in map(_parsed, value))
        many = self.votes and isinstance(value, list) and (nested or not a_list)
        votes = [vote for vote in map(_parsed, value if many else [value]) if vote is not None]
        parts = [self._vote(vote, names) for vote in votes]
        if len({part.shape for part in parts}) > 1:
            raise ValueError(
                f"has votes of {' and '.join(sorted({str(len(part)) for part in parts}))} words, expected as many each"
            )
        return np.sum(parts, axis=0) if parts else None

    def _vote(self, vote: Any, names: Names) -> Array:
        if (self.several or self.words) != isinstance(vote, list):
            expected = "a list of labels" if self.several else "a list of tags, one a word" if self.words else "a label"
            raise TypeError(f"holds {vote!r:.60}, expected {expected}")
        found = [names.find(label) for label in (vote if isinstance(vote, list) else [vote])]
        lines = [found] if self.several else [[place] for place in (self._as_bio(found) if self.entities else found)]
        counts = np.zeros((len(lines), len(self.labels) + 1))
        for line, places in enumerate(lines):
            if len(set(places)) < len(places):
                nested = json.dumps([[self.labels[place]] for place in places], ensure_ascii=False)
                raise ValueError(
                    f"has a label twice in one vote, {vote!r:.80}; drop one, or if these are several votes, write a list of "
                    f"lists for columns.votes: {nested:.60}"
                )
            counts[line, places] = 1
        counts[:, -1] = 1
        return counts

    def _as_bio(self, places: list[int]) -> list[int]:
        """Tags as the data set has its own, also where IOB1 begins entities with I."""
        known = {label: place for place, label in enumerate(self.labels)}
        tags = to_bio([self.labels[place] for place in places])
        return [known.get(tag, place) for tag, place in zip(tags, places, strict=True)]

    def logits(self, parts: list[tuple[Array, str]]) -> Array:
        """Of all that was said under a key."""
        if self.form == "embedding":
            return parts[0][0]
        exclusive, total = not self.several, np.sum([each for each, _ in parts], axis=0)
        if self.form in ("votes", "label"):
            total = of_votes(total[:, :-1], total[:, -1], self.settings.prior, exclusive=exclusive)
        logits: Array = total / self.settings.temperature
        if (np.abs(logits) > LARGEST).any():
            raise UserError(f"{parts[0][1]}: its logits over the temperature are beyond {LARGEST:.2g}; give a higher temperature")
        return logits


def _mappings(table: pa.Table, values: list[Any], column: str) -> list[Any]:
    """Values of a column; Arrow gives mappings as lists of pairs."""
    kind = table.schema.field(column).type
    if pa.types.is_map(kind):
        return [None if value is None else dict(value) for value in values]
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_map(kind.value_type):
        return [None if value is None else [item if item is None else dict(item) for item in value] for value in values]
    return values


def _parsed(value: Any) -> Any:
    """A list or a mapping that stands in a cell as JSON, as CSV files have it."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return None if _blank(value) or (isinstance(value, float) and math.isnan(value)) else value


def _blank(value: Any) -> bool:
    """Whether a cell is empty, as CSV files have what is null."""
    return isinstance(value, str) and not value.strip()


def _says_nothing(value: Any) -> bool:
    """Whether a row has no number for any label."""
    if value is None:
        return True
    numbers = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return all(number is None or _blank(number) for number in numbers)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"holds {value!r:.60}, expected a number")
    if isinstance(value, str) and not NUMBER.fullmatch(value.strip()):
        raise ValueError(f"holds {value!r:.60}, expected a number")
    number = float(value) if isinstance(value, str) else value
    if not abs(number) <= LARGEST:
        raise ValueError(f"holds {value!r:.60}, expected a finite number, at most {LARGEST:.2g}; mend or drop the row")
    return float(number)
