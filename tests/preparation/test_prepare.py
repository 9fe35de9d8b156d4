"""From the raw rows of every task to a prepared data set, with counts that can be checked by hand, and what is refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Regex
from tokenizers.normalizers import Replace

from distill.core.errors import UserError
from distill.core.files import read_json
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.rows import Rows
from distill.data.tokenizers import load_tokenizer
from distill.params.task_specs import TASK_SPECS
from distill.preparation.prepare import chosen_metric, make_rows, write_dataset
from tests import decoders, tiny
from tests.command_line import contents

SPLITS = ("train", "validation", "test")
LABELS = {
    "sequence-classification": (3, "int64", 1),
    "multi-label": (3, "int64", 2),
    "regression": (1, "float32", 1),
    "token-classification": (4, "int64", 1),
    "question-answering": (2, "int64", 2),
    "masked-lm": (45, "int64", 1),
    "sentence-embedding": (0, "float32", 1),
    "ranking": (1, "float32", 1),
    "causal-lm": (46, "int64", 1),
}
"""By task: how many classes, and the type and the dimensions of the labels."""


def tables(**splits: tuple[list[str], list[Any]]) -> dict[str, pa.Table]:
    return {split: pa.table({"text": texts, "label": labels}) for split, (texts, labels) in splits.items()}


def raw_tables(task: str) -> dict[str, pa.Table]:
    return {split: tiny.raw(task, 30, seed) for seed, split in enumerate(SPLITS)}


def replaced(table: pa.Table, **columns: list[Any] | None) -> pa.Table:
    """A table with other values in these columns; None drops one."""
    table = table.drop([name for name in columns if name in table.column_names])
    for name, values in columns.items():
        table = table if values is None else table.append_column(name, pa.array(values))
    return table


def make(raw: dict[str, pa.Table], task: str = "sequence-classification", **how: Any) -> tuple[dict[str, Rows], tuple[str, ...]]:
    return make_rows(raw, "data/raw/x", tiny.settings(task, **how))


THREE = tables(
    train=(["w1 w2 w3 w4 w5 w6", "w2", "w3", "w7 w8 w9 w1"], ["b", "a", None, "a"]),
    validation=(["w1 w2", "w2"], ["a", "b"]),
    test=(["W7, w8 w9 w1!"], ["a"]),
)


def test_the_sources_splits_become_numbered_rows_and_others_are_not_looked_at():
    rows, names = make(THREE | tables(unsupervised=(["", ""], ["?", "?"])))
    assert (list(rows), names, rows["test"].texts) == (list(SPLITS), ("a", "b"), ["W7, w8 w9 w1!"])
    assert [rows[split].labels.tolist() for split in ("train", "validation")] == [[1, 0, UNLABELLED, 0], [0, 1]]
    with pytest.raises(UserError, match="splits.train: the source has no 'trian'; it has train, validation, test"):
        make(THREE, splits={"train": "trian"})


def test_pairs_are_made_of_two_columns_and_are_duplicates_if_both_texts_are(tmp_path, tokenizer):
    settings = tiny.settings(columns={"text": "q", "text_pair": "a", "label": "kind"}, max_length=6)
    raw = {split: pa.table({"q": ["w1", "w2 w3"], "a": ["w4 w5", "w6"], "kind": ["n", "y"]}) for split in SPLITS}
    raw["validation"] = replaced(raw["train"], a=["w7", "w8"])
    found = write_dataset(tmp_path, *make_rows(raw, "data/raw/x", settings), settings, tokenizer)["duplicates"]
    read = Dataset.open(tmp_path).rows("train")
    assert read.tokens.tolist() == [2, 5, 3, 8, 9, 3, 2, 6, 7, 3, 10, 3]
    assert read.token_types.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1]
    assert (found["train-test"]["exact"], found["train-validation"]["exact"]) == (2, 0)


def test_what_is_counted_is_right_and_stands_in_dataset_json(tmp_path, tokenizer):
    description = write_dataset(tmp_path, *make(THREE), tiny.settings(max_length=6, metric="mcc"), tokenizer)
    train = description["splits"]["train"]
    assert {key: train[key] for key in train if key != "fingerprint"} == {
        "rows": 4,
        "transfer_rows": 1,
        "rows_a_label": {"a": 2, "b": 1},
        "tokens": 6 + 3 + 3 + 6,
        "truncated_rows": 1,
        "truncated_tokens": 2,
        "counts": {},
        "contradictions": {"texts": 0, "examples": []},
    }
    assert description["duplicates"]["train-validation"]["exact"] == 1
    assert description["duplicates"]["train-test"] == {"exact": 1, "near": 0, "examples": [{"train": 3, "test": 0}]}
    written = read_json(tmp_path / "dataset.json", "a prepared data set")
    assert {key: written[key] for key in description} == description
    dataset = Dataset.open(tmp_path)
    assert (dataset.labels, dataset.metric, dataset.max_length) == (("a", "b"), "mcc", 6)
    assert dataset.rows("train").labels.tolist() == [1, 0, UNLABELLED, 0]
    assert dataset.rows("train").lengths.tolist() == [6, 3, 3, 6]


def test_limits_are_of_the_rows_after_the_cut_and_of_questions_and_texts_before_they_are_cut_to_windows():
    raw = tables(train=([f"w{i}" for i in range(40)], ["a", "b"] * 20))
    rows, _ = make(raw, limit={"train": 10, "test": 2})
    assert {split: len(part) for split, part in rows.items()} == {"train": 10, "validation": 4, "test": 2}
    assert sorted(rows["train"].labels.tolist()) == [0] * 5 + [1] * 5
    for task in ("question-answering", "masked-lm"):
        rows, _ = make(raw_tables(task), task, limit={"train": 7, "test": 3})
        assert {split: len(part) for split, part in rows.items()} == {"train": 7, "validation": 30, "test": 3}


SIGNS = {"huggingface": '{"info": {"features": {"label": {"names": ["neg", "pos"]}}}}'}
CARRYING = {split: table.replace_schema_metadata(SIGNS) for split, table in tables(
    train=(["w1", "w2"], [0, 1]), validation=(["w3"], [1]), test=(["w4"], [0])
).items()}  # fmt: skip
STARS = tables(train=(["w1", "w2", "w3"], [1, 2, 3]), validation=(["w4"], [3]), test=(["w5"], [1]))


@pytest.mark.parametrize(
    ("raw", "labels", "numbers"),
    [
        (THREE, ("b", "a"), ([0, 1, UNLABELLED, 1], [1, 0])),
        (CARRYING, None, ([0, 1], [1])),
        (CARRYING, ("pos", "neg"), ([1, 0], [0])),
        (STARS, ("1", "2", "3"), ([0, 1, 2], [2])),
    ],
)
def test_given_labels_order_the_classes_and_name_numbers(raw, labels, numbers):
    rows, names = make(raw, labels=labels)
    assert names == (labels or ("neg", "pos"))
    assert (rows["train"].labels.tolist(), rows["validation"].labels.tolist()) == numbers


@pytest.mark.parametrize("pairs", [False, True])
def test_rows_join_the_targets_of_a_teacher_with_another_tokenizer(tmp_path, tokenizer, pairs):
    other = tiny.tokenizer([f"w{i}" for i in range(39, -1, -1)])
    settings = tiny.settings(columns={"text_pair": "text" if pairs else None}, max_length=6)
    made = make_rows(raw_tables("sequence-classification"), "data/raw/x", settings)
    joined = settings.model_copy(update={"max_length": 9, "teacher_max_length": 6})
    for name, how in {"teacher": (settings, tokenizer), "student": (joined, other, tokenizer)}.items():
        (tmp_path / name).mkdir()
        write_dataset(tmp_path / name, *made, *how)
    teacher, student = Dataset.open(tmp_path / "teacher"), Dataset.open(tmp_path / "student")
    assert (student.seen_tokenizer, student.seen_max_length) == (teacher.tokenizer, 6) == (teacher.seen_tokenizer, 6)
    assert load_tokenizer(tmp_path / "student" / "seen_tokenizer").get_vocab() == tokenizer.get_vocab()
    assert (student.max_length, student.tokenizer != teacher.tokenizer) == (9, True)
    for split in teacher.splits:
        np.testing.assert_array_equal(student.rows(split).ids, teacher.rows(split).ids)
        assert student.splits[split]["fingerprint"] == teacher.splits[split]["fingerprint"]
        assert not np.array_equal(student.rows(split).lengths, teacher.rows(split).lengths)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> dict[str, Dataset]:
    """A tiny data set of each task: read only."""
    return {task: Dataset.open(prepared(tmp_path_factory.mktemp(task) / "x", task)) for task in TASK_SPECS}


def prepared(folder: Path, task: str) -> Path:
    made = decoders.tokenizer() if task == "causal-lm" else None
    return tiny.prepare_task(folder, task, made, **({"maskings": 4} if task == "masked-lm" else {}))


@pytest.mark.parametrize("task", TASK_SPECS)
def test_every_task_is_prepared_to_the_same_bytes_twice_and_says_what_its_rows_are(tmp_path, datasets, task):
    dataset = datasets[task]
    first = contents(dataset.folder)
    assert first == contents(prepared(tmp_path / "x", task))
    assert {"dataset.json", *(f"{split}.arrow" for split in SPLITS), "tokenizer/tokenizer.json"} <= set(first)
    assert ("train.examples.arrow" in first) == (task == "question-answering")
    assert dataset.task == task
    assert (dataset.seen_tokenizer, dataset.seen_max_length) == (dataset.tokenizer, dataset.max_length)
    assert dataset.unanswerable == (task == "question-answering")
    labels = dataset.rows("train").labels
    assert (dataset.classes, str(labels.dtype), labels.ndim) == LABELS[task]
    assert read_json(dataset.folder / "tokenizer" / "tokenizer.json", "a tokenizer")["truncation"] is None
    for split in dataset.splits:
        rows, told = dataset.rows(split), dataset.splits[split]
        assert (told["rows"], told["tokens"]) == (len(rows), len(rows.tokens))
        assert told["transfer_rows"] == (int(np.isnan(rows.labels).sum()) if task == tiny.EMBEDDING else 0)
        assert rows.lengths.max() <= dataset.max_length
        assert len(rows.labels) == (len(rows.tokens) if TASK_SPECS[task].labels_per_token else len(rows))
        assert (rows.spans is None) == (task != "question-answering")
        assert (rows.examples is None) == (task not in ("question-answering", tiny.EMBEDDING))


def test_tags_stand_at_their_tokens_and_are_counted(datasets):
    dataset = datasets["token-classification"]
    assert dataset.labels == ("O", "B-animal", "B-plant", "I-animal")
    rows, raw = dataset.rows("train"), tiny.raw("token-classification", 60, 0).to_pylist()
    for i, row in enumerate(raw):
        labels = rows.labels[rows.offsets[i] : rows.offsets[i + 1]]
        tags = [dataset.labels[label] for label in labels[1:-1]]
        assert tags == row["tags"][: len(tags)]
        assert labels[[0, -1]].tolist() == [UNLABELLED, UNLABELLED]
    told = dataset.splits["train"]
    assert sum(told["rows_a_label"].values()) + told["counts"]["lost_tags"] == sum(len(row["tags"]) for row in raw)


def test_windows_lead_back_to_their_questions(datasets):
    dataset = datasets["question-answering"]
    rows, examples = dataset.rows("train"), dataset.examples("train").to_pylist()
    assert sorted(set(rows.examples.tolist())) == list(range(60))
    answered = set()
    for i, (start, stop) in enumerate(rows.labels):
        example, spans = examples[rows.examples[i]], rows.spans[rows.offsets[i] : rows.offsets[i + 1]]
        if stop:
            answered.add(int(rows.examples[i]))
            assert [example["context"][spans[start, 0] : spans[stop, 1]]] == example["answers"]
    assert answered == {i for i, example in enumerate(examples) if example["answers"]}
    told, holds = dataset.splits["train"], rows.labels[:, 1] > 0
    assert told["rows_a_label"] == {"answer": int(holds.sum()), "no answer": int((~holds).sum())}
    assert told["counts"] == {"questions": 60, "unanswerable": 60 - len(answered), "lost_answers": 0}


def test_questions_keep_their_ids_and_are_duplicates_on_the_same_context(tmp_path, tokenizer):
    settings = tiny.settings("question-answering", columns={"id": "key"})
    raw = raw_tables("question-answering")
    raw |= {"test": raw["train"]}
    raw = {split: replaced(table, key=[f"{split}{i}" for i in range(30)]) for split, table in raw.items()}
    found = write_dataset(tmp_path, *make_rows(raw, "data/raw/x", settings), settings, tokenizer)["duplicates"]
    assert Dataset.open(tmp_path).examples("test").column("id").to_pylist() == [f"test{i}" for i in range(30)]
    assert (found["train-test"]["exact"], found["train-validation"]["exact"]) == (30, 0)


def test_only_training_chunks_have_several_maskings(datasets):
    dataset = datasets["masked-lm"]
    for split, told in dataset.splits.items():
        assert told["rows"] == (4 if split == "train" else 1) * told["counts"]["chunks"]
        assert told["counts"]["masked_tokens"] == int((dataset.rows(split).labels != UNLABELLED).sum())


@pytest.mark.parametrize(
    ("task", "column"),
    [("multi-label", "label"), ("regression", "label"), ("token-classification", "tags"), ("question-answering", "answers")],
)
def test_transfer_rows_of_every_task_have_no_label(tmp_path, tokenizer, task, column):
    raw, settings = raw_tables(task), tiny.settings(task)
    raw["train"] = replaced(raw["train"], **{column: [None, *raw["train"].column(column).to_pylist()[1:]]})
    told = write_dataset(tmp_path, *make_rows(raw, "data/raw/x", settings), settings, tokenizer)
    read = Dataset.open(tmp_path).rows("train")
    match task:
        case "regression":
            unlabelled = np.isnan(read.labels)
        case "token-classification":
            unlabelled = np.logical_and.reduceat(read.labels == UNLABELLED, read.offsets[:-1])
        case "multi-label":
            unlabelled = (read.labels == UNLABELLED).all(axis=1)
        case _:
            unlabelled = (read.labels == UNLABELLED).all(axis=1)
            np.testing.assert_array_equal(unlabelled, read.examples == 0)
    assert unlabelled[0]
    assert int(unlabelled.sum()) == told["splits"]["train"]["transfer_rows"] >= 1


CLASSES, SEVERAL, NUMBERS, TAGS, QUESTIONS, CORPUS, *_ = TASK_SPECS


@pytest.mark.parametrize(
    ("task", "change", "complaint"),
    [
        (
            CLASSES,
            {"label": ["cat", "cow"] * 15},
            "data/raw/x: test: row 1: label 'cow' is unknown; expected one of cat, dog, fish",
        ),
        (CLASSES, {"label": ["cat", None] * 15}, "data/raw/x: test: row 1: has no label"),
        (SEVERAL, {"label": [["cat"], ["cow"]] * 15}, "data/raw/x: test: row 1: "),
        (SEVERAL, {"label": [["cat"], None] * 15}, "data/raw/x: test: row 1: has no label"),
        (NUMBERS, {"label": ["high"] * 30}, "data/raw/x: test: row 0: label 'high', expected a finite number"),
        (NUMBERS, {"label": [0.5, float("inf")] * 15}, "data/raw/x: test: row 1: label inf, expected a finite number"),
        (NUMBERS, {"label": [0.5, float("nan")] * 15}, "data/raw/x: test: row 1: has no label (15 rows have none)"),
        (NUMBERS, {"label": [None] * 30}, "data/raw/x: test: row 0: has no label (30 rows have none), and this split is scored"),
        (NUMBERS, {"label": [-1.0] * 30}, "data/raw/x: test: row 0: has no label (30 rows have none)"),
        (NUMBERS, {"text": ["w1", ""] * 15}, "data/raw/x: test: row 1: column 'text' is empty"),
        (TAGS, {"tokens": [["w1"]] * 30, "tags": [["O", "O"]] * 30}, "data/raw/x: test: row 0: has 1 tokens and 2"),
        (TAGS, {"tokens": [["w1"]] * 30, "tags": [["B-car"]] * 30}, "data/raw/x: test: row 0: token 0: tag 'B-car'"),
        (TAGS, {"tags": None}, "data/raw/x: test: row 0: has no label"),
        (QUESTIONS, {"context": ["w1"] * 30}, "data/raw/x: test: row 0: column 'answers': the answer"),
        (QUESTIONS, {"answers": None}, "data/raw/x: test: row 0: has no label"),
        (QUESTIONS, {"question": None}, "data/raw/x: test: no column 'question' for columns.question"),
        (CORPUS, {"text": [" "] * 30}, "splits.test: has no rows"),
        (CORPUS, {"text": None}, "data/raw/x: test: no column 'text' for columns.text"),
    ],
)
def test_bad_rows_of_every_task_are_refused_with_their_split_and_row(task, change, complaint):
    raw = raw_tables(task)
    with pytest.raises(UserError, match=f"^{re.escape(complaint)}"):
        make(raw | {"test": replaced(raw["test"], **change)}, task)


def test_a_corpus_that_is_nothing_to_the_tokenizer_is_refused(tmp_path):
    spaces = tiny.masking_tokenizer()
    spaces.backend_tokenizer.normalizer = Replace(Regex(".*"), "")
    with pytest.raises(UserError, match="train: no text has a token"):
        write_dataset(tmp_path, *make(raw_tables("masked-lm"), "masked-lm"), tiny.settings("masked-lm"), spaces)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    CLASSES: ({"text": ["", "w1", None, " "] + ["w2"] * 26, "label": ["cow", "dog", "a", "b", "fish"] + ["cat"] * 25}, "0 2 3"),
    NUMBERS: ({"label": ["0.5", "high"] + ["1"] * 28}, "1"),
    TAGS: ({"tokens": [["w1", " "], [], ["w1"], ["w1"]] + [["w1"]] * 26, "tags": [["O", "O"], [], ["O", "O"]]
            + [["B-animal"], ["B-plant"], ["I-animal"]] + [["O"]] * 24}, "0 1 2"),
    QUESTIONS: ({"answers": [{"text": ["x"], "answer_start": [0]}] + [{"text": [], "answer_start": []}] * 29}, "0"),
}  # fmt: skip


@pytest.mark.parametrize("task", BAD)
def test_bad_rows_are_refused_or_left_out_and_listed(task):
    raw, (change, rows) = raw_tables(task), BAD[task]
    raw["train"] = replaced(raw["train"], **change)
    with pytest.raises(UserError, match=r"data/raw/x: train: row \d+: .*\(to leave out such rows: bad_rows: drop\)"):
        make(raw, task)
    dropped: list[dict[str, Any]] = []
    made, _ = make_rows(raw, "data/raw/x", tiny.settings(task, bad_rows="drop"), dropped=dropped)
    assert [row["row"] for row in dropped] == [int(row) for row in rows.split()]
    assert {row["split"] for row in dropped} == {"train"}
    assert made["train"].numbers.tolist() == [row for row in range(30) if str(row) not in rows.split()]


def test_empty_texts_are_always_left_out_of_a_corpus():
    raw = raw_tables("masked-lm")
    texts = raw["train"].column("text").to_pylist()
    raw["train"] = replaced(raw["train"], text=["", *texts[1:-1], " "])
    assert make(raw, "masked-lm")[0]["train"].texts == texts[1:-1]


def test_tags_of_another_scheme_are_said_and_read_as_bio(capsys):
    tags = [["S-x", "B-x", "E-x"], ["O", "O", "S-y"], None]
    raw = {"train": pa.table({"tokens": [["w1", "w2", "w3"]] * 3, "tags": tags})}
    raw |= {split: raw["train"].slice(0, 2) for split in SPLITS[1:]}
    rows, names = make(raw, TAGS)
    assert names == ("O", "B-x", "B-y", "I-x")
    assert rows["train"].labels.tolist() == [[1, 1, 3], [0, 0, 2], None]
    assert "data/raw/x: train: its tags are of the scheme BIOES, and read as BIO\n" in capsys.readouterr().err


@pytest.mark.parametrize("task", [CLASSES, NUMBERS, TAGS, QUESTIONS])
def test_rows_of_other_sources_are_added_without_labels_and_labels_are_kept_of_as_many_as_asked(task):
    raw, more = raw_tables(task), tiny.raw(task, 7, 9)
    rows, _ = make_rows(raw, "data/raw/x", tiny.settings(task, labelled=5), {"data/raw/more": more})
    assert (len(rows["train"]), int(rows["train"].labelled.sum())) == (37, 5)
    part = {CLASSES: "text", NUMBERS: "text", TAGS: "tokens", QUESTIONS: "question"}[task]
    assert rows["train"].texts[30:] == more.column(part).to_pylist()
    assert (len(rows["test"]), bool(rows["test"].labelled.all())) == (30, True)


def test_training_rows_that_stand_in_a_scored_split_are_taken_out_on_request(capsys):
    assert len(make(THREE)[0]["train"]) == 4
    rows, _ = make_rows(THREE, "data/raw/x", tiny.settings(deduplicate=True), {"more": pa.table({"text": ["w1. w2", "w5"]})})
    assert rows["train"].texts == ["w1 w2 w3 w4 w5 w6", "w3", "w5"]
    assert "data/raw/x: train: 3 rows that stand in validation or test are taken out" in capsys.readouterr().err
    with pytest.raises(UserError, match="every row stands in validation or test too"):
        make(dict.fromkeys(SPLITS, THREE["validation"]), deduplicate=True)


def test_a_class_that_is_too_rare_to_be_cut_is_named(capsys):
    raw = tables(train=([f"w{i % 40} w{i}" for i in range(52)], ["a", "b"] * 25 + ["c"] * 2))
    assert make(raw)[0]["train"].labels.tolist().count(2) == 2
    assert "the class c stays in train whole: 2 rows, too few different texts for every split" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "labels", "given", "metric"),
    [
        (CLASSES, ("a", "b"), None, "accuracy"),
        (CLASSES, ("a", "b"), "f1", "f1"),
        (
            CLASSES,
            ("a", "b", "c"),
            "f1",
            "metric: f1 is not for the labels a, b, c; these have accuracy, macro_f1, mcc: take one",
        ),
        (TAGS, ("O", "B-x"), None, "entity_f1"),
        (TAGS, ("O", "B-x"), "macro_f1", "metric: macro_f1 is not for the labels O, B-x; these have entity_f1, token_accuracy"),
        (TAGS, ("NOUN", "VERB"), None, "token_accuracy"),
        (TAGS, ("NOUN", "VERB"), "macro_f1", "macro_f1"),
        (TAGS, ("NOUN", "VERB"), "entity_f1", "metric: entity_f1 is not for the labels NOUN, VERB"),
    ],
)
def test_the_metric_is_one_that_the_labels_have(task, labels, given, metric):
    if ":" not in metric:
        assert chosen_metric(tiny.settings(task, metric=given), labels) == metric
        return
    with pytest.raises(UserError, match=re.escape(metric)):
        chosen_metric(tiny.settings(task, metric=given), labels)


@pytest.mark.parametrize(
    ("task", "labels", "told"),
    [
        ("sequence-classification", ["a", "a"], "raw: test: all its 2 labels are a, so its scores tell no good model"),
        ("regression", [2.5, 2.5], "raw: test: all its 2 labels are 2.5, so its"),
        ("regression", [2.5, 3], ""),
        ("multi-label", [["a"], ["a"]], "raw: test: no row has b, so its scores tell nothing of such labels; give it more rows"),
        ("multi-label", [["a"], ["b"]], ""),
        ("masked-lm", [None, None], ""),
    ],
)
def test_a_scored_split_of_one_label_is_said(task, labels, told, capsys):
    others = {"regression": [1.0, 2.0], "multi-label": [["a"], ["b"]]}.get(task, ["a", "b"])
    tables = {split: pa.table({"text": ["w1", "w2"], "label": others}) for split in ("train", "validation")}
    make_rows({**tables, "test": pa.table({"text": ["w3", "w4"], "label": labels})}, "raw", tiny.settings(task))
    err = capsys.readouterr().err
    assert told in err if told else not err
