"""Words of texts, and words that are single tokens."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from distill.augmentation.words import locate, require_mask, share_of_words, whole_words
from distill.core.errors import UserError
from tests import tiny
from tests.words import WORDS, wordpiece


def bytelevel() -> PreTrainedTokenizerFast:
    """As RoBERTa's: a token holds the space before its word."""
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        special_tokens=["<pad>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        vocab_size=290,
    )
    core.train_from_iterator(["a warm sea and a warm sun, the warm sea"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", mask_token="<mask>")


def spelled(text: str, tokenizer: PreTrainedTokenizerFast, max_length: int = 64) -> list[tuple[str, bool]]:
    """The words of a text, and whether each is one piece."""
    (found,) = locate(tokenizer, [text], max_length)
    return [(found.spelling(i), word.is_single) for i, word in enumerate(found.words)]


def test_special_tokens_numbers_punctuation_and_pieces_are_no_words():
    tokenizer = wordpiece()
    found = whole_words(tokenizer, "here")
    assert set(found.words.values()) == {*WORDS, "swi", "fly", "2nd", "t", "don"}
    assert [tokenizer.convert_ids_to_tokens(token) for token in found.ids.tolist()] == list(found.words.values())


def test_words_of_a_byte_level_tokenizer_are_those_with_a_space():
    found = whole_words(bytelevel(), "here")
    assert {"warm", "sea", "a"} <= set(found.words.values())
    assert all(bytelevel().convert_ids_to_tokens(token).startswith("Ġ") for token in found.words)


def test_words_are_found_with_their_characters_and_tokens():
    text = "The  Sun, swimming moon."
    (found,) = locate(wordpiece(), [text], 64)
    assert spelled(text, wordpiece()) == [("The", True), ("Sun", True), ("swimming", False), ("moon", True)]
    assert found.pieces(2).tolist() == wordpiece().convert_tokens_to_ids(["swi", "##mm", "##ing"])
    assert [len(found.pieces(i)) for i in range(4)] == [1, 1, 3, 1]


def test_a_tokenizer_without_words_or_a_mask_token_is_refused():
    assert require_mask(wordpiece(), "here") == 4
    with pytest.raises(UserError, match="^here: its tokenizer has no mask token; "):
        require_mask(tiny.tokenizer(), "here")
    with pytest.raises(UserError, match="^here: its tokenizer has 1 whole words; "):
        whole_words(tiny.tokenizer(["w1"]), "here")


def test_spaces_numbers_punctuation_contractions_and_cut_words_are_no_words():
    assert [word for word, _ in spelled("a warm  sea, warm", bytelevel())] == ["a", "warm", "sea", "warm"]
    assert spelled("don't 7 7. sun's", wordpiece()) == []
    assert spelled("sun swimming moon", wordpiece(), 5) == [("sun", True)]
    assert spelled("sun swimming moon", wordpiece(), 6) == [("sun", True), ("swimming", False)]
    (found,) = locate(wordpiece(), ["7 . 7"], 64)
    assert (found.words, found.tokens.dtype) == ((), np.int64)


def test_the_share_of_words_that_are_tokens_tells_other_languages_and_scripts():
    assert share_of_words(wordpiece(), ["the Sun", "moon, swimming Sun"], 64) == 3 / 5
    assert share_of_words(wordpiece(), ["поезд опаздывает 我", "12 !"], 64) == 0
