"""Texts into token ids, with what truncation took counted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.progress import bar

Array = np.ndarray[Any, np.dtype[Any]]
CHUNK = 4096
"""Rows tokenized at once, so that a progress bar moves."""


@dataclass(frozen=True)
class Encoded:
    """A split's tokens, and what else is known once there are tokens."""

    columns: dict[str, list[Any]]
    """`input_ids`, and `token_type_ids` for pairs whose tokenizer tells them apart; `example` and `spans` for windows."""
    lengths: Array
    truncated_rows: int = 0
    truncated_tokens: int = 0
    labels: Array | list[Any] | None = None
    """Those of tokens or windows; those of whole rows are not changed by tokens."""
    ids: list[bytes] | None = None
    """Example ids, if the tokens alone do not give them."""
    counts: dict[str, Any] = field(default_factory=dict)
    """What is worth telling of this task."""


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None, max_length: int, title: str) -> Encoded:
    """Tokenize with special tokens, the longer text of a pair truncated first.

    Raises:
        ValueError: `max_length` leaves no room for the special tokens.
    """
    columns: dict[str, list[Any]] = {"input_ids": [], "token_type_ids": []}
    full = np.zeros(len(texts), np.int64)
    for part in chunks(len(texts), title):
        inputs = (texts[part],) if pairs is None else (texts[part], pairs[part])
        whole = tokenizer(*inputs, verbose=False, return_attention_mask=False)
        cut = tokenizer(*inputs, truncation=True, max_length=max_length, return_attention_mask=False)
        full[part] = [len(row) for row in whole["input_ids"]]
        columns["input_ids"] += cut["input_ids"]
        if pairs is not None and "token_type_ids" in cut:
            columns["token_type_ids"] += cut["token_type_ids"]
    lengths = lengths_of(columns["input_ids"])
    lost = full - lengths
    return Encoded({name: rows for name, rows in columns.items() if rows}, lengths, int((lost > 0).sum()), int(lost.sum()))


def chunks(rows: int, title: str) -> Iterable[slice]:
    """Slices of CHUNK rows, under a progress bar; without title, none is shown."""
    parts = [slice(start, start + CHUNK) for start in range(0, rows, CHUNK)]
    return bar(parts, title=f"tokenize {title}" if title else None, unit="chunk")


def lengths_of(rows: Sequence[Any]) -> Array:
    """(rows,) int64"""
    return np.array([len(row) for row in rows], np.int64)
