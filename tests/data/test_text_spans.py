"""A span of tokens, as the characters that it stands for."""

import numpy as np
import pytest

from distill.data.text_spans import best_span_in_window, span_of


@pytest.mark.parametrize(
    ("text", "spans", "found"),
    [
        ("the cafe\u0301 is", [[4, 8]], "cafe\u0301"),
        ("हिंदु है", [[0, 2], [3, 4]], "हिंदु"),
        ("in paris now", [[2, 8]], "paris"),
        ("in  paris", [[2, 3], [3, 4]], ""),
    ],
    ids=["a deleted accent", "a deleted vowel sign", "a blank that is part of a token", "blanks alone"],
)
def test_a_span_has_the_marks_of_its_last_character_and_no_blanks_around_it(text, spans, found):
    start, end = span_of(text, np.array(spans), 0, len(spans) - 1)
    assert text[start:end] == found


def test_a_token_without_characters_is_no_answer():
    logits, spans = np.array([[9.0, 9.0], [8.0, 8.0], [1.0, 1.0]]), np.array([[-1, -1], [0, 0], [0, 3]])
    assert best_span_in_window(logits, spans) == (2.0, 2, 2)


@pytest.mark.parametrize(("bytes_each", "last"), [(1, 29), (3, 44)])
def test_answers_of_characters_that_are_several_tokens_may_have_more_tokens(bytes_each, last):
    spans = np.repeat([[i, i + 1] for i in range(60 // bytes_each)], bytes_each, axis=0)
    logits = np.zeros((60, 2))
    logits[0, 0], logits[44, 1], logits[29, 1] = 9, 9, 5
    assert best_span_in_window(logits, spans)[1:] == (0, last)
