"""Texts into tokens: what truncation takes is counted, and the two texts of a pair stay apart."""

import pytest
from transformers import PreTrainedTokenizerFast

from distill import tokenization
from distill.tokenization import encode

CLS, SEP = 2, 3


def words(count: int, first: int = 0) -> str:
    return " ".join(f"w{first + i}" for i in range(count))


def test_rows_keep_their_order_and_their_special_tokens(tokenizer: PreTrainedTokenizerFast):
    encoded = encode(tokenizer, ["w1 w0", "w2"], None, 8, "train")
    assert encoded.columns == {"input_ids": [[CLS, 5, 4, SEP], [CLS, 6, SEP]]}
    assert encoded.lengths.tolist() == [4, 3]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (0, 0)


def test_truncated_rows_and_lost_tokens_are_counted(tokenizer: PreTrainedTokenizerFast):
    encoded = encode(tokenizer, [words(3), words(4), words(5), words(9)], None, 6, "train")
    assert encoded.lengths.tolist() == [5, 6, 6, 6]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (2, 1 + 5)
    assert encoded.columns["input_ids"][3] == [CLS, 4, 5, 6, 7, SEP]


def test_pairs_keep_token_types_and_lose_from_the_longer_text(tokenizer: PreTrainedTokenizerFast):
    encoded = encode(tokenizer, [words(1), words(6)], [words(2, 10), words(1, 20)], 6, "train")
    assert encoded.columns["token_type_ids"] == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]]
    assert encoded.columns["input_ids"][1] == [CLS, 4, 5, SEP, 24, SEP]
    assert encoded.lengths.tolist() == [6, 6]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (1, 4)


def test_an_empty_split_has_no_tokens(tokenizer: PreTrainedTokenizerFast):
    assert encode(tokenizer, [], None, 6, "train").lengths.tolist() == []


def test_rows_of_many_chunks_are_those_of_one(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch):
    texts = [words(i % 9 + 1, i) for i in range(11)]
    pairs = [words(i % 4 + 1, i + 3) for i in range(11)]
    whole = encode(tokenizer, texts, pairs, 8, "train")
    monkeypatch.setattr(tokenization, "CHUNK", 4)
    parts = encode(tokenizer, texts, pairs, 8, "train")
    assert parts.columns == whole.columns
    assert parts.lengths.tolist() == whole.lengths.tolist()
    assert (parts.truncated_rows, parts.truncated_tokens) == (whole.truncated_rows, whole.truncated_tokens)
    assert whole.truncated_rows > 0
