"""Texts into token ids, with what truncation took counted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

CHUNK = 4096
"""Rows tokenized at once, so that a progress bar moves."""


@dataclass(frozen=True)
class Encoded:
    """A split's tokens: `columns` has `input_ids`, and `token_type_ids` for pairs whose tokenizer tells them apart."""

    columns: dict[str, list[list[int]]]
    lengths: np.ndarray[Any, np.dtype[Any]]
    truncated_rows: int
    truncated_tokens: int


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str], pairs: list[str] | None, max_length: int, title: str) -> Encoded:
    """Tokenize with special tokens, the longer text of a pair truncated first.

    Raises:
        ValueError: `max_length` leaves no room for the special tokens.
    """
    columns: dict[str, list[list[int]]] = {"input_ids": [], "token_type_ids": []}
    full = np.zeros(len(texts), np.int64)
    for start in tqdm(range(0, len(texts), CHUNK), desc=f"tokenize {title}", unit="chunk", disable=None):
        part = slice(start, start + CHUNK)
        inputs = (texts[part],) if pairs is None else (texts[part], pairs[part])
        whole = tokenizer(*inputs, verbose=False, return_attention_mask=False)
        cut = tokenizer(*inputs, truncation=True, max_length=max_length, return_attention_mask=False)
        full[part] = [len(row) for row in whole["input_ids"]]
        columns["input_ids"] += cut["input_ids"]
        if pairs is not None and "token_type_ids" in cut:
            columns["token_type_ids"] += cut["token_type_ids"]
    lengths = np.array([len(row) for row in columns["input_ids"]], np.int64)
    lost = full - lengths
    return Encoded({name: rows for name, rows in columns.items() if rows}, lengths, int((lost > 0).sum()), int(lost.sum()))
