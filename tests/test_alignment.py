"""Each word's tag stands at its first token; nothing else is to be predicted."""

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from transformers import PreTrainedTokenizerFast

from distill import tokenization
from distill.alignment import encode_words, first_tokens
from distill.prepared import UNLABELLED as NO


def pieces() -> PreTrainedTokenizerFast:
    """Words of `a`, `b` and punctuation, a token a letter."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##a", "##b", "."]
    core = Tokenizer(WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    core.pre_tokenizer = BertPreTokenizer()
    core.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")


def byte_pieces() -> PreTrainedTokenizerFast:
    """RoBERTa's way: the blank before a word belongs to it."""
    letters = ["<s>", "</s>", "<unk>", "a", "b", "Ġ"]
    core = Tokenizer(BPE({token: i for i, token in enumerate([*letters, "Ġa", "ab"])}, [("Ġ", "a"), ("a", "b")]))
    core.pre_tokenizer = ByteLevel(add_prefix_space=False)
    core.post_processor = RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", pad_token="<unk>")


def objects(*values: Any) -> np.ndarray[Any, np.dtype[Any]]:
    rows = np.empty(len(values), object)
    rows[:] = values
    return rows


def aligned(tokenizer: PreTrainedTokenizerFast, words: list[str], tags: list[int] | None, longest: int = 20) -> list[int]:
    encoded = encode_words(tokenizer, [words], objects(tags), longest, "train")
    assert encoded.labels is not None
    assert len(encoded.labels[0]) == len(encoded.columns["input_ids"][0])
    return [int(label) for label in encoded.labels[0]]


def test_the_first_piece_of_a_word_has_its_tag():
    assert aligned(pieces(), ["ab", "a", "bba"], [1, 2, 3]) == [NO, 1, NO, 2, 3, NO, NO, NO]


def test_a_word_that_is_split_at_punctuation_has_one_tag():
    assert aligned(pieces(), ["a.b", ".", "b"], [1, 2, 3]) == [NO, 1, NO, NO, 2, 3, NO]


def test_a_word_with_a_blank_in_it_has_one_tag():
    assert aligned(pieces(), ["a b", "a"], [1, 2]) == [NO, 1, NO, 2, NO]


def test_blanks_before_words_are_seen_and_belong_to_the_word_behind_them():
    tokenizer = byte_pieces()
    encoded = encode_words(tokenizer, [["ab", "a"]], objects([1, 2]), 20, "train")
    assert tokenizer.convert_ids_to_tokens(encoded.columns["input_ids"][0]) == ["<s>", "ab", "Ġa", "</s>"]
    assert aligned(tokenizer, ["ab", "a"], [1, 2]) == [NO, 1, 2, NO]


def test_transfer_rows_and_words_without_a_tag_are_not_to_be_predicted():
    assert aligned(pieces(), ["a", "b"], None) == [NO] * 4
    assert aligned(pieces(), ["a", "b"], [NO, 1]) == [NO, NO, 1, NO]


def test_what_truncation_takes_is_counted():
    encoded = encode_words(pieces(), [["ab", "ab", "b"], ["a"]], objects([1, 0, 2], [1]), 5, "train")
    assert encoded.labels is not None
    assert [row.tolist() for row in encoded.labels] == [[NO, 1, NO, 0, NO], [NO, 1, NO]]
    assert (encoded.truncated_rows, encoded.truncated_tokens, encoded.counts) == (1, 2, {"lost_tags": 1})


def test_a_word_that_is_nothing_to_the_tokenizer_shifts_no_tag():
    found, positions = first_tokens(["a", "\u200b", "b"], np.array([[0, 0], [0, 1], [4, 5], [0, 0]]))
    assert (found.tolist(), positions.tolist()) == ([0, 2], [1, 2])


def test_tokens_are_those_of_words_given_one_by_one():
    tokenizer, words = pieces(), ["ab.", "b", "bab", ".."]
    given = tokenizer([words], is_split_into_words=True)
    encoded = encode_words(tokenizer, [words], objects([0] * 4), 20, "train")
    assert encoded.columns["input_ids"] == given["input_ids"]
    first = [i for i, word in enumerate(given.word_ids(0)) if word is not None and word != given.word_ids(0)[i - 1]]
    assert encoded.labels is not None
    assert np.flatnonzero(encoded.labels[0] != NO).tolist() == first


def test_rows_of_many_chunks_are_those_of_one(monkeypatch: pytest.MonkeyPatch):
    rows, tags = [["a"] * (i + 1) for i in range(7)], objects(*([i % 3] * (i + 1) for i in range(7)))
    whole = encode_words(pieces(), rows, tags, 6, "train")
    monkeypatch.setattr(tokenization, "CHUNK", 2)
    parts = encode_words(pieces(), rows, tags, 6, "train")
    assert parts.columns == whole.columns
    assert parts.labels is not None
    assert whole.labels is not None
    assert [row.tolist() for row in parts.labels] == [row.tolist() for row in whole.labels]
    assert parts.counts == whole.counts
