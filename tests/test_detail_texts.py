from dataclasses import replace

import numpy as np
import pytest

from distill.detail.texts import SHOWN, text_of
from tests import tiny
from tests.gold import gold_of

TOKENIZER = tiny.masking_tokenizer()


def gold_with(texts, labels, pairs=None, names=()):
    """Rows of these texts, in tokens."""
    encoded = TOKENIZER(texts, pairs)["input_ids"]
    gold = gold_of([len(row) for row in encoded], labels, names)
    return replace(gold, rows=replace(gold.rows, tokens=np.concatenate(encoded).astype(np.int32)))


def test_a_row_is_its_words_and_a_pair_two_lines():
    assert text_of("sequence-classification", 1, gold_with(["w1 w2", "w3 nothing"], [0, 0]), TOKENIZER) == "w3 [UNK]"
    assert text_of("regression", 0, gold_with(["w1 w2"], [0.5], ["w3"]), TOKENIZER) == "w1 w2\nw3"


def test_a_long_text_is_cut_between_words():
    text = text_of("sequence-classification", 0, gold_with([" ".join(["w10"] * 200)], [0]), TOKENIZER)
    assert len(text) <= SHOWN
    assert text.endswith("w10 …")


@pytest.mark.parametrize(("line", "text"), [(0, "[w1 w2] w3"), (1, "w1 w2 [w3]")])
def test_a_tagged_word_stands_in_brackets(line, text):
    gold = gold_with(["w1 w2 w3"], [-100, 0, -100, 1, -100], names=("O", "B-x"))
    assert text_of("token-classification", line, gold, TOKENIZER) == text


def test_a_masked_token_is_a_gap_in_its_own_row():
    gold = gold_with(["w1 w2", "w3 [MASK] w5"], [-100, 4, -100, -100, -100, -100, 9, -100, -100])
    assert text_of("masked-lm", 0, gold, TOKENIZER) == "[?] w2"
    assert text_of("masked-lm", 1, gold, TOKENIZER) == "w3 [?] w5"


def test_of_a_context_the_part_around_the_answer_is_shown():
    context = f"{'before ' * 100}answer {'after ' * 100}".strip()
    gold = gold_of([1], [[0, 0]], questions=[(context, ["answer"])])
    gold = replace(gold, examples=gold.examples.append_column("question", [["why?"]]))
    question, _, shown = text_of("question-answering", 0, gold, TOKENIZER, ("nowhere", "answer")).partition("\n")
    assert question == "why?"
    assert shown.startswith("… before ")
    assert "before answer after" in shown
    assert len(shown) < SHOWN + 10
    assert text_of("question-answering", 0, gold, TOKENIZER).startswith("why?\nbefore before")


@pytest.mark.parametrize("context", ["\n".join(["line"] * 900), "x" * 2000, "字" * 2000])
def test_whatever_a_context_is_like_something_of_it_is_shown(context):
    gold = gold_of([1], [[0, 0]], questions=[(context, [context[:1]])])
    gold = replace(gold, examples=gold.examples.append_column("question", [["why?"]]))
    for near in ((), (context[:1],), (context[100:110],)):
        _, _, shown = text_of("question-answering", 0, gold, TOKENIZER, near).partition("\n")
        assert SHOWN / 2 < len(shown) <= SHOWN + 10
