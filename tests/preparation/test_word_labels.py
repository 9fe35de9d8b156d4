"""Each word's tag stands at its first token; nothing else is to be predicted."""

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from distill.data.dataset import UNLABELLED as NO
from distill.data.rows import Rows
from distill.data.text_spans import first_tokens
from distill.data.tokenizers import Encoded
from distill.preparation.word_labels import encode_words
from tests.words import byte_pieces


def pieces() -> PreTrainedTokenizerFast:
    """Words of `a`, `b` and punctuation, a token a letter."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "##a", "##b", "."]
    core = Tokenizer(WordPiece({token: i for i, token in enumerate(tokens)}, unk_token="[UNK]"))
    core.pre_tokenizer = BertPreTokenizer()
    core.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]")


def encoded(tokenizer: PreTrainedTokenizerFast, rows: list[list[str]], tags: list[Any], longest: int = 20) -> Encoded:
    made = Rows(rows, None, np.fromiter(tags, object), np.arange(len(rows)))
    return encode_words(tokenizer, made, longest)


def labels_of(tokenizer: PreTrainedTokenizerFast, words: list[str], tags: list[int] | None) -> list[int]:
    found = encoded(tokenizer, [words], [tags])
    assert len(found.labels[0]) == len(found.columns["input_ids"][0])
    return found.labels[0].tolist()


@pytest.mark.parametrize(
    ("words", "tags", "labels"),
    [
        (["ab", "a", "bba"], [1, 2, 3], [NO, 1, NO, 2, 3, NO, NO, NO]),
        (["a.b", ".", "b"], [1, 2, 3], [NO, 1, NO, NO, 2, 3, NO]),
        (["a b", "a"], [1, 2], [NO, 1, NO, 2, NO]),
        (["a", "b"], None, [NO] * 4),
        (["a", "b"], [NO, 1], [NO, NO, 1, NO]),
    ],
    ids=["several pieces", "punctuation", "a blank", "a transfer row", "no tag"],
)
def test_the_first_piece_of_a_word_has_its_tag(words, tags, labels):
    assert labels_of(pieces(), words, tags) == labels


def test_blanks_before_words_are_seen_and_belong_to_the_word_behind_them():
    tokenizer = byte_pieces()
    found = encoded(tokenizer, [["ab", "a"]], [[1, 2]])
    assert tokenizer.convert_ids_to_tokens(found.columns["input_ids"][0]) == ["<s>", "ab", "Ġa", "</s>"]
    assert labels_of(tokenizer, ["ab", "a"], [1, 2]) == [NO, 1, 2, NO]


def test_what_truncation_takes_is_counted():
    found = encoded(pieces(), [["ab", "ab", "b"], ["a"]], [[1, 0, 2], [1]], 5)
    assert [row.tolist() for row in found.labels] == [[NO, 1, NO, 0, NO], [NO, 1, NO]]
    assert (found.truncated_rows, found.truncated_tokens, found.counts) == (1, 2, {"lost_tags": 1})


def test_a_word_that_is_nothing_to_the_tokenizer_shifts_no_tag():
    found, positions = first_tokens(["a", "\u200b", "b"], np.array([[0, 0], [0, 1], [4, 5], [0, 0]]))
    assert (found.tolist(), positions.tolist()) == ([0, 2], [1, 2])


def test_tokens_are_those_of_words_given_one_by_one():
    tokenizer, words = pieces(), ["ab.", "b", "bab", ".."]
    given = tokenizer([words], is_split_into_words=True)
    found = encoded(tokenizer, [words], [[0] * 4])
    assert found.columns["input_ids"] == given["input_ids"]
    first = [i for i, word in enumerate(given.word_ids(0)) if word is not None and word != given.word_ids(0)[i - 1]]
    assert np.flatnonzero(found.labels[0] != NO).tolist() == first
