"""Copies of texts with other words."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast

from distill.augmentation.augmenter import Augmenter, written
from distill.augmentation.fill_mask import Refiller
from distill.augmentation.word_vectors import from_embeddings
from distill.augmentation.words import locate, whole_words
from tests.words import masked_lm, wordpiece

TEXTS = ["Sun, moon", "red fish swimming .", "old rock", "the new tree and flying suns", "7 7"]
KEYS = [3, 1, 4, 15, 9]


@pytest.fixture(scope="module")
def augmenter() -> Augmenter:
    tokenizer, model = wordpiece(), masked_lm()
    vocabulary = whole_words(tokenizer, "here")
    near = from_embeddings(model.get_input_embeddings().weight, vocabulary)
    return Augmenter(tokenizer, Refiller(model, vocabulary, 4, 0), near, 32, copies=6, candidates=4, probability=0.5, seed=1)


def candidates(augmenter: Augmenter, text: str) -> list[set[str]]:
    """What stands in the place of each space-parted word, over many copies."""
    (copies,) = replace(augmenter, copies=300, probability=1.0).reword([text], [0])
    return [set(words) for words in zip(*(copy.split() for copy in copies), strict=True)]


def test_copies_depend_on_the_seed_the_key_and_the_part_of_a_pair_and_not_on_the_other_texts(augmenter):
    whole = augmenter.reword(TEXTS, KEYS)
    assert whole == augmenter.reword(TEXTS, KEYS)
    assert whole != replace(augmenter, seed=2).reword(TEXTS, KEYS)
    assert [len(copies) for copies in whole] == [6] * 5
    assert whole == [augmenter.reword([text], [key])[0] for text, key in zip(TEXTS, KEYS, strict=True)]
    assert whole[::-1] == augmenter.reword(TEXTS[::-1], KEYS[::-1])
    text = TEXTS[3]
    first, second = augmenter.reword([text, text], [1, 2])
    assert first != second
    assert first != augmenter.reword([text], [1], part=1)[0]


def test_a_word_that_is_spelt_alike_and_has_other_pieces_changes_no_copy():
    """Byte-level tokenizers have other pieces for a word at a text's beginning than behind a blank."""
    words = ["good", "bad", "hello", "film", "plain"]
    core = ByteLevelBPETokenizer()
    core.train_from_iterator([f"{first} {second}" for first in words for second in words], min_frequency=1)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core._tokenizer, pad_token="!", unk_token="!")
    torch.manual_seed(0)
    near = from_embeddings(torch.randn(len(tokenizer), 4), whole_words(tokenizer, "here"))
    augmenter = Augmenter(tokenizer, None, near, 32, copies=6, candidates=2, probability=1.0, seed=1)
    alone = augmenter.reword(["bad film"], [1])
    assert augmenter.reword(["bad film", "hello bad"], [1, 2])[:1] == alone
    assert augmenter.reword(["hello bad", "bad film"], [2, 1])[1:] == alone


def test_more_copies_of_fewer_candidates_come_from_the_same_model_passes(augmenter):
    passes: list[int] = []
    handle = augmenter.refiller.model.register_forward_pre_hook(lambda *_: passes.append(1))
    for copies in (1, 30):
        replace(augmenter, copies=copies, probability=1.0).reword(TEXTS, KEYS)
    handle.remove()
    assert len(passes) == 2


def test_probability_0_changes_nothing_and_asks_the_model_nothing(augmenter):
    asked: list[int] = []
    copies = replace(augmenter, probability=0.0).reword(TEXTS, KEYS, advance=asked.append)
    assert (copies, asked) == ([[text] * 6 for text in TEXTS], [])


def test_probability_1_replaces_every_word_by_a_candidate_that_is_not_the_word(augmenter):
    for word, found in zip(("red", "fish", "swimming"), candidates(augmenter, "red fish swimming"), strict=True):
        assert word not in found
        assert len(found) == 4
        assert found <= set(augmenter.refiller.vocabulary.words.values())


def test_words_of_one_piece_are_refilled_those_of_several_get_neighbours_and_those_without_candidates_stay(augmenter):
    located = locate(augmenter.tokenizer, ["red swimming"], 32)[0]
    red, swimming = candidates(augmenter, "red swimming")
    (refills,) = augmenter.refiller.refills([located.tokens], [np.array([1])], 4)
    assert red == {augmenter.refiller.vocabulary.words[token] for token in refills[0].tolist()}
    assert swimming == set(augmenter.neighbours.of([("swimming", located.pieces(1))], 4)[0])
    lonely = replace(augmenter.neighbours, vector_of=lambda *_: None)
    assert candidates(replace(augmenter, neighbours=lonely), "red swimming")[1] == {"swimming"}


def test_spaces_punctuation_and_numbers_stay_where_they_were(augmenter):
    (copies,) = replace(augmenter, probability=1.0).reword(["  Sun,\t7 moon . "], [0])
    located = locate(augmenter.tokenizer, ["  Sun,\t7 moon . "], 32)[0]
    assert len(located.words) == 2
    for copy in copies:
        first, rest = copy.split(",\t7 ")
        second, _ = rest.split(" . ")
        assert copy == f"{first},\t7 {second} . "
        assert {first.strip(), second} <= set(augmenter.refiller.vocabulary.words.values())


def test_as_many_words_are_replaced_as_the_probability_says_by_every_candidate_as_often(augmenter):
    text = "red fish blue bird old tree new leaf"
    (copies,) = replace(augmenter, copies=500, probability=0.4).reword([text], [0])
    share = np.mean([new != old for copy in copies for new, old in zip(copy.split(), text.split(), strict=True)])
    assert abs(share - 0.4) < 4 * np.sqrt(0.4 * 0.6 / 4000)
    (copies,) = replace(augmenter, copies=2000, probability=1.0).reword(["red"], [0])
    counts = np.unique(copies, return_counts=True)[1]
    assert len(counts) == 4
    assert abs(counts - 500).max() < 4 * np.sqrt(2000 * 0.25 * 0.75)


def test_a_copy_is_written_word_by_word():
    located = locate(wordpiece(), ["sun, moon fish"], 32)[0]
    options = {0: ["a", "b", "c", "d"], 2: []}
    assert written(located, np.array([True, False, True]), np.array([0.75, 0.0, 0.9]), options) == "d, moon fish"


def test_the_models_weights_are_left_as_they_are(augmenter):
    before = {name: tensor.clone() for name, tensor in augmenter.refiller.model.state_dict().items()}
    augmenter.reword(TEXTS, KEYS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in augmenter.refiller.model.state_dict().items())
