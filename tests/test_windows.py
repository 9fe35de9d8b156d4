"""Contexts in overlapping windows: each covers what it says, and every answer that is whole in one is found there."""

import random
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from distill import tokenization
from distill.data import Answers
from distill.errors import UserError
from distill.prepared import UNLABELLED
from distill.tokenization import Encoded
from distill.windows import encode_questions, place

CLS, SEP = 2, 3
CONTEXT = " ".join(f"w{i}" for i in range(10, 22))


def objects(*values: Answers | None) -> np.ndarray[Any, np.dtype[Any]]:
    rows = np.empty(len(values), object)
    rows[:] = values
    return rows


def answer(text: str, context: str = CONTEXT) -> Answers:
    return Answers((text,), (context.index(text),))


def windows(tokenizer: PreTrainedTokenizerFast, *answers: Answers | None, question: str = "w1 w2", **how: Any) -> Encoded:
    settings = {"max_length": 11, "stride": 2, "title": "train", **how}
    return encode_questions(tokenizer, [question] * len(answers), [CONTEXT] * len(answers), objects(*answers), **settings)


def test_windows_have_the_question_first_and_share_the_stride(tokenizer: PreTrainedTokenizerFast):
    encoded = windows(tokenizer, Answers((), ()))
    assert [row.tolist() for row in encoded.columns["input_ids"]] == [
        [CLS, 5, 6, SEP, 14, 15, 16, 17, 18, 19, SEP],
        [CLS, 5, 6, SEP, 18, 19, 20, 21, 22, 23, SEP],
        [CLS, 5, 6, SEP, 22, 23, 24, 25, SEP],
    ]
    assert [row.tolist() for row in encoded.columns["token_type_ids"]] == [
        [0] * 4 + [1] * 7,
        [0] * 4 + [1] * 7,
        [0] * 4 + [1] * 5,
    ]
    assert encoded.lengths.tolist() == [11, 11, 9]


def test_windows_know_their_question_and_the_characters_they_cover(tokenizer: PreTrainedTokenizerFast):
    encoded = windows(tokenizer, answer("w12"), None)
    assert encoded.columns["example"] == [0, 0, 0, 1, 1, 1]
    for ids, spans in zip(encoded.columns["input_ids"], encoded.columns["spans"], strict=True):
        outside = [0, 1, 2, 3, len(ids) - 1]
        assert np.flatnonzero(spans[:, 0] == -1).tolist() == np.flatnonzero(spans[:, 1] == -1).tolist() == outside
        words = [CONTEXT[start:stop] for start, stop in spans[4:-1]]
        assert tokenizer.convert_tokens_to_ids(words) == ids[4:-1].tolist()


def test_an_answer_is_its_first_and_last_token_in_each_window_that_holds_it_whole(tokenizer: PreTrainedTokenizerFast):
    encoded = windows(tokenizer, answer("w14 w15"), answer("w15 w16"), answer("w21"), Answers((), ()), None)
    assert isinstance(encoded.labels, np.ndarray)
    assert encoded.labels.reshape(5, 3, 2).tolist() == [
        [[8, 9], [4, 5], [0, 0]],
        [[0, 0], [5, 6], [0, 0]],
        [[0, 0], [0, 0], [7, 7]],
        [[0, 0]] * 3,
        [[UNLABELLED, UNLABELLED]] * 3,
    ]


def test_the_first_of_several_answers_is_learnt(tokenizer: PreTrainedTokenizerFast):
    both = Answers(("w12", "w21"), (CONTEXT.index("w12"), CONTEXT.index("w21")))
    assert windows(tokenizer, both).labels.tolist() == windows(tokenizer, answer("w12")).labels.tolist()  # type: ignore[union-attr]


def test_questions_answers_and_losses_are_counted(tokenizer: PreTrainedTokenizerFast):
    encoded = windows(tokenizer, answer("w12"), answer("w10 w11 w12 w13 w14 w15 w16"), Answers((), ()), None)
    assert encoded.counts == {"questions": 4, "unanswerable": 1, "lost_answers": 1}


def test_an_answer_within_a_token_is_that_token():
    spans = np.array([[-1, -1], [0, 5], [6, 9], [-1, -1]])
    assert place(spans, Answers(("el",), (1,))) == (1, 1)
    assert place(spans, Answers(("o wo",), (4,))) == (1, 2)


