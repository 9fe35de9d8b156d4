"""Labels, tags and scores into numbers: what is unknown is refused with its row."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.errors import UserError
from distill.labels import class_names, label_names, number_labels, number_scores, number_tags, tag_names
from distill.prepared import UNLABELLED


def table(**columns: list[Any]) -> pa.Table:
    return pa.table(columns)


def test_given_label_names_win_over_carried_and_derived_ones():
    assert label_names(["b", "a"], ["carried", "too"], ["x", "y"]) == ("x", "y")
    assert label_names(["b", "a"], ["carried", "too"], None) == ("carried", "too")
    assert label_names(["b", "a", None, "b"], None, None) == ("a", "b")


def test_numbers_as_labels_are_ordered_as_numbers():
    assert label_names([*range(11)], None, None) == tuple(str(i) for i in range(11))


def test_numbers_with_a_gap_are_refused_until_they_are_named():
    with pytest.raises(UserError, match="the labels are the numbers 1, 2, 4, expected 0, 1, …; give their names in `labels`"):
        label_names([4, 1, 2], None, None)


@pytest.mark.parametrize("labels", [["a", "a", None], [None], []])
def test_fewer_than_two_classes_are_refused(labels: list[Any]):
    with pytest.raises(UserError, match="expected at least two classes"):
        label_names(labels, None, None)


def test_class_names_are_those_of_the_label_column_alone():
    metadata = {"huggingface": '{"info": {"features": {"label": {"names": ["n", "p"], "_type": "ClassLabel"}, "text": {}}}}'}
    raw = table(text=["a"], label=[0]).replace_schema_metadata(metadata)
    assert class_names(raw, "label") == ("n", "p")
    assert class_names(raw, "text") is None
    assert class_names(raw, "absent") is None
    assert class_names(table(text=["a"]), "label") is None


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
    ],
)
def test_a_label_is_numbered_by_its_name_or_by_its_place_among_the_sources_names(
    values: list[Any], names: tuple[str, ...], carried: tuple[str, ...] | None, numbers: list[int]
):
    assert number_labels(values, names, "here", carried).tolist() == numbers


@pytest.mark.parametrize(("value", "shown"), [("fsh", "'fsh'"), (2, "2"), (-2, "-2"), (True, "True"), (0.0, "0.0")])
def test_an_unknown_label_is_refused_with_the_row_the_label_and_the_names(value: Any, shown: str):
    with pytest.raises(UserError, match=r"raw/x: validation: row 1: label .* is unknown; expected one of cat, dog") as caught:
        number_labels(["cat", value], ("cat", "dog"), "raw/x: validation")
    assert f"label {shown} " in str(caught.value)


@pytest.mark.parametrize(
    "feature",
    [
        '{"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "_type": "List"}',
        '{"feature": {"names": ["O", "B-x"], "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"}',
        '[{"names": ["O", "B-x"], "_type": "ClassLabel"}]',
    ],
)
def test_tag_names_are_carried_by_a_list_of_class_labels(feature: str):
    metadata = {"huggingface": f'{{"info": {{"features": {{"ner_tags": {feature}}}}}}}'}
    assert class_names(table(ner_tags=[[0]]).replace_schema_metadata(metadata), "ner_tags") == ("O", "B-x")


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
def test_tags_that_name_no_entities_are_refused(tags: list[Any], complaint: str):
    with pytest.raises(UserError) as caught:
        tag_names(tags, None, None)
    assert str(caught.value).startswith(complaint)


def test_tags_are_numbered_by_name_or_by_place():
    names = ("O", "B-x")
    assert number_tags([["B-x", "O"], None, ["O", None]], names, "here").tolist() == [[1, 0], None, [0, UNLABELLED]]
    assert number_tags([[1, 0], [-1, -1]], names, "here", names).tolist() == [[1, 0], None]


def test_an_unknown_tag_is_refused_with_its_row_and_token():
    with pytest.raises(
        UserError, match=r"here: row 1: token 2: tag 'B-y' is unknown; expected one of O, B-x \(the training rows"
    ):
        number_tags([["O"], ["O", "B-x", "B-y"]], ("O", "B-x"), "here")


def test_scores_are_numbers_and_none_is_not_a_number():
    scores = number_scores([1, 2.5, None, -1], "here")
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, [1, 2.5, math.nan, -1])


def test_a_split_of_minus_one_alone_has_no_scores():
    assert np.isnan(number_scores([-1.0, -1.0], "here")).all()


@pytest.mark.parametrize("value", ["3", "high", True, math.nan, math.inf, [1.0]])
def test_a_score_that_is_no_number_is_refused_with_its_row(value: Any):
    with pytest.raises(UserError, match="here: row 1: label .*, expected a finite number, or null for a transfer row"):
        number_scores([0.5, value], "here")


def test_a_class_that_is_not_a_number_is_refused():
    with pytest.raises(UserError, match="row 0: label nan is unknown"):
        number_labels([math.nan], ("a", "b"), "here")


def test_minus_one_is_a_label_where_it_is_named():
    assert number_labels([-1, 1, None], ("-1", "1"), "here").tolist() == [0, 1, UNLABELLED]
