"""JSON in all its forms: each column of one type, or as text, or left out by name; a broken value names its line."""

import json
import re

import pandas as pd
import pytest

from distill.core.errors import UserError
from distill.preparation.columns import map_texts, read_raw
from tests import tiny
from tests.sources.reading import read, write

QUESTION = {"id": "1", "question": "q?", "answers": [{"text": "abc", "answer_start": 0}]}


def squad(*questions: object, **more: object) -> str:
    return json.dumps({**more, "data": [{"title": "T", "paragraphs": [{"context": "abc def", "qas": questions}]}], "last": 1})


@pytest.mark.parametrize(
    ("content", "table"),
    [
        ("[]", {}),
        ('[{"a": 1},\n {"b": "x"}]', {"a": [1, None], "b": [None, "x"]}),
        ('[{"a": 1},]', {"a": [1]}),
        ('{"a": 1}\n\n{"a": 2}', {"a": [1, 2]}),
        ('{\n "a": 1\n}', {"a": [1]}),
        ('{"version": 1, "data": [{"a": 1}, {"a": 2}], "more": {}}', {"a": [1, 2]}),
        ('{"data": [1, 2]}\n{"data": []}', {"data": [[1, 2], []]}),
        ('{"a": "x", "m": {}}\n{"a": null, "m": {}}', {"a": ["x", None]}),
        ('{"tags": [null, "B-x", "O"]}\n{"tags": []}\n{}', {"tags": [[None, "B-x", "O"], [], None]}),
        ('{"t": "T"}\n{"t": 1984}\n{"t": true}\n{"t": 1.5}', {"t": ["T", "1984", "true", "1.5"]}),
        ('{"t": 1, "u": "x"}\n{"t": [1], "u": "y"}', {"u": ["x", "y"]}),
        ('{"a": 1}\n{"a": 2.5}', {"a": [1.0, 2.5]}),
        ('{"a": NaN}\n{"a": "x"}\n{"a": Infinity}', {"a": [None, "x", "Infinity"]}),
        ('{"a": 9007199254740993}\n{"a": 2.5}', {"a": ["9007199254740993", "2.5"]}),
        ('{"a": 12345678901234567890}', {"a": ["12345678901234567890"]}),
        ('{"a": 9007199254740993}', {"a": [9007199254740993]}),
        ('{"o": {"b": [{"c": 1}, {"c": "x", "d": {}}]}}', {"o": [{"b": [{"c": "1"}, {"c": "x"}]}]}),
        ('{"a": "\\ud83d\\ude00 \\u0000"}', {"a": ["😀 \0"]}),
        ('{"text": "a", "paragraphs": []}\n{"text": "b", "paragraphs": ["p"]}', {"text": ["a", "b"], "paragraphs": [[], ["p"]]}),
        ('{"a": 1, "paragraphs": [{"text": "p"}]}', {"a": [1], "paragraphs": [[{"text": "p"}]]}),
        ('{"data": [{"title": "T", "paragraphs": []}]}', {}),
        ('{"a": "%s"}' % ("x" * 3_000_000), {"a": ["x" * 3_000_000]}),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_rows_are_read_with_a_type_that_holds_every_value(tmp_path, content, table):
    assert read(write(tmp_path / "a.json", content))["train"] == table


ROW = '{"id": "1", "data": [{"text": "inner"}], "text": "outer"}'


@pytest.mark.parametrize(
    ("name", "content", "texts", "said"),
    [
        ("a.ndjson", ROW, ["outer"], ""),
        ("a.jsonl", ROW, ["outer"], ""),
        ("a.ndjson", f"{ROW}\n" * 40, ["outer"] * 40, ""),
        ("a.json", f"{ROW}\n" * 40, ["outer"] * 40, ""),
        ("a.json", f"[{ROW},\n{ROW}]", ["outer"] * 2, ""),
        (
            "a.json",
            ROW,
            ["inner"],
            "what stands beside it is not read: id, text; if the file is one row, let it end in .jsonl",
        ),
        ("a.json", '{"version": "1", "data": [{"text": "inner"}]}', ["inner"], ""),
        ("a.json", '{"version": 1, "examples": [{"text": "inner"}]}', ["inner"], ""),
        ("a.json", '{"meta": ["x", null, {"by": "me"}], "data": [{"text": "inner"}]}', ["inner"], "not read: meta"),
        ("a.json", '{"schema": {"fields": [{"a": 1}]}, "data": [{"text": "inner"}], "l": [1]}', ["inner"], "not read: schema, l"),
        ("a.json", '{"text": "outer", "messages": [{"a": 1}]}', ["outer"], "is read as one row; if messages hold rows"),
        ("a.json", '{"text": "outer", "data": [{"a": 1}], "items": [{"a": 1}]}', ["outer"], "one row; if data, items hold rows"),
        ("a.json", '{"text": "outer", "data": [1], "items": []}', ["outer"], ""),
    ],
)
def test_a_column_data_is_no_table_within_the_row(tmp_path, capsys, name, content, texts, said):
    assert read(write(tmp_path / name, content))["train"]["text"] == texts
    lines = " ".join(capsys.readouterr().err.split())
    assert said in lines if said else not lines


def test_rows_that_one_object_holds_are_read_as_is_advised(tmp_path, capsys):
    rows = [{"text": "a"}, {"text": "b"}]
    path = write(tmp_path / "a.json", json.dumps({"train": rows, "test": rows}))
    read(path)
    assert "such as train.json" in " ".join(capsys.readouterr().err.split())
    for split in ("train", "test"):
        write(tmp_path / "apart" / f"{split}.json", json.dumps(rows))
    assert read(tmp_path / "apart") == {split: {"text": ["a", "b"]} for split in ("test", "train")}


@pytest.mark.parametrize("orient", ["columns", "index", "split"])
def test_a_table_that_pandas_wrote_in_another_way_is_named_and_read_as_is_advised(orient, tmp_path, capsys):
    table = pd.DataFrame({"text": ["a", "b"], "label": [0, 1]}, index=["first", "second"])
    path = tmp_path / "a.json"
    table.to_json(path, orient=orient)
    read(path)
    assert 'if it is a table, as pandas writes them, write it with orient="records"' in " ".join(capsys.readouterr().err.split())
    table.to_json(path, orient="records")
    assert read(path)["train"] == {"text": ["a", "b"], "label": [0, 1]}
    assert "orient" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty; expected a JSON object a line"),
        ('{"text": "a"}\n{"text": \n', "line 2: no JSON: Expecting value"),
        ('{"text": "a"}\n{"text": "b\n{"text": "c"}\n', "line 2: no JSON: Invalid control character"),
        ('{"a": 1}\n{"a": 1, "a": 2}', "line 2: the key 'a' stands twice in one object; rename or remove one"),
        ('{"a": 1}\n{"a": "\\ud800"}', "line 2: holds half a character"),
        ('["a"]', 'line 1: got "a", expected an object'),
        ('{"data": [{"a": 1},\nnull]}', "line 2: got null, expected an object"),
        ("[" * 100_000, "line 1: is nested too deeply"),
        ('[{"a": 1}] x', "line 1: more follows the array of rows: 'x'"),
        ('[{"a": 1},\n{"a": 2}', "line 2: expected , or ], got ''"),
        ('[{"a": 1}\n{"a": 2}]', "line 2: expected , or ], got '{\"a\": 2}]'"),
        (squad({**QUESTION, "is_impossible": True}), "line 1: the question '1' has 1 answers and is_impossible: true"),
        (squad({**QUESTION, "answers": [{"text": "abc"}]}), "line 1: the question '1' has the answer {'text': 'abc'}"),
        (squad({"id": 3}), "line 1: the question 3 has no text"),
        (squad("q?"), "line 1: a paragraph of 'T': qas: got ['q?'], expected a list of objects"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_row_is_refused_with_its_line(tmp_path, content, complaint):
    path = write(tmp_path / "a.json", content)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}.*\\Z"):
        read(path)


def test_squad_of_both_versions_is_a_row_a_question(tmp_path):
    hidden = {"id": 2, "question": "r?"}
    table = read(write(tmp_path / "a.json", squad(QUESTION, hidden, version="1.1")))["train"]
    assert table["context"] == ["abc def"] * 2
    assert (table["id"], table["question"]) == (["1", "2"], ["q?", "r?"])
    assert table["answers"] == [{"text": ["abc"], "answer_start": [0]}, None]
    impossible = {"id": "3", "question": "s?", "answers": [], "is_impossible": True, "plausible_answers": QUESTION["answers"]}
    table = read(write(tmp_path / "a.json", squad({**QUESTION, "is_impossible": False}, impossible, version="v2.0")))["train"]
    assert table["answers"] == [{"text": ["abc"], "answer_start": [0]}, {"text": [], "answer_start": []}]


def test_a_column_that_was_left_out_is_missed_with_the_reason_where_it_is_asked_for(tmp_path, capsys):
    path = write(
        tmp_path / "train.jsonl", '{"text": "a", "label": [1], "o": {"p": {}}}\n{"text": "b", "label": "x", "o": {"p": {}}}'
    )
    read(path)
    said = capsys.readouterr().err
    assert "'label' is left out: it is a list in some rows and a value in others" in said
    assert "'o.p' is left out: it is an empty object in every row" in said
    settings = tiny.settings()
    with pytest.raises(UserError, match="no column 'label' for columns.label: it was left out, for 'label' is a list"):
        map_texts(read_raw(tmp_path, settings)["train"], "here", settings)


def test_a_number_that_python_does_not_read_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b", "n": ' + "9" * 5000 + "}\n")
    with pytest.raises(UserError, match="line 2: holds a number of too many digits; write it as text"):
        read(path)
