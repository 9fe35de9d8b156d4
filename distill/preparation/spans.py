"""Entities as annotation tools write them, spans of a text's characters, into words and tags of BIO."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.errors import UserError
from distill.data.columns import Column
from distill.data.dataset import OUTSIDE
from distill.data.rows import Rows
from distill.data.splitters import split
from distill.params.datasets import DatasetSettings
from distill.preparation.bad_rows import BadRows
from distill.preparation.columns import good_rows, optional_column, own_ids, text_column
from distill.preparation.nested import as_text

SPLITTER = "punctuation"
"""What makes words of the texts (distill/data/splitters.py): the finest that keeps letters of a word together."""
STARTS, ENDS = ("start", "start_offset", "begin"), ("end", "end_offset")
TYPES = ("label", "labels", "type", "entity", "entity_type", "entity_group", "tag")
"""Keys of records: Prodigy's and spaCy's, doccano's, Label Studio's, transformers'."""
COUNTED = "characters are code points from 0, the end is the one behind the last"
EXPECTED = "expected a list of [start, end, type], or of {start: …, end: …, label: …}"


@dataclass(frozen=True)
class Span:
    """One entity: characters `start` to before `end` of its text, counted from 0 in code points, and its type."""

    start: int
    end: int
    kind: str
    text: str | None = None
    """What the tool says that it covers."""


def read_spans(value: Any) -> list[Span | None] | None:
    """The spans of a row, None for what is none; None if it is no list. The hub also has records of lists, a list a key."""
    if isinstance(value, Mapping) and len({len(each) if isinstance(each, list) else -1 for each in value.values()} - {-1}) == 1:
        columns = {key: each for key, each in value.items() if isinstance(each, list)}
        value = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [_read(each) for each in value] if isinstance(value, list) else None


def _read(value: Any) -> Span | None:
    """A span as [start, end, type] or as a record; None if it is none."""
    if isinstance(value, Mapping):
        parts = [next((value[key] for key in keys if value.get(key) is not None), None) for keys in (STARTS, ENDS, TYPES)]
        kinds, text = parts[2] if isinstance(parts[2], list) else [parts[2]], value.get("text")
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
        parts, kinds, text = list(value), [value[2]], None
    else:
        return None
    places = [_whole(place) for place in parts[:2]]
    if None in places or len(kinds) != 1 or not isinstance(kinds[0], str) or not kinds[0].strip():
        return None
    return Span(places[0] or 0, places[1] or 0, kinds[0].strip(), text if isinstance(text, str) else None)


def _whole(value: Any) -> int | None:
    """A whole number, which JSON's lists of numbers and text have as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value) if float(value) == int(float(value)) else None
    except (ValueError, OverflowError):
        return None


def map_spans(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """The words of each text, and as many tags of BIO, None for a row without spans; an empty list is a row without entities."""
    name, bad = str(settings.columns.spans), BadRows(where, settings.bad_rows == "drop")
    ids = own_ids(table, where, settings.columns.id)
    texts = text_column(table, where, settings.columns.text, "text", bad)
    pairs = Column.of_tuples([texts, optional_column(table, where, name, "spans")])
    known = np.zeros(len(texts), bool)
    for row, (text, given) in enumerate(pairs):
        known[row] = given is not None
        if given is None or row in bad.found:
            continue
        spans = read_spans(given)
        if spans is None or None in spans:
            wrong = given[spans.index(None)] if spans is not None and isinstance(given, list) else given
            raise UserError(f"{where}: row {row}: column '{name}' holds {wrong!r:.60}, {EXPECTED}{as_text(given)}")
        for reason, details in _problems(text, [span for span in spans if span is not None]):
            bad.add(row, reason, f"column '{name}': {details}; mend or drop the row")
    words = texts.map(lambda text: [text[start:end] for start, end in split(text, SPLITTER)])
    return good_rows(words, None, pairs.where(known).map(lambda pair: tags(*pair)), bad, ids)


def _problems(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, str]]:
    """What is wrong with the spans of a text: a reason, and details."""
    words, before = split(text, SPLITTER), Span(0, 0, "")
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        told = f"{span.kind} {span.start}–{span.end}"
        covered = text[max(0, span.start) : max(0, span.end)]
        cut = next((text[start:end] for start, end in words if start < span.start < end or start < span.end < end), None)
        if not 0 <= span.start < span.end <= len(text):
            yield "span outside", f"{told} is no part of the text, which has {len(text)} characters"
        elif span.text is not None and span.text.strip() != covered.strip():
            yield (
                "span of another text",
                f"{told} is said to be {span.text!r:.40}, the text has {covered!r:.40} there ({COUNTED})",
            )
        elif not covered.strip():
            yield "span of blanks", f"{told} covers no word"
        elif span.start < before.end:
            yield "overlapping spans", f"{told} overlaps {before.kind} {before.start}–{before.end}, and a word has one tag"
        elif cut is not None:
            yield "span inside a word", f"{told}, {covered!r:.40}, begins or ends inside the word {cut!r:.40} ({COUNTED})"
        before = span


def tags(text: str, given: Any) -> list[str]:
    """A tag a word of a text: B-type at the first word of a span, I-type at the others, O outside."""
    words = split(text, SPLITTER)
    made = [OUTSIDE] * len(words)
    for span in (each for each in read_spans(given) or () if each is not None):
        inside = [place for place, (start, end) in enumerate(words) if span.start <= start and end <= span.end]
        for place in inside:
            made[place] = f"{'B' if place == inside[0] else 'I'}-{span.kind}"
    return made
