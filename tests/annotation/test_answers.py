"""Answers are read strictly, and probabilities of tokens become those of labels."""

import json
import math
from typing import Any

import pytest

from distill.annotation.answers import distribution, vote_of
from distill.annotation.forms import Form
from tests.annotation.server import said, token

LABELS = ("not", "nothing", "positive", "negative")
ONE, SEVERAL = Form(LABELS), Form(LABELS, several=True)


def response(content: str | None, logprobs: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    return dict(json.loads(said(content, logprobs, **more)[1] or b""))


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ('{"label": "not"}', "not"),
        ('```json\n{"label": "not"}\n```', "not"),
        ('{"label": " not "}', "not"),
        ('"not"', "not"),
        ("not\n", "not"),
    ],
)
def test_a_label_is_read(content: str, label: str) -> None:
    assert vote_of(response(content), ONE) == (label, "")


@pytest.mark.parametrize(
    ("content", "more", "why"),
    [
        ('{"label": "neutral"}', {}, "label outside the set"),
        ('{"label": "NOT"}', {}, "label outside the set"),
        ('{"label": ["not"]}', {}, "label outside the set"),
        ('{"other": "not"}', {}, "label outside the set"),
        ("[1, 2]", {}, "label outside the set"),
        ("I think it is not", {}, "no JSON, and no label"),
        ('{"label": "no', {"finish_reason": "length"}, "answer cut at max_tokens"),
        ("", {}, "empty answer"),
        (None, {}, "empty answer"),
        (None, {"message": {"content": None, "refusal": "I cannot"}}, "refused to answer"),
        ("[" * 100_000, {}, "no JSON, and no label"),
    ],
)
def test_what_names_no_label_says_why(content: str | None, more: dict[str, Any], why: str) -> None:
    assert vote_of(response(content, **more), ONE) == (None, why)


def test_numbers_and_truth_values_are_labels_as_they_are_written() -> None:
    assert vote_of(response('{"label": 3}'), Form(("1", "3"))) == ("3", "")
    assert vote_of(response('{"label": true}'), Form(("true", "false"))) == ("true", "")


@pytest.mark.parametrize(
    ("content", "vote", "why"),
    [
        ('{"labels": ["positive", "not"]}', ("not", "positive"), ""),
        ('["not", " not "]', ("not",), ""),
        ('{"labels": []}', (), ""),
        ('```json\n{"labels": ["nothing"]}\n```', ("nothing",), ""),
        ('{"labels": ["not", "neutral"]}', None, "label outside the set"),
        ('{"labels": ["not", null]}', None, "label outside the set"),
        ('{"labels": [["not"]]}', None, "label outside the set"),
        ('{"labels": "not"}', None, "no list of labels"),
        ('{"label": ["not"]}', None, "no list of labels"),
        ('"not"', None, "no list of labels"),
        ("not", None, "no JSON, and no label"),
        ("not, nothing", None, "no JSON, and no label"),
    ],
)
def test_all_labels_that_apply_are_read_in_the_data_sets_order(content: str, vote: tuple[str, ...] | None, why: str) -> None:
    assert vote_of(response(content), SEVERAL) == (vote, why)


@pytest.mark.parametrize(("form", "vote"), [(ONE, "not"), (SEVERAL, ("not", "positive")), (SEVERAL, ())])
def test_what_examples_show_is_what_is_read(form: Form, vote: str | tuple[str, ...]) -> None:
    assert vote_of(response(form.example_answer(vote)), form) == (vote, "")


def test_the_label_is_followed_over_several_tokens() -> None:
    tokens = [
        token('{"label":', -0.5),
        token(' "', -0.1),
        token("not", -0.2, neg=-2.0, n=-5.0, positive=-4.0, xyz=-6.0),
        token("hing", -0.7, **{'"': -1.0, "hin": -9.0}),
        token('"}', -0.01, s=-7.0),
    ]
    found = distribution(response('{"label": "nothing"}', tokens), "nothing", LABELS)
    assert found == pytest.approx({"nothing": -0.2 - 0.7 - 0.01, "negative": -2.0, "positive": -4.0, "not": -0.2 - 1.0}), (
        "what comes before the label is its form, `n` may be several labels, `xyz` none"
    )
    assert sum(map(math.exp, (found or {}).values())) <= 1 + 1e-9


def test_tokens_that_begin_before_the_label() -> None:
    tokens = [token('{"label"', 0.0), token(': "pos', -0.5, **{': "neg': -1.0, ': "po': -3.0, ":": -2.0}), token('itive"}', 0.0)]
    found = distribution(response('{"label": "positive"}', tokens), "positive", LABELS)
    assert found == pytest.approx({"positive": -0.5, "negative": -1.0})


def test_an_answer_without_json() -> None:
    tokens = [token(" positive", -0.3, **{" negative": -1.4, "negative": -5.0})]
    found = distribution(response(" positive", tokens), "positive", LABELS)
    assert found == pytest.approx({"positive": -0.3, "negative": -1.4})


@pytest.mark.parametrize("tokens", [None, [], [token("something else", -1.0)], [{"token": "x"}]])
def test_no_distribution_where_the_tokens_do_not_tell(tokens: list[dict[str, Any]] | None) -> None:
    assert distribution(response('{"label": "positive"}', tokens), "positive", LABELS) is None
    assert distribution({"choices": []}, "positive", LABELS) is None


def test_probabilities_that_are_no_numbers_are_left_out() -> None:
    tokens = [token('{"label": "', 0.0), token("positive", -0.1, negative=-math.inf), token('"}', 0.0)]
    assert distribution(response('{"label": "positive"}', tokens), "positive", LABELS) == pytest.approx({"positive": -0.1})
