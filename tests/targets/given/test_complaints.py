"""Cells that say nothing, and those that nothing can be read from: what is said of them leads out."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from tests import tiny
from tests.targets.given.test_table import KEY, LABELS, P, answers, shares

NO_ANSWER: dict[str, tuple[list[Any], str, str]] = {
    "score": (["", " ", None, float("nan"), "2.5"], "score", "regression"),
    "embedding": (["", " ", None, "[1.0, 2.0]"], "embedding", "sentence-embedding"),
    "probabilities": (["", " ", None, json.dumps(P)], "probabilities", tiny.TASKS[0]),
    "label": (["", " ", None, "cat"], "label", tiny.TASKS[0]),
    "votes": (["", " ", None, "cat"], "votes", tiny.TASKS[0]),
}


@pytest.mark.parametrize("form", NO_ANSWER)
def test_an_empty_cell_is_no_answer_as_null_is_whatever_the_form(form):
    values, column, task = NO_ANSWER[form]
    table = pa.table({"n": range(len(values)), "p": [None if value != value else value for value in values]})
    if form == "score":
        assert list(answers([{"n": 1, "p": float("nan")}, {"n": 2, "p": 1.0}], {**KEY, "score": "p"}, task=task)) == ["2"]
    assert list(answers(table, {**KEY, column: "p"}, task=task)) == [str(len(values) - 1)]


COMPLAINTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any], str]] = {
    "another label": ([{"n": 1, "p": {"cats": 1.0}}], {"probabilities": "p"}, {}, r"row 0: .*'cats'.* did you mean 'cat'"),
    "a sum": ([{"n": 1, "p": P}, {"n": 2, "p": {**P, "cat": 0.1}}], {"probabilities": "p"}, {}, "row 1: .*sum is 0.4"),
    "NaN": ([{"n": 1, "p": {**P, "cat": float("nan")}}], {"probabilities": "p"}, {}, "row 0: .*nan, expected a finite number"),
    "text": ([{"n": 1, "p": {"cat": "much"}}], {"probabilities": "p"}, {}, "row 0: .*'much', expected a number"),
    "below 0": ([{"n": 1, "p": {"cat": -0.2}}], {"probabilities": "p"}, {}, "row 0: .*probability -0.2, expected 0 to 1"),
    "a list": ([{"n": 1, "p": [0.7, 0.2, 0.1]}], {"probabilities": "p"}, {}, r"row 0: .*labels: \[cat, dog, fish\]"),
    "a short list": ([{"n": 1, "p": [0.7, 0.3]}], {"probabilities": "p"}, {"labels": LABELS}, "row 0: .*2 numbers, expected 3"),
    "no key": ([{"n": None, "p": P}], {"probabilities": "p"}, {}, "row 0: column 'n' has no id"),
    "two answers": (
        [{"n": 1, "p": P}, {"n": 1, "p": {"cat": 1.0}}],
        {"probabilities": "p"},
        {},
        "row 1: has another answer than data/raw/api: train: row 0 under the same id",
    ),
    "two labels": (
        [{"n": 1, "p": "cat"}, {"n": 1, "p": "dog"}],
        {"label": "p"},
        {},
        "row 1: .* if rows are votes, name the column in columns.votes",
    ),
    "no column": ([{"n": 1, "p": P}], {"probabilities": "q"}, {}, "no column 'q' for columns.probabilities"),
    "no such label": ([{"n": 1, "p": P}], {"probabilities": "p"}, {"labels": {"x": "cow"}}, "labels: 'cow' is no label"),
    "a label twice in a vote": (
        [{"n": 1, "p": ["cat", "dog", "cat"]}],
        {"votes": "p"},
        {"task": "multi-label"},
        r"row 0: .*a label twice in one vote, .*: \[\[\"cat\"\], \[\"dog\"\], \[\"cat\"\]\]",
    ),
    "a score beyond float32": (
        [{"n": 1, "p": 1e39}],
        {"score": "p"},
        {"task": "regression"},
        r"row 0: .*1e\+39, .*at most 3.4e\+38",
    ),
    "a whole score beyond any float": (
        [{"n": 1, "p": f"1{'0' * 400}"}],
        {"score": "p"},
        {"task": "regression"},
        "row 0: .*at most",
    ),
    "logits beyond float32": ([{"n": 1, "p": {**P, "cat": -1e39}}], {"logits": "p"}, {}, "row 0: .*at most 3.4e"),
    "logits beyond float32 by the temperature": (
        [{"n": 1, "p": {**P, "cat": 1e38}}],
        {"logits": "p"},
        {"temperature": 0.1},
        "row 0: its logits over the temperature .*; give a higher temperature",
    ),
    "a vector beyond float32": (
        [{"n": 1, "p": [1e39, 1.0]}],
        {"embedding": "p"},
        {"task": "sentence-embedding"},
        "row 0: .*at most",
    ),
    "a number of Python alone": ([{"n": 1, "p": "1_5"}], {"score": "p"}, {"task": "regression"}, "'1_5', expected a number"),
    "nothing among labels": (
        [{"n": 1, "p": ["cat", None]}],
        {"label": "p"},
        {"task": "multi-label"},
        "holds None among its labels",
    ),
    "a blank among votes": (
        [{"n": 1, "p": [["cat", " "]]}],
        {"votes": "p"},
        {"task": "multi-label"},
        "holds ' ' among its labels",
    ),
    **{
        f"votes in one text, {text}": (
            [{"n": 1, "p": text}],
            {"votes": "p"},
            {},
            r'several labels in one; write a list, \["cat", "dog"\]',
        )
        for text in ("cat,dog,cat", "cat; dog", "['cat','dog']", "['cat']", '{"cat": 3, "dog": 1}')
    },
    "an incomplete order": ([{"n": 1, "p": P}], {"probabilities": "p"}, {"labels": ("cat", "dog")}, "'fish' is not there"),
}


@pytest.mark.parametrize("case", COMPLAINTS)
def test_what_no_answer_can_be_read_from_is_refused_with_its_row(case):
    rows, columns, more, complaint = COMPLAINTS[case]
    with pytest.raises(UserError, match=complaint):
        answers(rows, {**KEY, **columns}, **more)


def test_the_advice_of_each_error_leads_out():
    with pytest.raises(UserError, match=r"labels: \{cats: NAME\}"):
        answers([{"n": 1, "p": {"cats": 1.0}}], {**KEY, "probabilities": "p"})
    answers([{"n": 1, "p": {"cats": 1.0}}], {**KEY, "probabilities": "p"}, labels={"cats": "cat"})
    answers([{"n": 1, "p": [0.7, 0.2, 0.1]}], {**KEY, "probabilities": "p"}, labels=("cat", "dog", "fish"))
    for odd, name in ((0.0, '"0"'), ("Cat ", "Cat"), (True, '"true"')):
        with pytest.raises(UserError, match=rf"name it: labels: \{{{name}: NAME\}}"):
            answers([{"n": 1, "p": odd}], {**KEY, "label": "p"})
        found = answers([{"n": 1, "p": odd}], {**KEY, "label": "p"}, labels={name.strip('"'): "dog"})
        np.testing.assert_allclose(shares(found["1"]), [[0, 1, 0]], atol=1e-9)
    for blank in ("Cat ", " Cat"):
        assert list(answers([{"n": 1, "p": "Cat"}], {**KEY, "label": "p"}, labels={blank: "cat"})) == ["1"]
    nested = answers(
        [{"n": 1, "p": '[["cat"], ["dog"], ["cat"]]'}], {**KEY, "votes": "p"}, task="multi-label", votes={"prior": 0.0}
    )
    np.testing.assert_allclose(1 / (1 + np.exp(-nested["1"])), [[2 / 3, 1 / 3, 0]], atol=1e-9)
    found = answers([{"n": 1, "p": "cat"}, {"n": 1, "p": "dog"}], {**KEY, "votes": "p"}, votes={"prior": 0.0})
    np.testing.assert_allclose(shares(found["1"]), [[0.5, 0.5, 0]], atol=1e-9)