def test_blanks_around_an_answer_are_not_of_it():
    spans = np.array([[-1, -1], [0, 2], [3, 5], [6, 8], [-1, -1]])
    assert place(spans, Answers((" w1 ",), (2,))) == (2, 2)


def test_an_answer_that_the_window_cuts_is_not_in_it():
    spans = np.array([[-1, -1], [3, 5], [6, 8], [-1, -1]])
    for text, start in (("w0 w1", 0), ("w2 w3", 6), ("w0", 0), ("w3", 9)):
        assert place(spans, Answers((text,), (start,))) == (0, 0)


def test_long_questions_are_truncated_to_a_third_and_counted(tokenizer: PreTrainedTokenizerFast):
    encoded = windows(tokenizer, None, question="w1 w2 w3 w4 w5 w6 w7 w8 w9 w1 w2 w3 w4")
    assert encoded.columns["input_ids"][0].tolist()[:6] == [CLS, 5, 6, 7, SEP, 14]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (1, 10)


def test_the_stride_is_a_third_unless_given(tokenizer: PreTrainedTokenizerFast):
    default, given = (windows(tokenizer, None, max_length=12, stride=stride) for stride in (None, 4))
    assert [row.tolist() for row in default.columns["input_ids"]] == [row.tolist() for row in given.columns["input_ids"]]


@pytest.mark.parametrize(("stride", "fits"), [(4, True), (5, False), (200, False)])
def test_a_stride_that_leaves_nothing_to_move_on_by_is_refused(tokenizer: PreTrainedTokenizerFast, stride: int, fits: bool):
    question = " ".join(["w1"] * 9)
    if fits:
        assert windows(tokenizer, None, question=question, stride=stride).lengths.max() == 11
        return
    with pytest.raises(UserError, match=rf"stride: {stride} tokens of windows of 11, .*; expected less than 5: lower stride or"):
        windows(tokenizer, None, question=question, stride=stride)


@pytest.mark.parametrize("longest", [4, 5, 7, 12, 30])
def test_random_answers_are_found_in_some_window_and_read_back(tokenizer: PreTrainedTokenizerFast, longest: int):
    dice = random.Random(longest)
    questions, contexts, answers = [], [], []
    for _ in range(40):
        words = [f"w{dice.randrange(40)}" for _ in range(dice.randint(1, 30))]
        first = dice.randrange(len(words))
        text = " ".join(words[first : first + dice.randint(1, 3)])
        questions.append(" ".join(f"w{dice.randrange(40)}" for _ in range(dice.randint(1, 6))))
        contexts.append(" ".join(words))
        answers.append(Answers((text,), (len(" ".join([*words[:first], ""])),)))
    if longest == 4:
        with pytest.raises(UserError, match="stride"):
            encode_questions(tokenizer, questions, contexts, objects(*answers), longest, None, "train")
        return
    encoded = encode_questions(tokenizer, questions, contexts, objects(*answers), longest, None, "train")
    assert encoded.lengths.max() <= longest
    assert isinstance(encoded.labels, np.ndarray)
    covered: dict[int, set[int]] = {}
    found = set()
    for row, (example, spans) in enumerate(zip(encoded.columns["example"], encoded.columns["spans"], strict=True)):
        covered.setdefault(example, set()).update(spans[spans[:, 0] >= 0, 0].tolist())
        start, stop = encoded.labels[row]
        if stop:
            found.add(example)
            assert contexts[example][spans[start, 0] : spans[stop, 1]] == answers[example].texts[0]
    assert len(found) == 40 - encoded.counts["lost_answers"]
    assert longest < 30 or len(found) == 40
    for example, context in enumerate(contexts):
        starts = {0, *(i + 1 for i, letter in enumerate(context) if letter == " ")}
        assert covered[example] == starts


def test_windows_of_many_chunks_are_those_of_one(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch):
    given = [answer("w12"), None, answer("w20 w21"), Answers((), ()), answer("w15")]
    whole = windows(tokenizer, *given)
    monkeypatch.setattr(tokenization, "CHUNK", 2)
    parts = windows(tokenizer, *given)
    assert parts.columns["example"] == whole.columns["example"]
    for name in ("input_ids", "spans"):
        assert [row.tolist() for row in parts.columns[name]] == [row.tolist() for row in whole.columns[name]]
    np.testing.assert_array_equal(parts.labels, whole.labels)
