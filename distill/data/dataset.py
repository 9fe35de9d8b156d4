"""data/prepared/NAME/: tokenized rows, and what they mean.

    dataset.json                 task, labels, metric, max_length, fingerprints, counts, duplicates
    tokenizer/                   the tokenizer that made the rows
    seen_tokenizer/              the teacher's, if the data set names another
    train.arrow, validation.arrow, test.arrow    Arrow IPC, memory-mapped
    train.examples.arrow, …      question answering: the questions that the rows are windows of

A row is an example, a window of a context (question answering), a masked chunk of a text (masked LM), or a block of texts, a
conversation or a row of tokens (causal LM). Columns:
`example_id` (16 bytes: a hash of what the teacher sees), `input_ids` (list of int32), `token_type_ids` (list of int8, pairs
only), the labels (see `PreparedRows`), `text`, `text_pair` or `words` for other tools, `id` if the data name a column of ids,
for windows `example` and `spans`, and for ranking `group`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distill.core.arrays import Array
from distill.core.errors import UserError
from distill.core.files import read_json, to_json, write_text
from distill.data.origin import stage_of
from distill.params.task_specs import TASK_SPECS, TaskSpec

FORMAT = "distill/prepared"
VERSION = 3
ID_BYTES = 16
UNLABELLED = -100
"""The label of a transfer row, or of a token that is not to be predicted; the index that torch's cross-entropy ignores."""
OUTSIDE = "O"
"""The tag of a word that is in no entity."""

TEXTS = {"text": pa.string(), "text_pair": pa.string(), "words": pa.list_(pa.string())}
"""Columns of text, which models never read, and their types."""
OWN_ID = "id"
"""The column of the ids that a data set gives its rows, if `columns.id` names one: tables of answers may go by them."""

EXAMPLES = pa.schema([(name, pa.string()) for name in ("id", "question", "context")] + [("answers", pa.list_(pa.string()))])
"""The columns of SPLIT.examples.arrow, which an ArrowWriter writes; `answers` is empty where the context has none."""


@dataclass(frozen=True)
class Dataset:
    """What dataset.json says."""

    folder: Path
    task: str
    labels: tuple[str, ...]
    """Class names, tag names, `("score",)` for regression, `("relevance",)` for ranking, `("start", "end")` for question
    answering, `()` of language models and sentence embedding."""
    metric: str
    max_length: int
    tokenizer: str
    """Fingerprint of the tokenizer."""
    vocabulary: int
    """How many token ids the tokenizer makes."""
    pad_token: int
    """The id that pads a batch."""
    seen_tokenizer: str
    """Fingerprint of the tokenizer whose tokens `example_id` hashes: the teacher's, if the data set names one, else its own."""
    seen_max_length: int
    """The `max_length` that goes with it."""
    unanswerable: bool
    """Whether some training question has no answer."""
    splitter: str | None
    """Token classification: one of SPLITTERS (distill/data/splitters.py), by which raw text becomes words like those of the
    training rows; None if no splitter finds them."""
    stride: int | None
    """Question answering: by how many tokens the windows of a context overlap."""
    splits: dict[str, dict[str, Any]]

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """Read a prepared data set's description."""
        content = read_json(folder / "dataset.json", "a prepared data set")
        where, advice = f"{folder}/dataset.json", f"run `dvc repro {stage_of(folder)}`"
        kind, version = (content.get("format"), content.get("version")) if isinstance(content, dict) else (None, None)
        if (kind, version) != (FORMAT, VERSION):
            raise UserError(f"{where}: is {kind} version {version}, expected {FORMAT} version {VERSION}; {advice}")
        keys = [key for key in cls.__dataclass_fields__ if key != "folder"]
        missing = [key for key in keys if key not in content]
        if missing:
            raise UserError(f"{where}: lacks '{missing[0]}'; {advice}")
        return cls(folder=folder, **{key: content[key] for key in keys} | {"labels": tuple(content["labels"])})

    @property
    def classes(self) -> int:
        """How many numbers the logits of one prediction are: masked LM chooses among the vocabulary."""
        return self.vocabulary if self.spec.vocabulary else len(self.labels)

    @property
    def spec(self) -> TaskSpec:
        """What differs between tasks."""
        return TASK_SPECS[self.task]

    @property
    def pairs(self) -> bool:
        """Whether a row is two texts that a model reads together."""
        return self.spec.pairs and "text_pair" in _read(self.folder / "train.arrow").column_names

    def rows(self, split: str) -> "PreparedRows":
        """Map the rows of a split into memory."""
        return PreparedRows.open(self.folder / f"{split}.arrow", self.pad_token)

    def texts(self, split: str) -> dict[str, list[Any]]:
        """The columns of text of a split, an entry a row: those of TEXTS, or the `question` and `context` that a window is of."""
        if self.spec.windows:
            examples = self.examples(split).take(self.rows(split).examples)
            return {name: examples[name].to_pylist() for name in ("question", "context")}
        table = _read(self.folder / f"{split}.arrow")
        return {name: table[name].to_pylist() for name in TEXTS if name in table.column_names}

    def own_ids(self, split: str) -> list[str] | None:
        """The ids that the data give the rows of a split; None if they give none."""
        table = _read(self.folder / f"{split}.arrow")
        return table[OWN_ID].to_pylist() if OWN_ID in table.column_names else None

    def examples(self, split: str) -> pa.Table:
        """The questions that a split's rows are windows of: the columns of EXAMPLES."""
        return _read(examples_path(self.folder / f"{split}.arrow"))


