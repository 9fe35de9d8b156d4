"""Words and their tags into tokens and labels: the first sub-word of a word has its tag (Devlin 2019, §5.3)."""

from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from distill.data.dataset import UNLABELLED
from distill.data.rows import Rows
from distill.data.text_spans import first_tokens
from distill.data.tokenizers import Encoded, lengths_of, tokenize_truncated


def encode_words(tokenizer: PreTrainedTokenizerBase, rows: Rows, max_length: int) -> Encoded:
    """Tokenize words of some rows joined by blanks, so that a tokenizer that reads the blank before a word (RoBERTa's) finds it.

    `labels` have for each row a tag number a token,
    UNLABELLED for special tokens, further sub-words and transfer rows; `counts` has `lost_tags`: tags of words that have no
    token, for they were truncated or are nothing to the tokenizer.
    """
    tokens: list[Any] = []
    labels: list[Any] = []
    encodings, lost = tokenize_truncated(tokenizer, [" ".join(words) for words in rows.texts], None, max_length)
    lost_tags = 0
    for words, given, encoding in zip(rows.texts, rows.labels, encodings, strict=True):
        numbers = np.full(len(words), UNLABELLED) if given is None else np.array(given)
        words_of, positions = first_tokens(words, np.array(encoding.offsets).reshape(-1, 2))
        row = np.full(len(encoding), UNLABELLED, np.int32)
        row[positions] = numbers[words_of]
        tokens.append(encoding.ids)
        labels.append(row)
        lost_tags += int((numbers != UNLABELLED).sum() - (row != UNLABELLED).sum())
    counts = {"lost_tags": lost_tags}
    return Encoded(
        {"input_ids": tokens}, lengths_of(tokens), int((lost > 0).sum()), int(lost.sum()), labels=labels, counts=counts
    )
