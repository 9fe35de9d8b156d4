"""Contexts in overlapping windows: each covers what it says, and every answer that is whole in one is found there."""

import random
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.data.rows import Answers, Rows
from distill.data.text_spans import span_of
from distill.data.tokenizers import Encoded
from distill.preparation.windows import encode_questions, places
from distill.tasks.question_answering import best_match
from tests.scripts import TOKENIZERS

CLS, SEP = 2, 3
CONTEXT = " ".join(f"w{i}" for i in range(10, 22))


def answer(text: str, context: str = CONTEXT) -> Answers:
    return Answers((text,), (context.index(text),))


def windows(tokenizer: PreTrainedTokenizerFast, *answers: Answers | None, question: str = "w1 w2", **how: Any) -> Encoded:
    count = len(answers)
    rows = Rows([question] * count, [CONTEXT] * count, np.fromiter(answers, object), np.arange(count))
    return encode_questions(tokenizer, rows, **{"max_length": 11, "stride": 2, **how})


def test_windows_have_the_question_first_and_share_the_stride_and_long_questions_are_truncated_to_a_third(tokenizer):
    encoded = windows(tokenizer, Answers((), ()))
    assert [row.tolist() for row in encoded.columns["input_ids"]] == [
        [CLS, 5, 6, SEP, 14, 15, 16, 17, 18, 19, SEP],
        [CLS, 5, 6, SEP, 18, 19, 20, 21, 22, 23, SEP],
        [CLS, 5, 6, SEP, 22, 23, 24, 25, SEP],
    ]
    assert [row.tolist() for row in encoded.columns["token_type_ids"]] == [[0] * 4 + [1] * count for count in (7, 7, 5)]
    assert encoded.lengths.tolist() == [11, 11, 9]
    encoded = windows(tokenizer, None, question="w1 w2 w3 w4 w5 w6 w7 w8 w9 w1 w2 w3 w4")
    assert encoded.columns["input_ids"][0].tolist()[:6] == [CLS, 5, 6, 7, SEP, 14]
    assert (encoded.truncated_rows, encoded.truncated_tokens) == (1, 10)


def test_windows_know_their_question_and_the_characters_they_cover(tokenizer):
    encoded = windows(tokenizer, answer("w12"), None)
    assert encoded.columns["example"] == [0, 0, 0, 1, 1, 1]
    for ids, spans in zip(encoded.columns["input_ids"], encoded.columns["spans"], strict=True):
        outside = [0, 1, 2, 3, len(ids) - 1]
        assert np.flatnonzero(spans[:, 0] == -1).tolist() == np.flatnonzero(spans[:, 1] == -1).tolist() == outside
        words = [CONTEXT[start:stop] for start, stop in spans[4:-1]]
        assert tokenizer.convert_tokens_to_ids(words) == ids[4:-1].tolist()


def test_an_answer_is_its_first_and_last_token_in_each_window_that_holds_it_whole(tokenizer):
    encoded = windows(tokenizer, answer("w14 w15"), answer("w15 w16"), answer("w21"), Answers((), ()), None)
    assert encoded.labels.reshape(5, 3, 2).tolist() == [
        [[8, 9], [4, 5], [0, 0]],
        [[0, 0], [5, 6], [0, 0]],
        [[0, 0], [0, 0], [7, 7]],
        [[0, 0]] * 3,
        [[UNLABELLED, UNLABELLED]] * 3,
    ]


def test_the_first_of_several_answers_is_trained_on_and_losses_are_counted(tokenizer):
    both = Answers(("w12", "w21"), (CONTEXT.index("w12"), CONTEXT.index("w21")))
    assert windows(tokenizer, both).labels.tolist() == windows(tokenizer, answer("w12")).labels.tolist()
    encoded = windows(tokenizer, answer("w12"), answer("w10 w11 w12 w13 w14 w15 w16"), Answers((), ()), None)
    assert encoded.counts == {"questions": 4, "unanswerable": 1, "lost_answers": 1}


@pytest.mark.parametrize(
    ("spans", "text", "start", "found"),
    [
        ([[0, 5], [6, 9]], "el", 1, (1, 1)),
        ([[0, 5], [6, 9]], "o wo", 4, (1, 2)),
        ([[0, 2], [3, 5], [6, 8]], " w1 ", 2, (2, 2)),
        *(([[3, 5], [6, 8]], text, start, (0, 0)) for text, start in (("w0 w1", 0), ("w2 w3", 6), ("w0", 0), ("w3", 9))),
    ],
)
def test_an_answer_is_the_tokens_that_cover_it_without_blanks_around_it_or_nothing_if_the_window_cuts_it(
    spans, text, start, found
):
    window = np.array([[-1, -1], *spans, [-1, -1]])
    whole = np.array([[-1, -1], [0, 2], [3, 5], [6, 8], [9, 11]])
    assert places([window, whole], Answers((text,), (start,)))[0].tolist() == list(found)


def test_an_answer_that_is_whole_in_no_window_is_not_trained_as_none_and_the_next_one_takes_its_place(tokenizer):
    lost = "w10 w11 w12 w13 w14 w15 w16"
    assert windows(tokenizer, answer(lost)).labels.tolist() == [[UNLABELLED] * 2] * 3
    second = Answers((lost, "w12"), (0, CONTEXT.index("w12")))
    assert windows(tokenizer, second).labels.tolist() == windows(tokenizer, answer("w12")).labels.tolist()


