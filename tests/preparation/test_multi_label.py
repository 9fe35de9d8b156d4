"""Several labels a row: as lists or as columns of 0 and 1, in splits that keep the share of each."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.rows import Rows
from distill.preparation.prepare import make_rows
from distill.preparation.stratification import sample_by_labels
from tests import tiny

ROWS = [["b", "a"], [], None, ["c"]]
NUMBERS = [[1, 1, 0], [0, 0, 0], [UNLABELLED] * 3, [0, 0, 1]]
ABC = {"labels": ("a", "b", "c")}
CARRIED = {"huggingface": '{"info": {"features": {"label": {"feature": {"names": ["c", "a", "b"]}}}}}'}


def make(train: pa.Table, **how: Any) -> tuple[dict[str, Rows], tuple[str, ...]]:
    known = [value not in (None, -1) for value in train.column(1).to_pylist()]
    labelled = train.filter(pa.array(known))
    tables = {"train": train, "validation": labelled, "test": labelled}
    return make_rows(tables, "data/raw/x", tiny.settings("multi-label", **how))


def table(**columns: list[Any]) -> pa.Table:
    return pa.table({"text": [f"w{i}" for i in range(len(next(iter(columns.values()))))], **columns})


def marked(*values: list[Any]) -> pa.Table:
    return table(**dict(zip("abc", values, strict=True)))


@pytest.mark.parametrize(
    ("train", "how"),
    [
        (table(label=ROWS), {}),
        (table(label=ROWS), ABC),
        (table(kinds=ROWS), {"columns": {"label": "kinds"}}),
        (table(label=[[2, 1], [], None, [0]]).replace_schema_metadata(CARRIED), ABC),
        (marked([1, 0, None, 0], [1, 0, None, 0], [0, 0, None, 1]), {"columns": ABC}),
        (marked([True, False, None, False], ["1", "0", "", "0"], [0.0, 0.0, None, 1.0]), {"columns": ABC}),
        (marked(["1.0", "0.0", None, "0.0"], ["1", "0", "", "0"], ["0", "0", "", "1.0"]), {"columns": ABC}),
        (marked(["True", "false", None, "0"], ["1", "0", None, "0"], ["0", "0", None, " 1"]), {"columns": ABC}),
        (marked([1, 0, -1, 0], [1, 0, -1, 0], [0, 0, -1, 1]), {"columns": ABC, "unlabelled": ("-1",)}),
        (table(kinds=[["y", "x"], [], None, ["c"]]), {"columns": {"label": "kinds"}, "labels": ({"x": "a"}, {"y": "b"}, "c")}),
    ],
)  # fmt: skip
def test_labels_are_lists_of_names_or_columns_and_a_row_without_any_is_labelled(train, how):
    rows, names = make(train, **how)
    assert names == ("a", "b", "c")
    assert rows["train"].labels.tolist() == NUMBERS
    assert rows["train"].labelled.tolist() == [True, True, False, True]
    assert rows["test"].labels.tolist() == [NUMBERS[i] for i in (0, 1, 3)]


@pytest.mark.parametrize(
    ("train", "how", "complaint"),
    [
        (table(label=["a", "b"]), {}, "train: row 0: column 'label' holds 'a', expected a list of labels"),
        (table(label=[["a"], ["b", None]]), {}, "train: row 1: column 'label' holds ['b', None], expected a list"),
        (
            table(label=[["a"], [""]]),
            {},
            "train: row 1: column 'label' holds [''], expected a list of labels without null or empty",
        ),
        (
            table(label=[["a"], ["b", " "]]),
            {},
            "train: row 1: column 'label' holds ['b', ' '], expected a list of labels without",
        ),
        (table(label=["['a']", "[]"]), {}, "columns.labels; it is the text of one: CSV holds text"),
        (
            table(label=[[["0", "3", "PER"]], []]),
            {},
            "train: row 0: label ['0', '3', 'PER'] is a list, expected text or a number",
        ),
        (table(label=[[{"start": 0}], []]), {}, "train: row 0: label {'start': 0} is a record, expected text or a number; spans"),
        (table(label=[["a", "['b', 'c']"], []]), {}, "row 0: label \"['b', 'c']\" looks like a list or record"),
        (table(label=[["a", "b"], ["d"]]), {"labels": ("a", "b")}, "train: row 1: "),
        (table(label=[[0, 1], [1, 1]]), {}, "train: row 1: column 'label' holds [1, 1], which looks like 0 or 1 for each label"),
        (table(label=[[0.0, 1.0, 0.0], [], None]), {}, "train: row 0: column 'label' holds [0.0, 1.0, 0.0], which looks like"),
        (table(label=[["1", "-1", "1"], ["0", "0", "1"]]), {"unlabelled": ("-1",)}, "train: row 0: column 'label' holds"),
        (table(label=[[0, 1], [1, 0]]), {}, "train: row 0: column 'label' holds [0, 1], which looks like 0 or 1 for each label"),
        (table(label=[[0, 1], [2, -1]]), {}, "train: row 1: column 'label' holds [2, -1], in which -1 is taken for no label"),
        (table(label=[["0", "5"], ["2", "-1"]]), {"unlabelled": ("-1",)}, "row 1: column 'label' holds ['2', '-1'], in which -1"),
        (table(label=[[0.0, 1.0], [0.5, 1.0]]), {}, "holds [0.5, 1.0], in which 0.5 is no label; probabilities are answers of a"),
        (marked([1, 0], [1, 2], [0, 1]), {"columns": ABC}, "row 1: column 'b' holds 2, expected 0 or 1"),
        (marked([1, 0], [1, None], [0, 1]), {"columns": ABC}, "row 1: column 'b' holds None"),
        (marked([1, 0], [1, 0], [0, 1]), {"columns": {"labels": ("a", "d")}}, "no column 'd' for columns.labels"),
        (
            marked([1, 0], [1, 0], [0, 1]),
            {"columns": {"labels": ("a", "b")}, "labels": ("a", "c")},
            "labels: a, c are not the names of columns.labels",
        ),
    ],
)
def test_what_is_no_label_is_refused_with_its_row(train, how, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)):
        make(train, **how)


def test_bad_rows_are_left_out_on_request_and_labels_may_be_few():
    train = marked([1, 0, 5, 0, 1], [1, 0, 0, 0, 0], [0, 1, 1, 1, None])
    columns = {"columns": ABC, "bad_rows": "drop"}
    rows, _ = make(train, **columns)
    assert rows["train"].labels.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 1]]
    assert list(rows["train"].dropped) == [2, 4]
    rows, _ = make(train, **columns, labelled=2)
    assert rows["train"].labelled.sum() == 2
    rows, _ = make(table(label=[["a"], ["b", None], ["a", "b"]]), bad_rows="drop")
    assert rows["train"].labels.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("lists", [[[0], [1], [0, 1]], [[0], [1], [1]], [[2, 2], [0, 1], [1]], [["a", "a"], ["b"], []]])
def test_numbers_may_be_labels_and_one_that_recurs_in_a_row_is_one(lists):
    rows, names = make(table(label=lists))
    expected = [[int(name in map(str, labels)) for name in names] for labels in lists]
    assert rows["train"].labels.tolist() == expected


def test_minus_one_may_be_a_label_that_is_named():
    rows, names = make(table(label=[[0, -1], [2]]), labels={"-1": "worse"})
    assert (names, rows["train"].labels.tolist()) == (("worse", "0", "2"), [[1, 1, 0], [0, 0, 1]])
    rows, names = make(table(label=[[0, 1], [0, 1]]))
    assert (names, rows["train"].labels.tolist()) == (("0", "1"), [[1, 1], [1, 1]])


def test_lists_of_0_and_1_are_read_as_the_advice_says():
    with pytest.raises(UserError, match="columns.labels"):
        make(table(label=[[1, 1, 0], [0, 0, 1]]))
    assert make(marked([1, 0], [1, 0], [0, 1]), columns=ABC)[0]["train"].labels.tolist() == [[1, 1, 0], [0, 0, 1]]
    assert make(table(label=[["a", "b"], ["c"]]))[0]["train"].labels.tolist() == [[1, 1, 0], [0, 0, 1]]


def test_a_column_of_labels_takes_the_place_of_a_list():
    with pytest.raises(ValueError, match="columns.labels: stands in place of columns.label; remove one"):
        tiny.settings("multi-label", columns={"labels": ("a", "b"), "label": "kind"})


def test_each_label_keeps_its_share_and_one_of_a_single_row_is_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    shares = {"often": 0.5, "seldom": 0.1, "rare": 0.02}
    labels = [[name for name, share in shares.items() if rng.random() < share] for _ in range(1000)]
    labels[7] = ["single"]
    texts = [f"w{i % 40} w{i // 40} w{i % 7}" for i in range(950)]
    train = pa.table({"text": [*texts, *texts[:50]], "label": labels})
    settings = tiny.settings("multi-label", splits={"validation": 0.2, "test": 0.1}, limit={"train": 100})
    rows, names = make_rows({"train": train}, "x", settings)
    counts = {split: dict(zip(names, (part.labels == 1).sum(axis=0).tolist(), strict=True)) for split, part in rows.items()}
    all_of = {name: sum(name in row for row in labels) for name in names}
    assert counts["validation"]["single"] == counts["test"]["single"] == 0
    for split, share in {"validation": 0.2, "test": 0.1, "train": 0.1}.items():
        assert all(abs(counts[split][name] - share * all_of[name]) <= 3 + 0.1 * share * all_of[name] for name in shares)
    whole, _ = make_rows({"train": train}, "x", settings.model_copy(update={"limit": tiny.settings().limit}))
    assert sum(len({*part.texts}) for part in whole.values()) == 950, "the same text is in one split"
    again, _ = make_rows({"train": train}, "x", settings)
    assert all(again[split].texts == rows[split].texts for split in rows)


@pytest.mark.parametrize(
    ("held", "rows", "fits"),
    [
        ([["rare"]] * 4 + [["b"]] * 3, 40, True),
        ([["a", "b"]] * 3 + [["c"]] * 3, 30, True),
        ([[name] for name in "abcd" * 4], 20, False),
        ([["a", "b"]] * 3 + [["a"]] * 9 + [["single"]], 40, True),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_each_label_that_is_in_as_many_rows_as_there_are_splits_is_in_each_or_said_to_be_absent(held, rows, fits, seed, capsys):
    train = table(label=[*held, *[[]] * (rows - len(held))])
    cut, names = make_rows({"train": train}, "x", tiny.settings("multi-label", seed=seed))
    assert [len(cut[split]) for split in ("validation", "test")] == [rows // 10] * 2
    said, often = capsys.readouterr().err, [place for place, name in enumerate(names) if name != "single"]
    for split, part in cut.items():
        there = (part.labels == 1).any(axis=0)
        assert there[often].all() == (fits or split == "train")
        told = re.search(f"x: {split}: no row has (.*), so its scores tell nothing of such labels; give it more rows", said)
        assert (told[1].split(", ") if told else []) == [names[i] for i in often if not there[i]]


def test_a_sample_has_so_many_rows_and_the_share_of_each_label():
    applies = np.random.default_rng(1).random((200, 6)) < np.array([0.9, 0.5, 0.3, 0.1, 0.05, 0.02])
    chosen = sample_by_labels(applies, 50, 3)
    assert len(set(chosen.tolist())) == 50
    assert np.abs(applies[chosen].sum(axis=0) - applies.sum(axis=0) / 4).max() <= 1
    assert sample_by_labels(applies, 200, 3).tolist() == list(range(200))


def test_labels_are_counted_one_by_one(tmp_path):
    dataset = Dataset.open(tiny.prepare_task(tmp_path / "x", "multi-label"))
    labels = dataset.rows("train").labels
    assert dataset.splits["train"]["rows_a_label"] == dict(zip(dataset.labels, labels.sum(axis=0).tolist(), strict=True))
    assert labels.sum(axis=1).min() == 0
    assert labels.sum(axis=1).max() > 1
