"""`datasets`: each task takes its own keys, columns and metrics, and no others."""

from typing import Any, get_args

import pytest

from distill.core.errors import UserError
from distill.core.validation import validate
from distill.params.datasets import DatasetSettings
from distill.params.task_specs import TASK_SPECS, TaskName
from distill.prediction.answers import ANSWERS
from distill.preparation.by_task import PREPARERS
from distill.tasks.registry import TASKS

GIVEN: dict[str, Any] = {
    "labels": ["a", "b"],
    "unlabelled": -1,
    "labelled": 5,
    "transfer": ["more"],
    "bad_rows": "drop",
    "stride": 3,
    "maskings": 2,
    "mask_probability": 0.2,
    "teacher_tokenizer": {"hub": "y"},
    "teacher_max_length": 64,
}


def test_every_task_is_in_every_table():
    assert list(get_args(TaskName)) == list(TASK_SPECS) == list(TASKS) == list(PREPARERS) == list(ANSWERS)


def settings(task: str, **more: Any) -> DatasetSettings:
    return validate(DatasetSettings, {"source": "s", "task": task, "tokenizer": {"hub": "x"}, **more}, "datasets.x")


def refusal(task: str, **more: Any) -> str:
    with pytest.raises(UserError) as caught:
        settings(task, **more)
    return str(caught.value)


@pytest.mark.parametrize("task", TASK_SPECS)
def test_each_task_takes_its_own_metrics(task: str):
    for metric in (None, *TASK_SPECS[task].metrics):
        assert settings(task, metric=metric).metric == metric


def test_a_metric_of_another_task_is_refused_with_those_there_are():
    assert refusal("regression", metric="accuracy") == ("datasets.x: metric: regression has pearson, spearman, got 'accuracy'")
    assert "sequence-classification has accuracy, macro_f1, f1, mcc, got 'acc'" in refusal(
        "sequence-classification", metric="acc"
    )


def test_an_unknown_task_is_refused_with_those_there_are():
    assert "'masked-lm'" in refusal("tagging")


@pytest.mark.parametrize("task", TASK_SPECS)
@pytest.mark.parametrize("key", GIVEN)
def test_a_key_of_another_task_is_refused(task: str, key: str):
    more = {key: GIVEN[key]} | ({"teacher_tokenizer": {"hub": "y"}} if key == "teacher_max_length" else {})
    own = [name for name, spec in TASK_SPECS.items() if key in spec.keys]
    if task in own:
        assert getattr(settings(task, **more), key) is not None
    else:
        assert f"belongs to {' and '.join(own)}, the task is {task}; remove it" in refusal(task, **more)


@pytest.mark.parametrize("task", TASK_SPECS)
@pytest.mark.parametrize("part", ["text", "text_pair", "label", "tokens", "tags", "question", "context", "answers", "id"])
def test_a_column_of_another_task_is_refused(task: str, part: str):
    if part in TASK_SPECS[task].columns:
        beside = {"spans": "s"} if (task, part) == ("token-classification", "text") else {}
        assert getattr(settings(task, columns={part: "name", **beside}).columns, part) == "name"
    else:
        expected = f"datasets.x: columns.{part}: {task} reads {', '.join(TASK_SPECS[task].columns)}; remove it"
        assert refusal(task, columns={part: "name"}) == expected


def test_a_misspelt_part_is_refused_with_the_nearest():
    assert refusal("question-answering", columns={"answer": "a"}) == (
        "datasets.x.columns.answer: unknown key; did you mean 'answers'?"
    )


def test_a_teachers_length_goes_with_its_tokenizer():
    assert "teacher_max_length: goes with teacher_tokenizer" in refusal("regression", teacher_max_length=9)


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("question-answering", {"stride": -1}),
        ("masked-lm", {"maskings": 0}),
        ("masked-lm", {"mask_probability": -0.1}),
        ("masked-lm", {"mask_probability": 1}),
        ("regression", {"teacher_tokenizer": {"hub": "x"}, "teacher_max_length": 3}),
    ],
)
def test_numbers_out_of_range_are_refused(task: str, more: dict[str, Any]):
    assert f"datasets.x.{list(more)[-1]}: expected" in refusal(task, **more)


@pytest.mark.parametrize(
    ("task", "columns", "complaint"),
    [
        ("sequence-classification", {"text": "label"}, "columns.label: 'label' is columns.text too, which is read; name another"),
        ("regression", {"label": "text"}, "columns.label: 'text' is columns.text too, which is read; name another column"),
        (
            "multi-label",
            {"labels": ["text", "b"]},
            "columns.labels: 'text' is columns.text too, which is read; name another column",
        ),
        ("token-classification", {"tags": "tokens"}, "columns.tags: 'tokens' is columns.tokens too, which is read"),
        ("ranking", {"passage": "label"}, "columns.label: 'label' is columns.passage too, which is read"),
        ("causal-lm", {"prompt": "a", "response": "a"}, "columns.response: 'a' is columns.prompt too, which is read"),
    ],
)
def test_a_column_that_is_learnt_is_not_read(task: str, columns: dict[str, Any], complaint: str):
    assert complaint in refusal(task, columns=columns)


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("sequence-classification", {"id": "text"}),
        ("multi-label", {"text": "label", "labels": ["a", "b"]}),
        ("causal-lm", {"prompt": "a", "response": "text"}),
        ("sentence-embedding", {"text": "label", "label": None}),
    ],
)
def test_columns_may_have_the_names_of_parts_that_are_not_read(task: str, columns: dict[str, Any]):
    assert settings(task, columns=columns).columns.model_fields_set == {*columns}


def test_rows_are_not_transferred_twice():
    assert "transfer: more/train is named twice, its rows would count twice" in refusal(
        "ranking", transfer=["more", "more/train"]
    )


def test_a_class_does_not_stand_for_no_label():
    complaint = "unlabelled: 'none' is one of labels, and stands for no label here; remove it from one of them"
    for labels in (["none", "a"], [{"none": "b"}, "a"], {"none": "b"}):
        assert complaint in refusal("sequence-classification", labels=labels, unlabelled="none")
    assert settings("sequence-classification", labels={"x": "none"}, unlabelled="none").unlabelled == ("none",)
