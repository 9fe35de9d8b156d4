"""Words and their tags into tokens and labels: the first sub-word of a word has its tag (Devlin 2019, §5.3)."""

from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.prepared import UNLABELLED
from distill.tokenization import Encoded, chunks, lengths_of

Array = np.ndarray[Any, np.dtype[Any]]


def encode_words(tokenizer: PreTrainedTokenizerBase, rows: list[list[str]], tags: Array, max_length: int, title: str) -> Encoded:
    """Tokenize words joined by blanks, so that a tokenizer that reads the blank before a word (RoBERTa's) finds it.

    Args:
        tokenizer: A fast one: it tells which characters a token covers.
        rows: The words of each row.
        tags: (rows,) objects: a tag number a word, or None for transfer rows.
        max_length: Special tokens included.
        title: Of the progress bar.

    Returns:
        `labels`: for each row a tag number a token, UNLABELLED for special tokens, further sub-words and transfer rows.
        `counts` has `lost_tags`: tags of words that have no token, for they were truncated or are nothing to the tokenizer.
    """
    tokens: list[Any] = []
    labels: list[Any] = []
    full = np.zeros(len(rows), np.int64)
    lost = 0
    for part in chunks(len(rows), title):
        texts = [" ".join(words) for words in rows[part]]
        full[part] = lengths_of(tokenizer(texts, verbose=False, return_attention_mask=False)["input_ids"])
        cut = tokenizer(texts, truncation=True, max_length=max_length, return_offsets_mapping=True)
        for words, own, ids, spans in zip(rows[part], tags[part], cut["input_ids"], cut["offset_mapping"], strict=True):
            numbers = np.full(len(words), UNLABELLED) if own is None else np.array(own)
            words_of, positions = first_tokens(words, np.array(spans))
            row = np.full(len(ids), UNLABELLED, np.int32)
            row[positions] = numbers[words_of]
            tokens.append(ids)
            labels.append(row)
            lost += int((numbers != UNLABELLED).sum() - (row != UNLABELLED).sum())
    lengths = lengths_of(tokens)
    less = full - lengths
    return Encoded(
        {"input_ids": tokens}, lengths, int((less > 0).sum()), int(less.sum()), labels=labels, counts={"lost_tags": lost}
    )


def first_tokens(words: list[str], spans: Array) -> tuple[Array, Array]:
    """The words that have a token, and the position of the first token of each.

    Args:
        words: Of one row.
        spans: (tokens, 2) int, the characters that each token covers of the words joined by blanks; empty for special tokens.
    """
    ends = np.cumsum([len(word) + 1 for word in words])
    real = np.flatnonzero(spans[:, 1] > spans[:, 0])
    word_of = np.searchsorted(ends, spans[real, 1] - 1, side="right")
    found, first = np.unique(word_of, return_index=True)
    return found, real[first]
