"""Label Studio's own export becomes rows: spans, one choice, several, numbers; what nobody has answered has none."""

import json
import re
from typing import Any

import pytest

from distill.core.errors import UserError
from tests.sources.reading import read, write

PER = {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}


def result(name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "text", "type": kind, "value": value}


def task(text: str, *answers: list[dict[str, Any]], cancelled: bool = False, **data: str) -> dict[str, Any]:
    annotations = [{"id": n, "was_cancelled": cancelled, "result": each} for n, each in enumerate(answers)]
    return {"id": 1, "data": {"text": text, **data}, "annotations": annotations, "predictions": [], "meta": {}}


SPAN, OTHER = result("ner", "labels", PER), result("ner", "labels", {**PER, "start": 4, "end": 8})
UNREAD = "the control 'h' has a result that is not read"
RELATION = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}


@pytest.mark.parametrize(
    ("tasks", "column", "expected"),
    [
        ([task("a", [SPAN, OTHER, RELATION]), task("b", []), task("c")], "ner", [[PER, OTHER["value"]], [], None]),
        ([task("a", [SPAN]), task("b", [SPAN], cancelled=True)], "ner", [[PER], None]),
        ([task("a", [result("c", "choices", {"choices": [name]})]) for name in "xy"], "c", ["x", "y"]),
        ([task("a", [result("c", "choices", {"choices": names})]) for names in (["x", "y"], ["x"])], "c", [["x", "y"], ["x"]]),
        (
            [task("a", [result("c", "choices", {"choices": ["x", "y"]})]), task("b", [])],
            "c",
            [["x", "y"], []],
        ),
        ([task("a", [result("n", "rating", {"rating": 4})]), task("b", [])], "n", [4, None]),
        ([task("a", [result("t", "textarea", {"text": ["x"]})])], "t", ["x"]),
        ([task("a", [result("p", "pairwise", {"selected": "left"})])], "p", ["left"]),
    ],
)
def test_answers_are_columns_by_the_names_of_what_was_asked(tmp_path, tasks, column, expected):
    for name, content in (("array.json", json.dumps(tasks)), ("lines.jsonl", "\n".join(map(json.dumps, tasks)))):
        table = read(write(tmp_path / name, content))["train"]
        assert table == {"text": [each["data"]["text"] for each in tasks], column: expected}


def test_two_annotators_of_a_task_are_two_rows(tmp_path):
    table = read(write(tmp_path / "a.json", json.dumps([task("a", [SPAN], []), task("b", [])])))["train"]
    assert table == {"text": ["a", "a", "b"], "ner": [[PER], [], []]}


def test_annotations_that_differ_are_said_and_the_one_marked_as_the_truth_counts_alone(tmp_path, capsys):
    tasks = [task("a", [SPAN], [SPAN]), task("b", [SPAN], [])]
    read(path := write(tmp_path / "a.json", json.dumps(tasks)))
    assert f"{path}: 1 tasks have annotations that differ; each is a row" in capsys.readouterr().err
    tasks[1]["annotations"][1]["ground_truth"] = True
    assert read(write(path, json.dumps(tasks)))["train"]["ner"] == [[PER], [PER], []]
    assert "differ" not in capsys.readouterr().err


def test_shards_of_a_split_have_the_same_columns_and_what_a_file_does_not_ask_is_not_answered(tmp_path, capsys):
    choice, several = (result("c", "choices", {"choices": list(names)}) for names in ("x", "xy"))
    write(tmp_path / "train-1.json", json.dumps([task("a", [choice]), task("n", [])]))
    write(tmp_path / "train-2.json", json.dumps([task("b", [several])]))
    write(tmp_path / "train-3.json", json.dumps([task("d", [SPAN], c="news"), task("e", c="old")]))
    assert read(tmp_path)["train"] == {
        "text": ["a", "n", "b", "d", "e"],
        "c": [["x"], [], ["x", "y"], None, None],
        "ner": [None, None, None, [PER], None],
    }
    assert "data.c is not read" in capsys.readouterr().err


def test_a_control_that_takes_several_answers_in_one_split_does_in_all(tmp_path):
    choice, several = (result("c", "choices", {"choices": list(names)}) for names in ("x", "xy"))
    write(tmp_path / "train.json", json.dumps([task("a", [several])]))
    write(tmp_path / "test.json", json.dumps([task("b", [choice]), task("n", [])]))
    write(tmp_path / "pool.json", json.dumps([task("d", [SPAN], c="news")]))
    splits = read(tmp_path)
    assert [splits[split]["c"] for split in ("train", "test", "pool")] == [[["x", "y"]], [["x"], []], ["news"]]


def test_a_column_that_has_the_name_of_a_control_is_said_and_read_nowhere(tmp_path, capsys):
    tasks = [task("a", [result("c", "choices", {"choices": ["x"]})], c="old"), task("b", c="guess")]
    assert read(path := write(tmp_path / "a.json", json.dumps(tasks)))["train"] == {"text": ["a", "b"], "c": ["x", None]}
    assert f"{path}: data.c is not read: annotations have answers of that name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "row",
    [
        {"data": {"text": "a"}, "annotations": ["x"]},
        {"data": {"text": "a"}, "annotations": [], "label": "x"},
        {"id": 1, "data": {"text": "a"}, "annotations": ["x"], "predictions": [1]},
    ],
)
def test_rows_that_are_no_tasks_stay_as_they_are(tmp_path, row):
    assert read(write(tmp_path / "a.jsonl", json.dumps(row)))["train"] == {key: [value] for key, value in row.items()}


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"text": "b"}, "line 2: got {'text': 'b'}, expected a task as the first value is"),
        (task("b", [{"type": "labels", "value": PER}]), "line 2: got the result {'type': 'labels', 'value'"),
        (task("b", ["x"]), "line 2: got the result 'x', expected {from_name: "),
        (task("b", [result("h", "hypertextlabels", {"start": "/p[1]", "hypertextlabels": ["PER"]})]), f"line 2: {UNREAD}"),
        (task("b", [result("h", "choices", {"start": 1, "end": 2, "choices": ["PER"]})]), f"line 2: {UNREAD}"),
        (task("b", [result("h", "taxonomy", {"taxonomy": [["a", "b"]]})]), f"line 2: {UNREAD}"),
    ],
)
def test_what_is_no_task_among_tasks_is_refused_with_its_line(tmp_path, other, complaint):
    path = write(tmp_path / "a.jsonl", f"{json.dumps(task('a', [SPAN]))}\n{json.dumps(other)}")
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}"):
        read(path)


def test_a_broken_value_among_tasks_names_its_line_once(tmp_path):
    path = write(tmp_path / "a.jsonl", f"{json.dumps(task('a', [SPAN]))}\n{{'id': oops}}")
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: line 2: no JSON')}"):
        read(path)
