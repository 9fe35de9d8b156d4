"""Raw tables into texts and raw labels: mistakes name the split, the row and what was expected."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from distill.core.errors import UserError
from distill.data.rows import Answers, Rows
from distill.preparation.columns import map_corpus, map_ids, map_texts, map_words, read_raw
from distill.preparation.label_columns import look_at_columns
from distill.preparation.prepare import make_rows, transfer_rows
from distill.preparation.questions import map_questions
from tests import tiny

CLASSES, SEVERAL, _, TAGS, QUESTIONS, CORPUS, _ = map(tiny.settings, tiny.TASKS)


def test_columns_are_taken_by_the_names_that_are_given_and_without_labels_there_are_transfer_rows():
    raw = pa.table({"body": ["one", "two"], "reply": ["1", "2"], "kind": ["x", None], "key": [7, 8]})
    rows = map_texts(raw, "here", tiny.settings(columns={"text": "body", "text_pair": "reply", "label": "kind", "id": "key"}))
    assert (rows.texts, rows.texts_pair, rows.labels.tolist()) == (["one", "two"], ["1", "2"], ["x", None])
    raw = pa.table({"text": ["a", "b"], "label": [1.0, float("nan")]})
    assert map_texts(raw, "here", CLASSES).labels.tolist() == [1.0, None]
    raw = pa.table({"text": ["a", "b", "c"], "label": ["x", "", None]})
    assert map_texts(raw, "here", CLASSES).labels.tolist() == ["x", "", None]
    assert map_texts(raw.drop(["label"]), "here", CLASSES).labels.tolist() == [None] * 3


@pytest.mark.parametrize(
    ("columns", "names", "complaint"),
    [
        ({}, {"text": "txt"}, "no column 'txt' for columns.text; did you mean 'text'?"),
        ({}, {"text_pair": "replies"}, "no column 'replies' for columns.text_pair; did you mean 'reply'?"),
        ({}, {"label": "lable"}, "no column 'lable' for columns.label; did you mean 'label'?"),
        ({"TEXT": ["a", "b"]}, {"label": "LABEL"}, "no column 'LABEL' for columns.label; did you mean 'label'?"),
        ({"key": ["7", None]}, {"id": "key"}, "row 1: column 'key' has no id; give one, or leave out columns.id"),
        ({}, {"id": "zzz"}, "no column 'zzz' for columns.id; expected one of: label, reply, text"),
        ({"text": ["a", ""]}, {}, "row 1: column 'text' is empty"),
        ({"text": ["a", " \n\t"]}, {}, "row 1: column 'text' is empty"),
        ({"text": [None, "a"]}, {}, "row 0: column 'text' holds None, expected text"),
        ({"text": [3, 4]}, {}, "row 0: column 'text' holds 3, expected text"),
        ({"text": [["a"], ["b"]]}, {}, "row 0: column 'text' holds ['a'], expected text"),
        ({"reply": ["", "b"]}, {"text_pair": "reply"}, "row 0: column 'reply' is empty"),
        (
            {"label": [[1, 2], [1]]},
            {},
            "row 0: column 'label' holds [1, 2], expected one label a row; lists of labels are of task: multi-label",
        ),
        ({"reply": ["x", "x"]}, {"id": "reply"}, "rows 0 and 1 have the same reply, 'x'; ids must be unique"),
    ],
)
def test_a_table_that_is_not_what_params_yaml_says_is_refused(columns, names, complaint):
    raw = pa.table({"text": ["a", "b"], "reply": ["b", "c"], "label": ["c", "d"], **columns})
    with pytest.raises(UserError, match=f"^{re.escape(f'here: {complaint}')}"):
        map_texts(raw, "here", tiny.settings(columns=names))


def test_the_parts_of_rows_are_taken_together_and_rows_that_are_left_out_are_remembered():
    rows = Rows(["a", "b", "c"], ["x", "y", "z"], np.array([0, 1, 0]), np.arange(3), ["i", "j", "k"])
    taken = rows.take(np.array([2, 0]))
    assert (taken.texts, taken.texts_pair, taken.ids) == (["c", "a"], ["z", "x"], ["k", "i"])
    assert (taken.labels.tolist(), taken.numbers.tolist()) == ([0, 0], [2, 0])
    rows = Rows(["a", "b", " ", "c"], ["x", "", "y", "z"], np.arange(4), np.arange(4)).without({2: "empty"}).without({1: "odd"})
    assert (rows.texts, rows.texts_pair, rows.numbers.tolist()) == (["a", "c"], ["x", "z"], [0, 3])
    assert rows.dropped == {1: "odd", 2: "empty"}


def test_a_missing_raw_folder_is_refused_with_how_to_get_it(tmp_path):
    with pytest.raises(UserError, match=r"raw/own: no such folder; add 'own' to `sources`, or put it there with `dvc add`"):
        read_raw(tmp_path / "raw" / "own", CLASSES)


def test_transfer_rows_are_those_without_a_class_a_score_tags_or_answers():
    for labels in (np.array([0, -100]), np.array([0.5, np.nan], np.float32), np.fromiter([[1, 2], None], object)):
        assert Rows(["a", "b"], None, labels, np.arange(2)).labelled.tolist() == [True, False]


def test_a_corpus_may_have_empty_texts_which_are_dropped_and_counted(capsys):
    rows = map_corpus(pa.table({"text": ["a", "", " \n", "b"]}), "here", CORPUS)
    assert (rows.texts, rows.numbers.tolist()) == (["a", "b"], [0, 3])
    assert capsys.readouterr().err == "here: 2 of 4 rows are without text, and left out\n"
    with pytest.raises(UserError, match="here: row 1: column 'text' holds None, expected text"):
        map_corpus(pa.table({"text": ["a", None]}), "here", CORPUS)


def test_words_and_tags_are_lists_of_one_length():
    raw = pa.table({"words": [["a", "b"], ["c"]], "kinds": [["O", "B-x"], None]})
    rows = map_words(raw, "here", tiny.settings("token-classification", columns={"tokens": "words", "tags": "kinds"}))
    assert (rows.texts, rows.labels.tolist()) == ([["a", "b"], ["c"]], [["O", "B-x"], None])
    assert map_words(pa.table({"tokens": [["a"]]}), "here", TAGS).labels.tolist() == [None]
    with pytest.raises(UserError, match="here: no column 'kind' for columns.tags; did you mean 'kinds'?"):
        map_words(raw, "here", tiny.settings("token-classification", columns={"tokens": "words", "tags": "kind"}))


@pytest.mark.parametrize(("words", "said"), [(["un", "##do"], True), (["▁un", "do"], True), (["#do", "##", "##!"], False)])
def test_parts_of_words_in_place_of_words_are_said(words, said, capsys):
    map_words(pa.table({"tokens": [words]}), "here", TAGS)
    told = "here: column 'tokens': 1 words begin as a tokenizer's parts of words do, such as"
    assert (told in capsys.readouterr().err) == said


@pytest.mark.parametrize(
    ("tokens", "tags", "complaint"),
    [
        ([["a"], ["b", "c"]], [["O"], ["O"]], "here: row 1: has 2 tokens and 1 tags; expected a tag a token"),
        ([["a"]], [["O", "O"]], "here: row 0: has 1 tokens and 2 tags"),
        ([["a"], []], [["O"], []], "here: row 1: column 'tokens' holds [], expected a list of words"),
        (["a b"], [["O", "O"]], "here: row 0: column 'tokens' holds 'a b', expected a list of words"),
        (
            ["['a', 'b']"],
            [["O"]],
            "here: row 0: column 'tokens' holds \"['a', 'b']\", expected a list of words; it is the text of",
        ),
        ([["a"]], ["['O']"], "here: row 0: column 'tags' holds \"['O']\", expected a list of tags; it is the text of one: CSV"),
        ([["a", " "]], [["O", "O"]], "here: row 0: column 'tokens' has the word ' '"),
        ([["a", None]], [["O", "O"]], "here: row 0: column 'tokens' has the word None"),
        ([["a"]], ["O"], "here: row 0: column 'tags' holds 'O', expected a list of tags"),
    ],
)
def test_words_that_cannot_be_tagged_are_refused_with_their_row(tokens, tags, complaint):
    with pytest.raises(UserError, match=f"^{re.escape(complaint)}"):
        map_words(pa.table({"tokens": tokens, "tags": tags}), "here", TAGS)


def asked(*answers: Any, context: str = "one two three") -> pa.Table:
    return pa.table({"question": ["q"] * len(answers), "context": [context] * len(answers), "answers": list(answers)})


def test_answers_are_as_squad_has_them():
    raw = asked({"text": ["two", "one two"], "answer_start": [4, 0]}, {"text": [], "answer_start": []}, None)
    rows = map_questions(raw, "here", QUESTIONS)
    assert (rows.texts, rows.texts_pair, rows.ids) == (["q"] * 3, ["one two three"] * 3, ["0", "1", "2"])
    assert rows.labels.tolist() == [Answers(("two", "one two"), (4, 0)), Answers((), ()), None]
    floats = map_questions(asked({"text": ["two"], "answer_start": [4.0]}), "here", QUESTIONS)
    assert (floats.labels.tolist(), type(floats.labels[0].starts[0])) == ([Answers(("two",), (4,))], int)
    unicode = asked({"text": ["ü"], "answer_start": [2]}, context="😀 ü")
    assert map_questions(unicode, "here", QUESTIONS).labels[0].starts == (2,)
    assert map_questions(raw.drop(["answers"]), "here", QUESTIONS).labels.tolist() == [None] * 3


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"text": ["two"], "answer_start": [4.5]}, "the answer 'two' at 4.5, expected text and the character it begins at"),
        ({"text": ["two"], "answer_start": [5]}, "the answer 'two' is not at character 5 of its context ('wo ' is); mend it"),
        ({"text": ["two"], "answer_start": [40]}, "the answer 'two' is not at character 40 of its context ('' is); mend it"),
        ({"text": ["four"], "answer_start": [0]}, "the answer 'four' is not at character 0 of its context"),
        ({"text": ["ee"], "answer_start": [-2]}, "the answer 'ee' at -2, expected text and the character it begins at"),
        ({"text": [" "], "answer_start": [3]}, "the answer ' ' at 3, expected text and the character it begins at"),
        ({"text": ["one", "two"], "answer_start": [0]}, "expected {text: [...], answer_start: [...]} of one length"),
        ({"text": None, "answer_start": [0]}, "expected {text: [...], answer_start: [...]} of one length"),
        (
            "{'text': ['two'], 'answer_start': [4]}",
            "as in SQuAD; it is the text of one: CSV holds text alone, no lists: write JSONL",
        ),
        ("two", "holds 'two', expected {text: [...], answer_start: [...]}"),
    ],
)
def test_answers_outside_their_context_are_refused_with_their_row(answers, complaint):
    rows = [answers] if isinstance(answers, str) else [{"text": ["one"], "answer_start": [0]}, answers]
    with pytest.raises(UserError, match=f"here: row {len(rows) - 1}: column 'answers'.*{re.escape(complaint)}"):
        map_questions(asked(*rows), "here", QUESTIONS)


ONE, NONE = {"text": ["one"], "answer_start": [0]}, {"text": [], "answer_start": []}


@pytest.mark.parametrize(
    ("answers", "impossible", "complaint"),
    [
        ([ONE, NONE], [False, True], None),
        ([ONE, NONE, None], ["false", "True", None], None),
        ([ONE, NONE, None], [0, 1, 0], None),
        ([ONE, ONE], [False, True], "and 'is_impossible' is true; write {text: [], "),
        ([ONE, NONE], ["False", "False"], "has no answer and 'is_impossible' is false; mend one of them"),
        ([ONE, ONE], [None, 1.0], "and 'is_impossible' is true; write {text: [], "),
        ([ONE, ONE], ["no", "yes"], "and 'is_impossible' is true; write {text: [], "),
        ([ONE, None], [0, 1], "holds None and 'is_impossible' is true; write {text: [], answer_start: []}"),
    ],
)
def test_answers_and_a_column_that_says_whether_there_are_any_agree(tmp_path, answers, impossible, complaint):
    """SQuAD 2.0 has plausible answers to questions that have none."""
    raw = asked(*answers).append_column("is_impossible", pa.array(impossible))
    pyarrow.parquet.write_table(raw, tmp_path / "train.parquet")
    table = read_raw(tmp_path, QUESTIONS)["train"]
    assert len(transfer_rows(table, "more", QUESTIONS)) == len(answers)
    if complaint is None:
        assert len(map_questions(table, "here", QUESTIONS)) == len(answers)
        return
    with pytest.raises(UserError) as error:
        map_questions(table, "here", QUESTIONS)
    assert "here: row 1: column 'answers' " in str(error.value)
    assert complaint in str(error.value)
    kept = map_questions(table, "here", tiny.settings("question-answering", bad_rows="drop"))
    assert kept.numbers.tolist() == [0]


def test_a_split_whose_answers_are_all_empty_is_said(capsys):
    map_questions(asked(ONE, NONE), "here", QUESTIONS)
    assert not capsys.readouterr().err
    map_questions(asked(NONE, None, NONE), "here: test", QUESTIONS)
    assert "here: test: the lists of all its 2 answers are empty, which says that no context has" in capsys.readouterr().err


WITH = pa.table({"text": ["a b", "c d", "e f"], "label": ["x", "y", "x"]})


def renamed(name: str) -> pa.Table:
    return WITH.rename_columns(["text", name])


@pytest.mark.parametrize(
    ("train", "test", "told"),
    [
        ("Label", "Label", "here: train: no column 'label' for columns.label; did you mean 'Label'?"),
        (" label", " label", "here: train: no column 'label' for columns.label; did you mean ' label'?"),
        ("kategorie", "kategorie", "here: train: no column 'label' for columns.label; expected one of: kategorie, text"),
        *((name, "label", f"here: train: has no column 'label', as other splits have; did you mean '{name}'? Rename it")
          for name in ("Label", "label ", "category", "labels", "lable")),
        ("label", "sentiment", "here: validation: has no column 'label', as other splits have; did you mean 'sentiment'?"),
    ],
)  # fmt: skip
def test_labels_under_another_name_are_refused_and_the_advice_works(train, test, told):
    tables = {"train": renamed(train), "validation": renamed(test), "test": renamed(test)}
    with pytest.raises(UserError) as caught:
        make_rows(tables, "here", tiny.settings())
    assert str(caught.value).startswith(told)
    made, _ = make_rows(dict.fromkeys(tables, WITH), "here", tiny.settings())
    if train == test:
        made, _ = make_rows(tables, "here", tiny.settings(columns={"label": train}))
    assert made["train"].labels.tolist() == [0, 1, 0]


def test_a_split_without_a_column_of_labels_is_one_of_transfer_rows_which_is_said(capsys):
    bare = pa.table({"text": ["g", "h"], "source": ["web", "web"]})
    rows, _ = make_rows({"train": bare, "validation": WITH, "test": WITH}, "here", tiny.settings(labels=("x", "y")))
    assert rows["train"].labelled.tolist() == [False, False]
    assert "here: train: has no column 'label', its rows are without labels (not read: source)" in capsys.readouterr().err
    rows, _ = make_rows({"train": WITH, "validation": WITH, "test": WITH}, "here", tiny.settings(), {"pool": renamed("Label")})
    assert rows["train"].labelled.tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("beside", ["topic", "rating", "pos_tags", "score"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_stands_beside_the_labels_is_not_taken_for_them_where_they_lack(beside, split):
    whole = WITH.append_column(beside, pa.array(["p", "q", "p"]))
    tables = {**dict.fromkeys(("train", "validation", "test"), whole), split: whole.drop(["label"])}
    how = {"splits": {"test": 0.34}} if split == "test" else {}
    settings = tiny.settings(labels=("x", "y"), **how)
    if split == "train":
        assert make_rows(tables, "here", settings)[0]["train"].labelled.tolist() == [False] * 3
    else:
        look_at_columns(tables, "here", settings)


@pytest.mark.parametrize("task", ["regression", "multi-label", "ranking", "token-classification", "question-answering"])
def test_labels_of_every_task_are_looked_for_under_other_names(task):
    raw = tiny.raw(task, 20, 0)
    name = next(name for name in ("label", "tags", "answers") if name in raw.column_names)
    other = raw.rename_columns({name: name.title()})
    with pytest.raises(UserError, match=f"here: train: has no column '{name}', as other splits.*did you mean '{name.title()}'"):
        make_rows({"train": other, "validation": raw, "test": raw}, "here", tiny.settings(task))


def test_rows_with_two_names_of_one_column_are_refused_by_the_first_without_a_label(tmp_path):
    lines = [f'{{"text": "t {i}", "{"Label" if i == 2 else "label"}": "{"ab"[i % 2]}"}}\n' for i in range(20)]
    (tmp_path / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    with pytest.raises(UserError, match="here: train: row 2: has 'Label' and no 'label'; give the rows one name for both"):
        make_rows(read_raw(tmp_path, CLASSES), "here", CLASSES)
    (tmp_path / "train.jsonl").write_text("".join(lines).replace("Label", "label"), encoding="utf-8")
    splits = {"validation": 0.3, "test": 0.3}
    assert len(make_rows(read_raw(tmp_path, CLASSES), "here", tiny.settings(splits=splits))[1]) == 2
    both = pa.table({**WITH.to_pydict(), "Label": [1, 2, 3]})
    assert make_rows(dict.fromkeys(("train", "validation", "test"), both), "here", CLASSES)[1] == ("x", "y")


def test_ids_are_those_given_or_row_numbers():
    assert map_ids(pa.table({"key": [7, 8]}), "here", "key") == ["7", "8"]
    assert map_ids(pa.table({"key": [7, 8]}), "here", None) == ["0", "1"]


@pytest.mark.parametrize(("columns", "said"), [({}, True), ({"text_pair": "text_pair"}, False)])
def test_a_column_of_second_texts_that_is_not_read_is_said(tmp_path, capsys, columns, said):
    pyarrow.parquet.write_table(pa.table({"text": ["a"], "text_pair": ["b"], "label": ["x"]}), tmp_path / "train.parquet")
    settings = tiny.settings(columns=columns)
    read = map_texts(read_raw(tmp_path, settings)["train"], "here", settings)
    assert (read.texts_pair is None) == said
    assert ("its column 'text_pair' is not read; `columns: {text_pair: text_pair}` makes" in capsys.readouterr().err) == said


@pytest.mark.parametrize(
    ("task", "read", "unread", "told"),
    [
        ("causal-lm", {"prompt": "q", "response": "a"}, "input", "what it says is in no prompt; put it into"),
        ("causal-lm", {"prompt": "input", "response": "a"}, None, ""),
        ("causal-lm", {"messages": "q"}, "System", "what it says is in no conversation; write it as a turn of 'system'"),
        ("causal-lm", {"text": "q"}, None, ""),
        ("causal-lm", {"input_ids": "ids"}, "labels", "all tokens of a row but the first are learnt, whatever it says; cut"),
        (
            "sentence-embedding",
            {"text": "q", "text_pair": "a"},
            "negative_1",
            "its texts are in no row; write each as a row of its",
        ),
        ("sentence-embedding", {"text": "q"}, None, ""),
        ("ranking", {"query": "q", "passage": "a"}, "hard_negatives", "its texts are in no row; write a row for each, with the"),
        ("sequence-classification", {"text": "q"}, None, ""),
    ],
)
def test_a_column_without_which_rows_mean_something_else_is_said(tmp_path, capsys, task, read, unread, told):
    names = dict.fromkeys([*read.values(), unread or "input", "negotiation", "label"])
    pyarrow.parquet.write_table(pa.table({name: ["x"] for name in names}), tmp_path / "train.parquet")
    read_raw(tmp_path, tiny.settings(task, columns=read))
    err = capsys.readouterr().err
    assert (f"{tmp_path}: its column '{unread}' is not read: {told}" in err) if unread else not err


@pytest.mark.parametrize("column", ["answers", "tags", "label"])
def test_a_text_of_transfer_rows_may_be_called_as_labels_of_other_tasks(column: str) -> None:
    names = {"text": "q", "text_pair": column, "label": "kind"}
    rows = transfer_rows(pa.table({"q": ["a"], column: ["b"], "kind": ["x"]}), "here", tiny.settings(columns=names))
    assert (rows.texts, rows.texts_pair) == (["a"], ["b"])


def test_what_neither_says_yes_nor_no_is_refused() -> None:
    raw = asked(ONE, ONE).append_column("is_impossible", pa.array(["no", "perhaps"]))
    with pytest.raises(UserError, match="^here: row 1: column 'is_impossible' holds 'perhaps', expected true or false, or null$"):
        map_questions(raw, "here", QUESTIONS)
