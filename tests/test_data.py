"""Raw tables into texts and raw labels: mistakes name the split, the row and what was expected."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.data import Answers, Rows, map_columns, map_corpus, map_ids, map_questions, map_words, read_raw
from distill.errors import UserError


def table(**columns: list[Any]) -> pa.Table:
    return pa.table(columns)


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


def test_transfer_rows_are_those_without_a_class_a_score_tags_or_answers():
    texts, numbers = ["a", "b"], np.arange(2)
    objects = np.empty(2, object)
    objects[0] = [1, 2]
    for labels in (np.array([0, -100]), np.array([0.5, np.nan], np.float32), objects):
        assert Rows(texts, None, labels, numbers).labelled.tolist() == [True, False]


def test_ids_are_taken_along():
    rows = Rows(["a", "b"], None, np.zeros(2, np.int64), np.arange(2), ["x", "y"])
    assert rows.take(np.array([1])).ids == ["y"]


def test_rows_with_an_empty_text_are_dropped_and_no_row_number_is_lost():
    rows = Rows(["a", "b", " ", "c"], ["x", "", "y", "z"], np.arange(4), np.arange(4)).without_empty()
    assert (rows.texts, rows.texts_pair, rows.numbers.tolist()) == (["a", "c"], ["x", "z"], [0, 3])


def test_a_corpus_may_have_empty_texts():
    assert map_corpus(table(text=["a", "", " \n", "b"]), "here", "text") == ["a", "", " \n", "b"]
    with pytest.raises(UserError, match="here: row 1: column 'text' holds None, expected text"):
        map_corpus(table(text=["a", None]), "here", "text")


def test_words_and_tags_are_lists_of_one_length():
    raw = table(words=[["a", "b"], ["c"]], kinds=[["O", "B-x"], None])
    assert map_words(raw, "here", "words", "kinds") == ([["a", "b"], ["c"]], [["O", "B-x"], None])
    assert map_words(table(tokens=[["a"]]), "here", "tokens", "tags") == ([["a"]], [None])


@pytest.mark.parametrize(
    ("tokens", "tags", "complaint"),
    [
        ([["a"], ["b", "c"]], [["O"], ["O"]], "here: row 1: has 2 tokens and 1 tags; expected a tag a token"),
        ([["a"]], [["O", "O"]], "here: row 0: has 1 tokens and 2 tags"),
        ([["a"], []], [["O"], []], "here: row 1: column 'tokens' holds [], expected a list of words"),
        (["a b"], [["O", "O"]], "here: row 0: column 'tokens' holds 'a b', expected a list of words"),
        ([["a", " "]], [["O", "O"]], "here: row 0: column 'tokens' has the word ' '"),
        ([["a", None]], [["O", "O"]], "here: row 0: column 'tokens' has the word None"),
        ([["a"]], ["O"], "here: row 0: column 'tags' holds 'O', expected a list of tags"),
    ],
)
def test_words_that_cannot_be_tagged_are_refused_with_their_row(tokens: list[Any], tags: list[Any], complaint: str):
    with pytest.raises(UserError) as caught:
        map_words(table(tokens=tokens, tags=tags), "here", "tokens", "tags")
    assert str(caught.value).startswith(complaint)


def test_a_misspelt_column_of_words_is_refused_with_the_nearest():
    raw = table(tokens=[["a"]], ner_tags=[["O"]])
    with pytest.raises(UserError, match="here: no column 'ner_tag' for columns.tags; did you mean 'ner_tags'?"):
        map_words(raw, "here", "tokens", "ner_tag")


def asked(*answers: Any, context: str = "one two three") -> pa.Table:
    return table(question=["q"] * len(answers), context=[context] * len(answers), answers=list(answers))


def test_answers_are_as_squad_has_them():
    raw = asked({"text": ["two", "one two"], "answer_start": [4, 0]}, {"text": [], "answer_start": []}, None)
    questions, contexts, answers = map_questions(raw, "here", "question", "context", "answers")
    assert (questions, contexts) == (["q"] * 3, ["one two three"] * 3)
    assert answers.tolist() == [Answers(("two", "one two"), (4, 0)), Answers((), ()), None]
    assert map_questions(raw.drop(["answers"]), "here", "question", "context", "answers")[2].tolist() == [None] * 3


def test_characters_are_counted_as_unicode_has_them():
    raw = asked({"text": ["ü"], "answer_start": [2]}, context="😀 ü")
    assert map_questions(raw, "here", "question", "context", "answers")[2][0].starts == (2,)


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"text": ["two"], "answer_start": [5]}, "the answer 'two' is not at character 5 of its context ('wo ' is); mend it"),
        ({"text": ["two"], "answer_start": [40]}, "the answer 'two' is not at character 40 of its context ('' is); mend it"),
        ({"text": ["four"], "answer_start": [0]}, "the answer 'four' is not at character 0 of its context"),
        ({"text": ["ee"], "answer_start": [-2]}, "the answer 'ee' at -2, expected text and the character it begins at"),
        ({"text": [" "], "answer_start": [3]}, "the answer ' ' at 3, expected text and the character it begins at"),
        ({"text": ["one", "two"], "answer_start": [0]}, "expected {text: [...], answer_start: [...]} of one length"),
        ({"text": None, "answer_start": [0]}, "expected {text: [...], answer_start: [...]} of one length"),
        ("two", "holds 'two', expected {text: [...], answer_start: [...]}"),
    ],
)
def test_answers_outside_their_context_are_refused_with_their_row(answers: Any, complaint: str):
    rows = [answers] if isinstance(answers, str) else [{"text": ["one"], "answer_start": [0]}, answers]
    with pytest.raises(UserError) as caught:
        map_questions(asked(*rows), "here", "question", "context", "answers")
    assert f"here: row {len(rows) - 1}: column 'answers'" in str(caught.value)
    assert complaint in str(caught.value)


def test_ids_are_those_given_or_row_numbers():
    assert map_ids(table(key=[7, 8]), "here", "key") == ["7", "8"]
    assert map_ids(table(key=[7, 8]), "here", None) == ["0", "1"]
