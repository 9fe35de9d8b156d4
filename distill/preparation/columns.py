"""Raw tables into rows with the labels that the table has: columns mapped, each value checked, nothing numbered."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.console import print_result
from distill.core.errors import UserError
from distill.core.progress import with_progress
from distill.data.columns import Column, on_disk
from distill.data.long_arrays import counted, filled, new_array, places, repeated, steps, taken
from distill.data.rows import Rows
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS
from distill.preparation.bad_rows import BadRows
from distill.preparation.column_names import names_of, noted, same_name
from distill.preparation.keys import first_rows
from distill.preparation.nested import as_text
from distill.preparation.unread import tell_unread
from distill.sources.streams import LEFT_OUT

SENTENCE_ENDS = re.compile(r"""\s*\n\s*|(?:(?<=[.!?])|(?<=[.!?]["'”’)]))\s+(?=[^a-z\s])""")
PIECE = re.compile(r"##\w|[▁Ġ]")
"""How parts of words begin: BERT's, SentencePiece's, GPT-2's."""
IMPOSSIBLE = "is_impossible"
"""SQuAD's column of questions that their contexts do not answer."""
LEAST_WORDS = 4
"""Of a sentence."""


def read_raw(folder: Path, settings: DatasetSettings) -> dict[str, pa.Table]:
    """The splits of data/raw/NAME/, each from any file that `fetch` can read; of columns, those that the task reads, in any case.

    They are mapped from data/.scratch.
    """
    from distill.sources.files import read_local

    if not folder.exists():
        raise UserError(f"{folder}: no such folder; add '{folder.name}' to `sources`, or put it there with `dvc add`")
    parts = [getattr(settings.columns, part) for part in settings.parts]
    wanted = {same_name(name) for part in parts if part is not None for name in ([part] if isinstance(part, str) else part)}
    wanted |= {IMPOSSIBLE} if "answers" in TASK_SPECS[settings.task].columns else set()
    made = {}
    for split, stream in read_local(folder).items():
        if split == settings.splits.train:
            tell_unread(folder, stream.schema.names, wanted, settings)
        names = [name for name in stream.schema.names if same_name(name) in wanted]
        made[split] = on_disk(stream.described(names), with_progress(stream.read(names), f"read {split}"))
    return made


def map_texts(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Texts or pairs, and (rows,) raw labels, None where there is none."""
    label = str(settings.columns.label)
    labels = optional_column(table, where, label, "label")
    for row, value in enumerate(labels):
        if isinstance(value, (list, dict)):
            several = "; lists of labels are of task: multi-label" if isinstance(value, list) else ""
            raise UserError(f"{where}: row {row}: column '{label}' holds {value!r:.40}, expected one label a row{several}")
    return map_rows(table, where, settings, labels)


def map_rows(table: pa.Table, where: str, settings: DatasetSettings, labels: Column) -> Rows:
    """Texts or pairs, with these labels."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    ids = own_ids(table, where, columns.id)
    pairs = text_column(table, where, columns.text_pair, "text_pair", bad) if columns.text_pair is not None else None
    return good_rows(text_column(table, where, columns.text, "text", bad), pairs, labels, bad, ids)


def map_sentences(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """Single texts and pairs, whose `text_pair` is not empty, and (rows,) objects: scores of pairs, None where there is none."""
    columns, name = settings.columns, settings.columns.text_pair
    label = columns.label if columns.label in table.column_names else "label"
    alone = settings.model_copy(update={"columns": columns.model_copy(update={"text_pair": None, "label": label})})
    # The class of a single text is no score.
    scored = columns.label is not None and (name is not None or "label" in columns.model_fields_set)
    rows = map_texts(table, where, alone) if scored else map_rows(table, where, alone, Column.nothing(len(table)))
    if settings.sentences:
        if name is not None:
            raise UserError(f"{where}: sentences: pairs are not cut; leave out columns.text_pair, or sentences")
        return _cut(rows)
    require_one_name(table, where, name, "text_pair")
    if name not in table.column_names:
        return rows if name is None else replace(rows, texts_pair=Column.nothing(len(rows)))
    pairs = column_of(table, where, str(name), "text_pair")
    there = np.zeros(len(pairs), bool)
    for row, value in enumerate(pairs):
        there[row] = isinstance(value, str) and bool(value.strip())
        if value is not None and not isinstance(value, str):
            raise UserError(f"{where}: row {row}: column '{name}' holds {value!r:.40}, expected text, or null for a single text")
    return replace(rows, texts_pair=pairs.where(there).take(rows.numbers))


def _cut(rows: Rows) -> Rows:
    """The sentences of each text as rows of their own, under its number, without labels."""
    counts, schema = np.zeros(len(rows), np.int64), pa.schema([("text", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        for part in rows.parts():
            cut = [[each for each in SENTENCE_ENDS.split(text) if len(each.split()) >= LEAST_WORDS] for text in rows.texts[part]]
            counts[part] = [len(sentences) for sentences in cut]
            yield pa.record_batch([pa.array([" ".join(each.split()) for each in chain(*cut)], pa.string())], schema=schema)

    texts = Column.of_table(on_disk(schema, batches()), "text")
    owners, starts = repeated(counts), np.cumsum(counts) - counts
    numbers = filled(len(owners), lambda part: np.arange(part.start, part.stop) - starts[owners[part]])
    ids = None
    if rows.ids is not None:
        named = Column.of_tuples([rows.ids.take(owners), Column.of(numbers)])
        ids = named.map(lambda pair: f"{pair[0]}-{pair[1]}")
    return replace(rows, texts=texts, labels=Column.nothing(len(texts)), numbers=taken(rows.numbers, owners), ids=ids)


def map_corpus(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """The texts of a corpus; in many corpora empty rows separate paragraphs: they are dropped."""
    map_ids(table, where, settings.columns.id)
    texts = text_column(table, where, settings.columns.text, "text", None)
    kept = places(np.fromiter((bool(text.strip()) for text in texts), bool, len(texts)))
    if len(kept) < len(texts):
        print_result(f"{where}: {len(texts) - len(kept)} of {len(texts)} rows are without text, and left out")
    return Rows(texts, None, new_array(len(texts), np.int64), counted(len(texts))).take(kept)


def map_words(table: pa.Table, where: str, settings: DatasetSettings) -> Rows:
    """The words of each row, and (rows,) as many raw tags, or None for a row that has none."""
    columns, bad = settings.columns, BadRows(where, settings.bad_rows == "drop")
    ids = own_ids(table, where, columns.id)
    rows, labels = column_of(table, where, columns.tokens, "tokens"), optional_column(table, where, columns.tags, "tags")
    pieces, first = 0, ""
    for row, (words, tags) in enumerate(zip(rows, labels, strict=True)):
        if tags is not None and not isinstance(tags, list):
            raise UserError(
                f"{where}: row {row}: column '{columns.tags}' holds {tags!r:.40}, expected a list of tags{as_text(tags)}"
            )
        if not words:
            bad.add(row, "no words", f"column '{columns.tokens}' holds {words!r:.40}, expected a list of words")
            continue
        if not isinstance(words, list) or not all(isinstance(word, str) or word is None for word in words):
            expected = f"expected a list of words{as_text(words)}"
            raise UserError(f"{where}: row {row}: column '{columns.tokens}' holds {words!r:.40}, {expected}")
        if empty := [word for word in words if word is None or not word.strip()]:
            bad.add(row, "empty word", f"column '{columns.tokens}' has the word {empty[0]!r:.40}; mend or drop it, and its tag")
        if tags is not None and len(tags) != len(words):
            details = f"has {len(words)} tokens and {len(tags)} tags; expected a tag a token; mend the row"
            bad.add(row, "tags of another length", details)
        found = [word for word in words if word is not None and PIECE.match(word)]
        pieces, first = pieces + len(found), first or "".join(found[:1])
    if pieces:
        some = f"{pieces} words begin as a tokenizer's parts of words do, such as {first!r:.40}"
        print_result(f"{where}: column '{columns.tokens}': {some}; write whole words, a tag each")
    return good_rows(rows, None, labels, bad, ids)


def own_ids(table: pa.Table, where: str, identity: str | None) -> Column | None:
    """The given ids as text; None if there is no such column."""
    return None if identity is None else map_ids(table, where, identity)


def map_ids(table: pa.Table, where: str, identity: str | None) -> Column:
    """The given ids as text, or row numbers."""
    if identity is None:
        return Column.of(range(table.num_rows)).map(str)
    values = column_of(table, where, identity, "id")
    hashes = new_array(len(values), "<u8")
    for row, value in enumerate(values):
        if value is None or value == "":
            raise UserError(f"{where}: row {row}: column '{identity}' has no id; give one, or leave out columns.id")
        hashes[row] = int.from_bytes(hashlib.blake2b(id_text(value).encode(), digest_size=8).digest())
    for first, row in _alike(hashes):
        if id_text(values[first]) == id_text(values[row]):
            raise UserError(f"{where}: rows {first} and {row} have the same {identity}, {values[row]!r:.60}; ids must be unique")
    return values.map(id_text)


def id_text(value: Any) -> str:
    """An id as text; pandas makes floats of a column of integers with gaps."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _alike(hashes: Array) -> Iterator[tuple[int, int]]:
    """The rows whose hash an earlier row has, and the first of those; by row."""
    first = first_rows(hashes.view(np.uint8).reshape(-1, hashes.itemsize))
    for part in steps(len(first)):
        again = np.flatnonzero(first[part] != np.arange(part.start, part.stop))
        yield from zip(first[part][again].tolist(), (again + part.start).tolist(), strict=True)


def good_rows(
    texts: Column, pairs: Column | None, labels: Column, bad: BadRows, ids: Column | None, groups: Array | None = None
) -> Rows:
    """All rows of a table but the bad ones, each with its number."""
    return Rows(texts, pairs, labels, counted(len(texts)), ids, groups).without(bad.found)


def column_of(table: pa.Table, where: str, name: str, part: str) -> Column:
    """The values of the column that plays a part."""
    if name not in table.column_names:
        raise UserError(f"{where}: no column '{name}' for columns.{part}{_why_missing(table, name)}")
    return Column.of_table(table, name)


def optional_column(table: pa.Table, where: str, name: str, part: str) -> Column:
    """A column of labels: if its name was not given (it is that of the part), a table may lack it."""
    if name == part and name not in table.column_names and name not in noted(table, LEFT_OUT, {}):
        return Column.nothing(int(table.num_rows))
    return column_of(table, where, name, part)


def require_one_name(table: pa.Table, where: str, name: str | None, part: str) -> None:
    """Refuse rows that have what plays a part under its name in another case: in place of it, or where it is empty."""
    twin = next(
        (each for each in names_of(table) if name is not None and each != name and same_name(each) == same_name(name)), None
    )
    if name is None or twin is None:
        return
    if name not in table.column_names:
        column_of(table, where, name, part)
    for row, (value, other) in enumerate(zip(Column.of_table(table, name), Column.of_table(table, twin), strict=True)):
        if value in (None, "") and other not in (None, ""):
            raise UserError(f"{where}: row {row}: has '{twin}' and no '{name}'; give the rows one name for both, '{name}'")


def _why_missing(table: pa.Table, name: str) -> str:
    """What is known of a column that is not there: why it was left out, or the name that may have been meant."""
    from distill.core.validation import nearest

    left_out = noted(table, LEFT_OUT, {})
    place = next((place for place in left_out if place.rstrip("[]") == name or place.startswith((f"{name}.", f"{name}["))), None)
    if place is not None:
        return f": it was left out, for '{place}' {left_out[place]}; give it one type"
    names = names_of(table)
    same = next((each for each in names if same_name(each) == same_name(name)), None)
    hint = f"; did you mean '{same}'?" if same else nearest(name, names)
    row = any(" " in each.strip() or each.replace(".", "").isdigit() for each in names)
    return f"{hint}; if this is a row, put a line of column names above it" if row and "expected" in hint else hint


def text_column(table: pa.Table, where: str, name: str, part: str, bad: BadRows | None) -> Column:
    """A column of text; empty ones are bad rows, or none if `bad` is None."""
    values = column_of(table, where, name, part)
    for row, value in enumerate(values):
        if not isinstance(value, str) and (bad is None or value is not None):
            advice = "write a row for each of its texts" if isinstance(value, (list, dict)) else "mend or drop the row"
            raise UserError(f"{where}: row {row}: column '{name}' holds {value!r:.40}, expected text; {advice}")
        if bad is not None and value is None:
            bad.add(row, "empty text", f"column '{name}' holds None, expected text; mend or drop the row")
        elif bad is not None and not str(value).strip():
            bad.add(row, "empty text", f"column '{name}' is empty; mend or drop the row")
    return values
