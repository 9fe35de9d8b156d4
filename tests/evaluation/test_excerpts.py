from dataclasses import replace

import numpy as np
import pytest

from distill.evaluation.excerpts import SHOWN, text_of
from distill.tasks.registry import task_of
from tests import tiny
from tests.evaluation_splits import split_of

TOKENIZER = tiny.masking_tokenizer()
CLASSES, _, NUMBERS, TAGS, ANSWERS, MASKED, _ = map(task_of, tiny.TASKS)


def split_with(texts, labels, pairs=None, names=()):
    """Rows of these texts, in tokens."""
    encoded = TOKENIZER(texts, pairs)["input_ids"]
    split = split_of([len(row) for row in encoded], labels, names)
    return replace(split, rows=replace(split.rows, tokens=np.concatenate(encoded).astype(np.int32)))


def asked(context, answer):
    split = split_of([1], [[0, 0]], questions=[(context, [answer])])
    return replace(split, examples=split.examples.append_column("question", [["why?"]]))


def test_a_row_is_its_words_and_a_pair_two_lines_and_a_long_text_is_cut_between_words():
    assert text_of(CLASSES, 1, split_with(["w1 w2", "w3 nothing"], [0, 0]), TOKENIZER) == "w3 [UNK]"
    assert text_of(NUMBERS, 0, split_with(["w1 w2"], [0.5], ["w3"]), TOKENIZER) == "w1 w2\nw3"
    text = text_of(CLASSES, 0, split_with([" ".join(["w10"] * 200)], [0]), TOKENIZER)
    assert len(text) <= SHOWN
    assert text.endswith("w10 …")


def test_a_tagged_word_stands_in_brackets_and_a_masked_token_is_a_gap_in_its_row():
    split = split_with(["w1 w2 w3"], [-100, 0, -100, 1, -100], names=("O", "B-x"))
    assert [text_of(TAGS, line, split, TOKENIZER) for line in (0, 1)] == ["[w1 w2] w3", "w1 w2 [w3]"]
    split = split_with(["w1 w2", "w3 [MASK] w5"], [-100, 4, -100, -100, -100, -100, 9, -100, -100])
    assert [text_of(MASKED, line, split, TOKENIZER) for line in (0, 1)] == ["[?] w2", "w3 [?] w5"]


def test_of_a_context_the_part_around_the_answer_is_shown():
    context = f"{'before ' * 100}answer {'after ' * 100}".strip()
    split = asked(context, "answer")
    question, _, shown = text_of(ANSWERS, 0, split, TOKENIZER, ("nowhere", "answer")).partition("\n")
    assert question == "why?"
    assert shown.startswith("… before ")
    assert "before answer after" in shown
    assert len(shown) < SHOWN + 10
    assert text_of(ANSWERS, 0, split, TOKENIZER).startswith("why?\nbefore before")


@pytest.mark.parametrize("context", ["\n".join(["line"] * 900), "x" * 2000, "字" * 2000])
def test_whatever_a_context_is_like_something_of_it_is_shown(context):
    split = asked(context, context[:1])
    for near in ((), (context[:1],), (context[100:110],)):
        _, _, shown = text_of(ANSWERS, 0, split, TOKENIZER, near).partition("\n")
        assert SHOWN / 2 < len(shown) <= SHOWN + 10