SCRIPTS = [
    *(("मैं {} में", answer) for answer in ("दिल्ली", "हिंदु")),
    ("قال {} الدَّرسَ", "كَتَبَ"),
    *(
        ("the {} opens", answer)
        for answer in ("cafe\u0301", "\u200bparis\u200b", "\u00adparis\u00ad", "paris\u200d", "\ufeffparis")
    ),
    *(
        ("great {} news", answer)
        for answer in ("😀", "👨\u200d👩\u200d👧", "❤\ufe0f", "👍🏽", "½ ㎏", "ﬁne", "ｆｕｌｌ", "Å", "ǆ")
    ),
    *((context, "\u0301cafe") for context in ("the {} opens", "{} opens")),
    *(("我住在{}很高兴", answer) for answer in ("北京市", "北")),
    ("ฉันรัก{}", "เมืองไทย"),
]


@pytest.mark.parametrize("make", TOKENIZERS)
@pytest.mark.parametrize("longest", [14, 90])
def test_answers_of_every_script_are_found_and_read_back_right_though_tokenizers_delete_and_divide(make, longest):
    fast = make()
    contexts = [frame.format(answer) for frame, answer in SCRIPTS]
    answers = np.fromiter((Answers((answer,), (frame.index("{"),)) for frame, answer in SCRIPTS), object)
    rows = Rows(["?"] * len(contexts), contexts, answers, np.arange(len(contexts)))
    encoded = encode_questions(fast, rows, longest)
    found = set()
    for row, spans, label in zip(encoded.columns["example"], encoded.columns["spans"], encoded.labels, strict=True):
        if label[1] > 0:
            start, end = span_of(contexts[row], spans, *label.tolist())
            (wanted,) = answers[row].texts
            assert wanted in contexts[row][start:end] or best_match(contexts[row][start:end], [wanted]) == (1, 1)
            found.add(row)
    assert len(found) == len(contexts) - encoded.counts["lost_answers"]
    assert longest < 90 or len(found) == len(contexts)


def test_an_answer_of_which_nothing_has_a_token_is_lost():
    given = Rows(["?"], ["a \u200d b"], np.fromiter([Answers(("\u200d",), (2,))], object), np.arange(1))
    encoded = encode_questions(TOKENIZERS[0](), given, 20)
    assert (encoded.labels.tolist(), encoded.counts["lost_answers"]) == ([[UNLABELLED] * 2], 1)


@pytest.mark.parametrize("make", TOKENIZERS)
def test_a_long_question_is_cut_between_characters(make):
    fast, given = make(), Rows(["😀" * 20], ["paris 😀"], np.fromiter([None], object), np.arange(1))
    for longest in (8, 9, 10, 11, 12):
        encoded = encode_questions(fast, given, longest, stride=0)
        outside = (encoded.columns["spans"][0][:, 0] < 0).sum()
        assert outside <= longest // 3 + fast.num_special_tokens_to_add(pair=True)


def test_the_stride_is_a_third_unless_given_and_refused_if_it_leaves_nothing_to_move_on_by(tokenizer):
    default, given = (windows(tokenizer, None, max_length=12, stride=stride) for stride in (None, 4))
    np.testing.assert_equal(default.columns["input_ids"], given.columns["input_ids"])
    question = " ".join(["w1"] * 9)
    assert windows(tokenizer, None, question=question, stride=4).lengths.max() == 11
    for stride in (5, 200):
        complaint = rf"stride: {stride} tokens of windows of 11, .*; expected less than 5: lower stride or"
        with pytest.raises(UserError, match=complaint):
            windows(tokenizer, None, question=question, stride=stride)


@pytest.mark.parametrize("longest", [4, 5, 7, 12, 30])
def test_random_answers_are_found_in_some_window_and_read_back(tokenizer, longest):
    rng = random.Random(longest)
    questions, contexts, answers = [], [], []
    for _ in range(40):
        words = [f"w{rng.randrange(40)}" for _ in range(rng.randint(1, 30))]
        first = rng.randrange(len(words))
        text = " ".join(words[first : first + rng.randint(1, 3)])
        questions.append(" ".join(f"w{rng.randrange(40)}" for _ in range(rng.randint(1, 6))))
        contexts.append(" ".join(words))
        answers.append(Answers((text,), (len(" ".join([*words[:first], ""])),)))
    rows = Rows(questions, contexts, np.fromiter(answers, object), np.arange(40))
    if longest == 4:
        with pytest.raises(UserError, match="stride"):
            encode_questions(tokenizer, rows, longest)
        return
    encoded = encode_questions(tokenizer, rows, longest)
    assert encoded.lengths.max() <= longest
    covered: dict[int, set[int]] = {}
    found = set()
    for row, (example, spans) in enumerate(zip(encoded.columns["example"], encoded.columns["spans"], strict=True)):
        covered.setdefault(example, set()).update(spans[spans[:, 0] >= 0, 0].tolist())
        start, stop = encoded.labels[row]
        if stop > 0:
            found.add(example)
            assert contexts[example][spans[start, 0] : spans[stop, 1]] == answers[example].texts[0]
    assert len(found) == 40 - encoded.counts["lost_answers"]
    assert longest < 30 or len(found) == 40
    for example, context in enumerate(contexts):
        starts = {0, *(i + 1 for i, letter in enumerate(context) if letter == " ")}
        assert covered[example] == starts
