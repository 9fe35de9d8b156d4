"""Labels, tags and scores into numbers: what is unknown is refused with its row."""

import math
import re

import numpy as np
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED
from distill.preparation.labels import class_names, label_names, number_labels, number_scores, number_tags, tag_names


def test_given_label_names_win_over_carried_and_derived_ones():
    assert label_names(["b", "a"], ["carried", "too"], ["x", "y"]) == ("x", "y")
    assert label_names(["b", "a"], ["carried", "too"], None) == ("carried", "too")
    assert label_names(["b", "a", None, "b"], None, None) == ("a", "b")
    assert label_names([*range(11)], None, None) == tuple(str(i) for i in range(11))


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        *((labels, "expected at least two classes") for labels in (["a", "a", None], [None], [])),
        ([4, 1, 2], "the labels are the numbers 1, 2, 4, expected 0, 1, …; give their names in `labels`"),
    ],
)
def test_labels_without_names_are_refused(labels, complaint):
    with pytest.raises(UserError, match=complaint):
        label_names(labels, None, None)


@pytest.mark.parametrize(
    "feature",
    [
        '{"names": ["O", "B-x"], "_type": "ClassLabel"}',
        '{"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "_type": "List"}',
        '{"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"}',
        '[{"names": ["O", "B-x"], "_type": "ClassLabel"}]',
    ],
)
def test_class_names_are_those_of_the_column_of_labels_or_lists_of_them_alone(feature):
    plain = pa.table({"text": ["a"], "label": [0]})
    raw = plain.replace_schema_metadata({"huggingface": f'{{"info": {{"features": {{"label": {feature}, "text": {{}}}}}}}}'})
    assert class_names(raw, "label") == ("O", "B-x")
    assert [class_names(raw, "text"), class_names(raw, "absent"), class_names(plain, "label")] == [None] * 3


@pytest.mark.parametrize(
    ("values", "names", "carried", "numbers"),
    [
        (["b", "a", None], ("a", "b"), None, [1, 0, UNLABELLED]),
        ([1, 0, -1], ("neg", "pos"), None, [1, 0, UNLABELLED]),
        ([1, 0, -1], ("neg", "pos"), ("neg", "pos"), [1, 0, UNLABELLED]),
        ([1, 0], ("pos", "neg"), ("neg", "pos"), [0, 1]),
        ([1, 0], ("good", "bad"), ("0", "1"), [1, 0]),
        ([1, 2, 3], ("1", "2", "3"), None, [0, 1, 2]),
        ([0, 1, 2], ("1", "2", "3"), ("1", "2", "3"), [0, 1, 2]),
        ([True, False], ("False", "True"), None, [1, 0]),
        ([-1, 1, None], ("-1", "1"), None, [0, 1, UNLABELLED]),
    ],
)
def test_a_label_is_numbered_by_its_name_or_by_its_place_among_the_sources_names(values, names, carried, numbers):
    assert number_labels(values, names, "here", carried).tolist() == numbers


@pytest.mark.parametrize(
    ("value", "shown"), [("fsh", "'fsh'"), (2, "2"), (-2, "-2"), (True, "True"), (0.0, "0.0"), (math.nan, "nan")]
)
def test_an_unknown_label_is_refused_with_the_row_the_label_and_the_names(value, shown):
    with pytest.raises(UserError, match=f"raw/x: validation: row 1: label {shown} is unknown; expected one of cat, dog"):
        number_labels(["cat", value], ("cat", "dog"), "raw/x: validation")


def test_tags_are_sorted_with_outside_first():
    assert tag_names([["I-a", "B-a"], None, ["O", "B-Z"]], None, None) == ("O", "B-Z", "B-a", "I-a")
    assert tag_names([[1, 0]], ["B-x", "O"], None) == ("B-x", "O")
    assert tag_names([["O"]], None, ["O", "B-y"]) == ("O", "B-y")


@pytest.mark.parametrize(
    ("tags", "complaint"),
    [
        ([["O", "NOUN"]], "the tag 'NOUN' is not of the BIO scheme"),
        ([["O", "B-"]], "the tag 'B-' is not of the BIO scheme"),
        ([["O", "O"], None], "the training split has the labels ['O']; expected at least two classes; see columns.tags"),
        ([None], "the training split has the labels []"),
        ([[0, 1]], "the tag '0' is not of the BIO scheme"),
    ],
)
def test_tags_that_name_no_entities_are_refused(tags, complaint):
    with pytest.raises(UserError, match=f"^{re.escape(complaint)}"):
        tag_names(tags, None, None)


def test_tags_are_numbered_by_name_or_by_place_and_unknown_ones_refused_with_their_row_and_token():
    names = ("O", "B-x")
    assert number_tags([["B-x", "O"], None, ["O", None]], names, "here").tolist() == [[1, 0], None, [0, UNLABELLED]]
    assert number_tags([[1, 0], [-1, -1]], names, "here", names).tolist() == [[1, 0], None]
    with pytest.raises(UserError, match=r"here: row 1: token 2: tag 'B-y' is unknown; expected one of O, B-x \(the training"):
        number_tags([["O"], ["O", "B-x", "B-y"]], names, "here")


def test_scores_are_numbers_and_neither_none_nor_a_split_of_minus_one_has_any():
    scores = number_scores([1, 2.5, None, -1], "here")
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, [1, 2.5, math.nan, -1])
    assert np.isnan(number_scores([-1.0, -1.0], "here")).all()


@pytest.mark.parametrize("value", ["3,5", "high", True, math.nan, math.inf, [1.0]])
def test_a_score_that_is_no_number_is_refused_with_its_row(value):
    with pytest.raises(UserError, match="here: row 1: label .*, expected a finite number, or null for a transfer row"):
        number_scores([0.5, value], "here")


def test_numbers_that_are_written_as_text_are_scores():
    assert number_scores(["3.5", " -1e1 ", "2", None], "here").tolist()[:3] == [3.5, -10.0, 2.0]
