"""Raw tables into rows: mistakes name the split, the row and what was expected; splits are cut fairly and repeatably."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.data import (
    Rows,
    class_names,
    cut_splits,
    label_names,
    limit_rows,
    map_columns,
    number_labels,
    read_raw,
    require_labels,
)
from distill.errors import UserError
from distill.prepared import UNLABELLED

PLAN: dict[str, Any] = {"train": "train", "validation": None, "test": None}


def table(**columns: list[Any]) -> pa.Table:
    return pa.table(columns)


def some_rows(labels: list[int], name: str = "") -> Rows:
    """Rows whose text says where they were."""
    return Rows([f"{name}{i}" for i in range(len(labels))], None, np.array(labels, np.int64), np.arange(len(labels)))


def test_columns_are_taken_by_the_names_that_are_given():
    raw = table(body=["one", "two"], reply=["1", "2"], kind=["x", None], key=[7, 8])
    assert map_columns(raw, "here", "body", "reply", "kind", "key") == (["one", "two"], ["1", "2"], ["x", None])


def test_an_empty_label_in_a_csv_file_makes_a_transfer_row_as_null_does():
    assert map_columns(table(text=["a", "b", "c"], label=["x", "", None]), "here", "text", None, "label", None)[2] == [
        "x",
        None,
        None,
    ]


def test_a_table_without_the_usual_label_column_is_all_transfer_rows():
    assert map_columns(table(text=["a", "b"]), "here", "text", None, "label", None)[2] == [None, None]


@pytest.mark.parametrize(
    ("text", "pair", "label", "identity", "complaint"),
    [
        ("txt", None, "label", None, "here: no column 'txt' for columns.text; did you mean 'text'?"),
        ("text", "replies", "label", None, "here: no column 'replies' for columns.text_pair; did you mean 'reply'?"),
        ("text", None, "lable", None, "here: no column 'lable' for columns.label; did you mean 'label'?"),
        ("text", None, "label", "zzz", "here: no column 'zzz' for columns.id; expected one of: label, reply, text"),
    ],
)
def test_a_missing_column_is_refused_with_the_setting_and_the_nearest_column(
    text: str, pair: str | None, label: str, identity: str | None, complaint: str
):
    with pytest.raises(UserError) as caught:
        map_columns(table(text=["a"], reply=["b"], label=["c"]), "here", text, pair, label, identity)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (["a", ""], "here: row 1: column 'text' is empty"),
        (["a", " \n\t"], "here: row 1: column 'text' is empty"),
        ([None, "a"], "here: row 0: column 'text' holds None, expected text"),
        ([3, 4], "here: row 0: column 'text' holds 3, expected text"),
        ([["a"], ["b"]], "here: row 0: column 'text' holds ['a'], expected text"),
    ],
)
def test_a_row_without_text_is_refused_with_its_number(values: list[Any], complaint: str):
    with pytest.raises(UserError) as caught:
        map_columns(table(text=values), "here", "text", None, "label", None)
    assert str(caught.value).startswith(complaint)


def test_an_empty_second_text_is_refused_too():
    with pytest.raises(UserError, match="here: row 0: column 'reply' is empty"):
        map_columns(table(text=["a"], reply=[""]), "here", "text", "reply", "label", None)


def test_a_row_of_several_labels_is_refused():
    with pytest.raises(UserError, match=r"here: row 0: column 'label' holds \[1, 2\], expected one label a row"):
        map_columns(table(text=["a"], label=[[1, 2]]), "here", "text", None, "label", None)


def test_a_repeated_id_is_refused_with_both_rows():
    with pytest.raises(UserError, match=r"here: rows 0 and 2 have the same key, 'x'; ids must be unique"):
        map_columns(table(text=["a", "b", "c"], key=["x", "y", "x"]), "here", "text", None, "label", "key")


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


def test_the_sources_own_splits_are_taken_whole():
    tables = {name: some_rows([0, 1, 0], name) for name in ("train", "validation", "test", "unused")}
    cut = cut_splits(tables, PLAN, 1)
    assert {split: rows.texts for split, rows in cut.items()} == {s: tables[s].texts for s in ("train", "validation", "test")}


def test_splits_may_have_other_names_at_the_source():
    tables = {"big": some_rows([0, 1], "big"), "dev": some_rows([0], "dev"), "heldout": some_rows([1], "heldout")}
    cut = cut_splits(tables, {"train": "big", "validation": "dev", "test": "heldout"}, 1)
    assert [cut[split].texts[0] for split in ("train", "validation", "test")] == ["big0", "dev0", "heldout0"]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_that_the_source_lacks_is_refused_with_those_it_has(split: str):
    with pytest.raises(UserError, match=rf"splits.{split}: the source has no 'tset'; it has train, test"):
        cut_splits({"train": some_rows([0, 1]), "test": some_rows([0])}, PLAN | {split: "tset"}, 1)


def test_a_split_without_rows_is_refused():
    with pytest.raises(UserError, match="splits.test: has no rows"):
        cut_splits({"train": some_rows([0, 1] * 20), "test": some_rows([])}, PLAN, 1)


def test_splits_that_are_not_given_are_a_tenth_of_the_training_rows_each():
    cut = cut_splits({"train": some_rows([0, 1] * 100)}, PLAN, 1)
    assert {split: len(rows) for split, rows in cut.items()} == {"train": 160, "validation": 20, "test": 20}


def test_fractions_are_of_all_training_rows_and_leave_every_row_in_one_split():
    rows = some_rows([0] * 60 + [1] * 30 + [2] * 10)
    cut = cut_splits({"train": rows}, PLAN | {"validation": 0.1, "test": 0.3}, 1)
    assert {split: len(part) for split, part in cut.items()} == {"train": 60, "validation": 10, "test": 30}
    assert sorted(text for part in cut.values() for text in part.texts) == sorted(rows.texts)
    for part in cut.values():
        assert part.texts == [str(number) for number in sorted(part.numbers)]
        assert [int(rows.labels[int(text)]) for text in part.texts] == part.labels.tolist()


def test_every_split_has_each_labels_share():
    rows = some_rows([0] * 600 + [1] * 300 + [2] * 100)
    for part in cut_splits({"train": rows}, PLAN | {"validation": 0.1, "test": 0.2}, 3).values():
        shares = np.bincount(part.labels) / len(part)
        np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=1 / len(part))


def test_the_seed_alone_decides_the_cut():
    def held_out(seed: int) -> list[str]:
        return cut_splits({"train": some_rows([0, 1] * 100)}, PLAN, seed)["test"].texts

    assert held_out(1) == held_out(1)
    assert held_out(1) != held_out(2)


def test_transfer_rows_stay_in_the_training_split():
    labels = [0, 1] * 50 + [UNLABELLED] * 40
    cut = cut_splits({"train": some_rows(labels)}, PLAN, 1)
    assert {split: int((part.labels == UNLABELLED).sum()) for split, part in cut.items()} == {
        "train": 40,
        "validation": 0,
        "test": 0,
    }
    assert len(cut["test"]) == 10


def test_a_class_with_one_example_cannot_be_cut():
    with pytest.raises(UserError, match="splits.validation: the class of row 50 has one example, which cannot be in two splits"):
        cut_splits({"train": some_rows([0] * 50 + [1])}, PLAN, 1)


def test_a_fraction_too_small_for_every_class_is_refused():
    with pytest.raises(UserError, match="splits.validation: 1 of 20 rows cannot hold each of 2 classes; change the fraction"):
        cut_splits({"train": some_rows([0, 1] * 10)}, PLAN | {"validation": 0.05}, 1)


def test_a_split_that_is_scored_may_not_have_rows_without_a_label():
    rows = some_rows([0, UNLABELLED, 1, UNLABELLED]).take(np.array([2, 3, 1]))
    with pytest.raises(UserError, match=r"raw/x: test: row 3: has no label \(2 rows have none\), and this split is scored"):
        require_labels(rows, "raw/x: test")
    require_labels(some_rows([0, 1]), "raw/x: test")


@pytest.mark.parametrize("most", [None, 8, 9])
def test_a_limit_that_is_not_reached_takes_nothing_away(most: int | None):
    rows = some_rows([0, 1] * 4)
    assert limit_rows(rows, most, 1) is rows


@pytest.mark.parametrize("most", [3, 10, 50, 97, 99])
def test_a_limit_keeps_the_order_and_each_labels_share(most: int):
    labels = [0, 0, 1, 0, 0, 1, UNLABELLED, 0, 0, 1] * 10
    kept = limit_rows(some_rows(labels), most, 1)
    assert len(kept) == most
    assert kept.numbers.tolist() == sorted(set(kept.numbers.tolist()))
    assert [labels[number] for number in kept.numbers] == kept.labels.tolist()
    counts = Counter(kept.labels.tolist())
    for label, share in ((0, 0.6), (1, 0.3), (UNLABELLED, 0.1)):
        assert counts[label] >= 1
        assert abs(counts[label] - share * most) <= 2


def test_a_limit_takes_rows_of_a_class_with_one_example():
    assert len(limit_rows(some_rows([0] * 9 + [1]), 5, 1)) == 5


def test_the_seed_alone_decides_what_a_limit_keeps():
    rows = some_rows([0, 1] * 50)
    assert limit_rows(rows, 20, 1).texts == limit_rows(rows, 20, 1).texts
    assert limit_rows(rows, 20, 1).texts != limit_rows(rows, 20, 2).texts


def test_pairs_are_taken_together():
    rows = Rows(["a", "b", "c"], ["x", "y", "z"], np.array([0, 1, 0]), np.arange(3))
    taken = rows.take(np.array([2, 0]))
    assert (taken.texts, taken.texts_pair, taken.labels.tolist(), taken.numbers.tolist()) == (
        ["c", "a"],
        ["z", "x"],
        [0, 0],
        [2, 0],
    )


def test_a_missing_raw_folder_is_refused_with_how_to_get_it(tmp_path: Path):
    with pytest.raises(UserError, match=r"raw/own: no such folder; add 'own' to `sources`, or put it there with `dvc add`"):
        read_raw(tmp_path / "raw" / "own")
