"""What raw rows are: how many, of which classes, how long, without a label, twice."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerBase

from distill.core.progress import with_progress
from distill.core.settings import SPLITS
from distill.data.tokenizers import lengths_of
from distill.preparation.multi_label import APPLIES
from distill.preparation.normalization import normalized
from distill.preparation.spans import read_spans
from distill.profiling.columns import Columns
from distill.profiling.likeness import is_nan
from distill.sources.streams import Stream

SHARE, MOST_TOKENS, STEP, SAMPLE = 0.95, 256, 8, 2000
"""Of the rows that `max_length` holds whole; the most it may be; a multiple of which it is; rows that are measured."""
STEPS, TOKENS, MIN_EPOCHS, MAX_EPOCHS = 1500, 1_500_000, 2, 20
"""About how many steps a model trains, and tokens it reads, at most: few or short rows are read more often; epochs."""


@dataclass
class SplitProfile:
    """Counts of one split."""

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    """Rows a class; of tags, how often each is one; empty for numbers and answers."""
    unlabelled: int = 0
    """0 where the task reads no label."""
    duplicates: int = 0
    """Rows whose text stands in this split before, but for case, punctuation and spacing."""


@dataclass(frozen=True)
class Profile:
    """What is known of raw rows before anything is made of them."""

    columns: Columns
    splits: Mapping[str, SplitProfile]
    max_length: int
    cut: float
    """The share of sampled rows that are longer than `max_length`."""
    tokens: float
    """Tokens a row in the mean, as long as `max_length` allows; those that windows share are not counted."""

    def readings(self, rows: int, batch: int) -> float:
        """How often there is time to read so many rows."""
        return min(STEPS * batch, TOKENS / max(1.0, self.tokens)) / max(1, rows)

    def epochs(self, rows: int, batch: int) -> int:
        """How often a model should read so many rows."""
        return min(MAX_EPOCHS, max(MIN_EPOCHS, round(self.readings(rows, batch))))


def profile(splits: Mapping[str, Stream], columns: Columns, tokenizer: PreTrainedTokenizerBase, longest: int) -> Profile:
    """Count all rows of all splits; `longest` is how many tokens the teacher can read."""
    order = sorted(splits, key=lambda split: (SPLITS.index(split) if split in SPLITS else len(SPLITS), split))
    counted = {split: _count(splits[split], columns, split) for split in order}
    lengths = _lengths(splits["train"], columns, tokenizer)
    wanted = STEP * math.ceil(np.quantile(lengths, SHARE) / STEP)
    most = max(16, min(wanted, longest, MOST_TOKENS))
    if columns.task == "question-answering":
        most = min(longest, 384, max(64, STEP * math.ceil(lengths.max() / STEP)))
    read = lengths if columns.task == "question-answering" else np.minimum(lengths, most)  # long contexts become windows
    return Profile(columns, counted, most, float((lengths > most).mean()), float(read.mean()))


def _count(stream: Stream, columns: Columns, split: str) -> SplitProfile:
    found, seen, parts = SplitProfile(), set[bytes](), columns.parts
    label = parts.get("label") or parts.get("tags") or parts.get("spans") or parts.get("answers")
    texts = [name for part, name in parts.items() if name != label]
    wanted = [name for name in {*parts.values(), *columns.marks} if name in stream.schema.names]
    for batch in with_progress(stream.read(wanted), f"look at {split}"):
        found.rows += batch.num_rows
        for values in zip(*(batch[name].to_pylist() for name in texts if name in batch.schema.names), strict=True):
            key = hashlib.blake2b(normalized("\n".join(map(one_text, values))).encode(), digest_size=8).digest()
            found.duplicates += key in seen
            seen.add(key)
        if columns.marks:
            labels: list[Any] = _applying(batch, columns.marks)
        else:
            labels = batch[label].to_pylist() if label in batch.schema.names else [None] * batch.num_rows
            labels = [_kinds(value) for value in labels] if "spans" in parts else labels
        labels = [None if value == "" or is_nan(value) else value for value in labels]
        found.unlabelled += labels.count(None) if label or columns.marks else 0
        if columns.task not in ("regression", "question-answering", "ranking"):
            found.labels.update(str(each) for value in labels for each in (value if isinstance(value, list) else [value])
                                if each is not None and each != "")  # fmt: skip
    return found


def _kinds(spans: Any) -> list[str] | None:
    """The types of the entities of a row; None where nobody has looked for any."""
    return None if spans is None else [span.kind for span in read_spans(spans) or () if span is not None]


def _applying(batch: pa.RecordBatch, marks: Sequence[str]) -> list[list[str] | None]:
    """The labels whose columns say 1, of each row; None where no column says anything."""
    known = [name for name in marks if name in batch.schema.names]
    cells = [["" if value is None else str(value).lower() for value in batch[name].to_pylist()] for name in known]
    return [
        [name for name, mark in zip(known, row, strict=True) if APPLIES.get(mark)] if any(row) else None
        for row in zip(*cells, strict=True)
    ]


def _lengths(stream: Stream, columns: Columns, tokenizer: PreTrainedTokenizerBase) -> Any:
    """Tokens of some rows, special tokens included, (rows,) int64."""
    names = [
        columns.parts[part]
        for part in ("question", "context", "query", "passage", "tokens", "text", "text_pair")
        if part in columns.parts
    ]
    rows: list[Sequence[str]] = []
    for batch in stream.read(names):
        rows += zip(*([one_text(value) for value in batch[name].to_pylist()] for name in names), strict=True)
        if len(rows) >= SAMPLE * 10:
            break
    chosen = rows[:: max(1, len(rows) // SAMPLE)]
    encoded = tokenizer(*(list(part) for part in zip(*chosen, strict=True)), verbose=False)
    return lengths_of(encoded["input_ids"])


def one_text(value: Any) -> str:
    """A cell as one text: words with blanks between them, nothing of null."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
