"""A target set as Parquet, a file a split, for people and other tools: what was read, its label, and what the teacher answered.

    id               the data's own, or the example id in hexadecimal
    text, text_pair  or `tokens`, the words of token classification
    label            a name, a list of names, a number, or a tag a word; null of transfer rows
    probabilities    in the order of the labels, which the file's metadata names; regression and ranking have `score` instead
    logits           of fp32, as they are kept; of token classification a list a word, null of words that were cut off
    hidden-06 …      asked for: a list a token, or of `cls-06` one

Every row of the data is there; where a given set has no answer, probabilities and logits are null.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import atomic_file
from distill.core.numeric import log_sigmoid, log_softmax
from distill.core.progress import bar
from distill.data.dataset import UNLABELLED, Dataset, PreparedRows
from distill.sources.streams import LABEL_ORDER
from distill.store.output_names import LOGITS, kind_of
from distill.store.readers import OutputReader
from distill.store.target_set import TargetStore
from distill.targets.given.words import word_starts

ROWS = 1024
"""Rows of a row group."""
VECTOR = pa.list_(pa.float32())


def write_tables(folder: Path, store: TargetStore, dataset: Dataset, outputs: Sequence[str] = ()) -> list[Path]:
    """Write SPLIT.parquet for each split that the set has, with hidden states `outputs`; the same set gives the same bytes.

    Raises:
        UserError: the task has no answer a row or word, or the set lacks an output.
    """
    if dataset.spec.not_given is not None:
        raise UserError(f"{store.folder}: {dataset.task}: {dataset.spec.not_given}; publish the set without --as parquet")
    for output in outputs:
        if kind_of(output)[0] not in ("hidden", "cls"):
            raise UserError(f"--with {output}: expected a hidden state, such as hidden-06 or cls-06")
        store.manifest(output)
    files = []
    for split in (split for split in dataset.splits if split in store.manifest(LOGITS).splits):
        store.require(dataset, [split])
        kept = [output for output in outputs if split in store.manifest(output).splits]
        schema = _schema(dataset, split, kept)
        with atomic_file(folder / f"{split}.parquet") as path, pq.ParquetWriter(path, schema) as writer:
            for table in _parts(store, dataset, split, kept, schema):
                writer.write_table(table, row_group_size=ROWS)
        files.append(folder / f"{split}.parquet")
    return files


def _schema(dataset: Dataset, split: str, outputs: Sequence[str]) -> pa.Schema:
    words, several = dataset.spec.labels_per_token, dataset.task == "multi-label"
    hidden = [(output, VECTOR if output.startswith("cls") else pa.list_(VECTOR)) for output in outputs]
    if dataset.spec.embeds:
        return pa.schema([("id", pa.string()), ("text", pa.string()), ("embedding", VECTOR), *hidden])
    label = pa.float32() if dataset.spec.numbers else pa.list_(pa.string()) if words or several else pa.string()
    answer = pa.list_(VECTOR) if words else VECTOR
    texts = [("tokens", pa.list_(pa.string()))] if words else [(name, pa.string()) for name in dataset.texts(split)]
    chosen = [("score", pa.float32())] if dataset.spec.numbers else [("probabilities", answer)]
    columns = [("id", pa.string()), *texts, ("label", label), *chosen, ("logits", answer), *hidden]
    return pa.schema(columns, {LABEL_ORDER: json.dumps(dataset.labels).encode()})


def _parts(store: TargetStore, dataset: Dataset, split: str, outputs: Sequence[str], schema: pa.Schema) -> Iterator[pa.Table]:
    """A table of ROWS rows after the other."""
    rows, texts, own = dataset.rows(split), dataset.texts(split), dataset.own_ids(split)
    readers = {output: store.output(output, split) for output in (LOGITS, *outputs)}
    places = {output: reader.find(rows.ids) for output, reader in readers.items()}
    for start in bar(range(0, len(rows), ROWS), title=f"{split}.parquet", unit="row group"):
        chosen = range(start, min(start + ROWS, len(rows)))
        part = slice(chosen.start, chosen.stop)
        found: dict[str, list[Any]] = {("tokens" if name == "words" else name): column[part] for name, column in texts.items()}
        found["id"] = [identity.tobytes().hex() for identity in rows.ids[part]] if own is None else own[part]
        found |= {output: _vectors(reader, places[output][part]) for output, reader in readers.items()}
        if dataset.spec.embeds:
            found["embedding"] = [None if each is None else each[0] for each in found[LOGITS]]
        elif dataset.spec.labels_per_token:
            _by_word(found, dataset, split, rows, chosen)
        else:
            found["label"] = [_label(dataset, value) for value in rows.labels[part]]
            found[LOGITS] = [None if each is None else each[0] for each in found[LOGITS]]
            found["probabilities"] = [None if each is None else _shares(dataset, each) for each in found[LOGITS]]
            found["score"] = [None if each is None else each[0] for each in found[LOGITS]]
        for output in outputs:
            if kind_of(output)[0] == "cls":
                found[output] = [None if each is None else each[0] for each in found[output]]
        yield pa.Table.from_arrays([_column(found[field.name], field.type) for field in schema], schema=schema)


def _by_word(found: dict[str, list[Any]], dataset: Dataset, split: str, rows: PreparedRows, chosen: range) -> None:
    """A tag, logits and probabilities a word in place of those a token; None where a word has none."""
    found["label"], found["probabilities"] = [], []
    for place, (row, words, starts) in enumerate(word_starts(dataset, split, chosen)):
        count, vectors = len(found["tokens"][place]), found[LOGITS][place]
        tags = rows.labels[rows.tokens_of(row)][starts]
        names = {word: dataset.labels[tag] for word, tag in zip(words.tolist(), tags.tolist(), strict=True) if tag != UNLABELLED}
        found["label"].append([names.get(word) for word in range(count)] if names else None)
        lines = {} if vectors is None else dict(zip(words.tolist(), vectors[starts], strict=True))
        known = {word: line for word, line in lines.items() if np.isfinite(line).all()}
        found[LOGITS][place] = None if vectors is None else [known.get(word) for word in range(count)]
        shares = {word: _shares(dataset, line) for word, line in known.items()}
        found["probabilities"].append(None if vectors is None else [shares.get(word) for word in range(count)])


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Arrow takes no arrays of two dimensions: they become lists of arrays."""
    return pa.array([list(each) if isinstance(each, np.ndarray) and each.ndim == 2 else each for each in values], kind)


def _vectors(reader: OutputReader, places: Array) -> list[Array | None]:
    """What a reader has of each row, (vectors, width); None of a row that it lacks."""
    known = places[places >= 0]
    parts = iter(np.split(reader.gather(known).numpy(), np.cumsum(reader.lengths[known])[:-1]))
    return [next(parts) if place >= 0 else None for place in places]


def _label(dataset: Dataset, value: Any) -> Any:
    """The label of a row as people read it; None of a transfer row."""
    if dataset.spec.numbers:
        return None if np.isnan(value) else float(value)
    if dataset.task == "multi-label":
        return None if value[0] == UNLABELLED else [dataset.labels[label] for label in np.flatnonzero(value == 1)]
    return None if value == UNLABELLED else dataset.labels[value]


def _shares(dataset: Dataset, logits: Array) -> Array:
    """Probabilities of the labels."""
    return np.exp(log_sigmoid(logits) if dataset.task == "multi-label" else log_softmax(logits))
