"""Where the words of token classification begin among the tokens of a row."""

from collections.abc import Iterator, Sequence

import numpy as np

from distill.core.arrays import Array
from distill.data.dataset import Dataset
from distill.data.text_spans import first_tokens
from distill.data.tokenizers import load_tokenizer, tokenize_truncated

AT_ONCE = 1000
"""Rows that are tokenized together."""


def word_starts(dataset: Dataset, split: str, rows: Sequence[int]) -> Iterator[tuple[int, Array, Array]]:
    """Of each of these rows its number, the words that have a token, and the place of each one's first: as tags are placed."""
    texts, tokenizer = dataset.texts(split)["words"], load_tokenizer(dataset.folder / "tokenizer")
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        encodings, _ = tokenize_truncated(tokenizer, [" ".join(texts[row]) for row in part], None, dataset.max_length)
        for row, encoding in zip(part, encodings, strict=True):
            yield row, *first_tokens(texts[row], np.array(encoding.offsets).reshape(-1, 2))