@dataclass(frozen=True)
class PreparedRows:
    """The rows of one split, as views of the memory-mapped file. Never write to them."""

    ids: Array
    """(rows, 16) uint8"""
    tokens: Array
    """(all tokens,) int32: as the teacher sees them, so masked for masked LM"""
    offsets: Array
    """(rows + 1,) int64: row i is tokens[offsets[i]:offsets[i + 1]]"""
    token_types: Array | None
    """(all tokens,) int8"""
    labels: Array
    """Sequence classification: (rows,) int64, UNLABELLED for transfer rows. Multi-label: (rows, labels) int64, 1 where a label
    applies, UNLABELLED throughout for transfer rows. Regression and ranking: (rows,) float32, NaN for transfer rows. Sentence
    embedding: (rows,) float32, the score of the row's pair, NaN where it has none.
    Question answering: (rows, 2) int64, the first and last token of the answer in the row, (0, 0) where this window has none,
    UNLABELLED twice for transfer rows. Token classification and masked LM: (all tokens,) int64, the tag, or the id that was
    masked; causal LM the same, the id of the next token; UNLABELLED where nothing is to be predicted."""
    pad_token: int = 0
    examples: Array | None = None
    """(rows,) int64: the row of `Dataset.examples` that a window is of; of sentence embedding, the pair that a text is of"""
    spans: Array | None = None
    """Question answering: (all tokens, 2) int32, the characters of the context that a token covers, (−1, −1) outside it"""
    groups: Array | None = None
    """Ranking: (rows,) int64, a number for each group of rows that are ranked together, which need not be neighbours"""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Array:
        """Tokens a row, (rows,) int64."""
        return np.diff(self.offsets)

    @property
    def labels_per_token(self) -> bool:
        """Whether each token has a label, not each row."""
        return len(self.labels) != len(self)

    def inputs(self, positions: Array) -> Array:
        """What a model reads of these rows, (tokens, 1 or 2) int64, no padding: ids, and types where rows are pairs."""
        sources = [self.tokens] if self.token_types is None else [self.tokens, self.token_types]
        places = self.token_places(positions)
        return np.stack([source[places] for source in sources], axis=1).astype(np.int64)

    def firsts(self) -> Array:
        """Positions of the first row of each example id, in the order of the ids: equal rows have equal targets."""
        return np.unique(self.ids, axis=0, return_index=True)[1]

    def tokens_of(self, row: int) -> slice:
        """The places of the tokens of a row among those of all."""
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))

    def token_places(self, chosen: Array) -> Array:
        """The places of the tokens of these rows among those of all, (tokens,) int64."""
        return np.concatenate([np.zeros(0, np.int64), *(np.arange(self.offsets[i], self.offsets[i + 1]) for i in chosen)])

    def lines(self, chosen: Array) -> Array:
        """The places of the labels of these rows among those of all: of each row one, or one a token."""
        return self.token_places(chosen) if self.labels_per_token else chosen

    def take(self, chosen: Array) -> "PreparedRows":
        """These rows, copied, in this order."""
        tokens = self.token_places(chosen)
        return replace(
            self,
            ids=self.ids[chosen],
            tokens=self.tokens[tokens],
            offsets=np.concatenate([[0], np.cumsum(self.lengths[chosen])]),
            token_types=None if self.token_types is None else self.token_types[tokens],
            labels=self.labels[self.lines(chosen)],
            examples=None if self.examples is None else self.examples[chosen],
            spans=None if self.spans is None else self.spans[tokens],
            groups=None if self.groups is None else self.groups[chosen],
        )

    def without_labels(self, lacking: Array) -> "PreparedRows":
        """The same rows, without the labels of some lines, (lines,) bool."""
        labels = self.labels.copy()
        labels[lacking] = np.nan if labels.dtype.kind == "f" else UNLABELLED
        return replace(self, labels=labels)

    def word(self, place: int) -> list[int]:
        """The tokens of the word that begins at a labelled token: it, and those after it in its row that have no label."""
        end = int(self.offsets[np.searchsorted(self.offsets, place, side="right")])
        labelled = np.flatnonzero(self.labels[place + 1 : end] != UNLABELLED)
        tokens: list[int] = self.tokens[place : place + 1 + int(labelled[0]) if len(labelled) else end].tolist()
        return tokens

    @classmethod
    def open(cls, path: Path, pad_token: int = 0) -> "PreparedRows":
        """Map a file; a file of several record batches is joined in memory."""
        table = _read(path)
        names = [name for name in table.column_names if name not in TEXTS and name != OWN_ID]
        if not {"example_id", "input_ids"} <= set(names) or not {"label", "labels"} & set(names):
            raise UserError(f"{path}: has the columns {', '.join(names)}; run `dvc repro {stage_of(path.parent)}`")
        column = {name: _whole(table.column(name)) for name in names}
        ids = np.frombuffer(column["example_id"].buffers()[1], np.uint8)[: len(table) * ID_BYTES]
        return cls(
            ids=ids.reshape(-1, ID_BYTES),
            tokens=column["input_ids"].values.to_numpy(),
            offsets=column["input_ids"].offsets.to_numpy().astype(np.int64),
            token_types=column["token_type_ids"].values.to_numpy() if "token_type_ids" in column else None,
            labels=_labels(column),
            pad_token=pad_token,
            examples=column["example"].to_numpy() if "example" in column else None,
            spans=column["spans"].values.flatten().to_numpy().reshape(-1, 2) if "spans" in column else None,
            groups=column["group"].to_numpy() if "group" in column else None,
        )


def example_id(
    input_ids: Sequence[int] | Array, token_types: Sequence[int] | Array | None, positions: Array | None = None
) -> bytes:
    """A hash of what the teacher sees: equal rows, however they came about, have equal targets.

    `positions`: of masked LM, where targets are wanted: some tokens there are left as they were.
    """
    content = np.asarray(input_ids, "<i4").tobytes()
    if token_types is not None:
        content += b"|" + np.asarray(token_types, "<i1").tobytes()
    if positions is not None:
        content += b"#" + np.asarray(positions, "<i4").tobytes()
    return hashlib.sha256(content).digest()[:ID_BYTES]


def example_ids(encoded: Mapping[str, Sequence[Any]]) -> list[bytes]:
    """Those of rows of `input_ids` and, for pairs, `token_type_ids`."""
    types = encoded.get("token_type_ids")
    return [example_id(row, types[i] if types else None) for i, row in enumerate(encoded["input_ids"])]


def row_texts(columns: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, ...]]:
    """The texts of each row, of columns as `Dataset.texts` has them; words are joined by blanks."""
    parts = ([" ".join(words) for words in column] if name == "words" else column for name, column in columns.items())
    return zip(*parts, strict=True)


def examples_path(path: Path) -> Path:
    """train.arrow → train.examples.arrow"""
    return path.with_suffix(".examples.arrow")


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write dataset.json."""
    write_text(folder / "dataset.json", to_json({"format": FORMAT, "version": VERSION, **description}))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column that is mapped stays so: Arrow would copy even one chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _labels(column: Mapping[str, pa.Array]) -> Array:
    if "labels" in column:
        return np.asarray(column["labels"].values.to_numpy().astype(np.int64))
    if pa.types.is_fixed_size_list(column["label"].type):
        return np.asarray(column["label"].flatten().to_numpy().reshape(-1, column["label"].type.list_size))
    return np.asarray(column["label"].to_numpy())


def _read(path: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: damaged or missing ({error}); run `dvc repro {stage_of(path.parent)}`") from None
