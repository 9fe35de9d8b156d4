"""Columns are told apart by name and by value, and what cannot be told is said."""

import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.profiling.columns import read_columns

LONG = [f"a text of several words, number {i}" for i in range(12)]
OTHER = [f"another text that is of several words too, number {i}" for i in range(12)]
ANSWERS = [{"text": ["a"], "answer_start": [0]}] * 12
CASES = {
    "usual names": ({"text": LONG, "label": ["a", "b"] * 6}, "sequence-classification", {"text": "text", "label": "label"}),
    "another case": ({"Text": LONG, "LABEL": ["a", "b"] * 6}, "sequence-classification", {"text": "Text", "label": "LABEL"}),
    "no usual name": ({"q": ["x", "y", "z"] * 4, "w": LONG}, "sequence-classification", {"text": "w", "label": "q"}),
    "ids and dates": (
        {"id": list(range(12)), "day": ["2024-01-05"] * 12, "body": LONG, "intent": ["a", "b"] * 6},
        "sequence-classification",
        {"text": "body", "label": "intent"},
    ),
    "stars as text": ({"text": LONG, "stars": ["1", "5"] * 6}, "sequence-classification", {"text": "text", "label": "stars"}),
    "a pair": (
        {"sentence1": LONG, "sentence2": OTHER, "label": [0, 1] * 6},
        "sequence-classification",
        {"text": "sentence1", "text_pair": "sentence2", "label": "label"},
    ),
    "numbers": ({"text": LONG, "score": [i / 7 for i in range(12)]}, "regression", {"text": "text", "label": "score"}),
    "numbers as text": (
        {"text": LONG, "score": [f"{i}.5" for i in range(12)]},
        "regression",
        {"text": "text", "label": "score"},
    ),
    "tags": (
        {"tokens": [["a", "b"]] * 12, "ner_tags": [["O", "B-x"]] * 12, "intent": ["a", "b"] * 6},
        "token-classification",
        {"tokens": "tokens", "tags": "ner_tags"},
    ),
    "several labels": ({"text": LONG, "labels": [["a"], ["a", "b"]] * 6}, "multi-label", {"text": "text", "label": "labels"}),
    "questions": (
        {"id": LONG, "question": LONG, "context": OTHER, "answers": ANSWERS},
        "question-answering",
        {"question": "question", "context": "context", "answers": "answers"},
    ),
    "few labels": (
        {"text": LONG, "label": ["a", "b", *[None] * 10]},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
    "no labels": ({"text": LONG, "label": [None] * 12}, "masked-lm", {"text": "text"}),
}


@pytest.mark.parametrize(("columns", "task", "parts"), CASES.values(), ids=CASES)
def test_task_and_columns_are_told(columns: dict, task: str, parts: dict[str, str]) -> None:
    found = read_columns(pa.table(columns), {})
    assert (found.task, found.parts) == (task, parts)


def test_what_is_said_wins_and_what_is_not_read_is_named() -> None:
    table = pa.table(
        {"tokens": [["a", "b"]] * 12, "tags": [["O", "O"]] * 12, "text": LONG, "note": OTHER, "intent": ["a", "b"] * 6}
    )
    assert read_columns(table, {}).unread == ("intent",)
    found = read_columns(table, {"label": "intent"})
    assert (found.task, found.parts, found.unread) == (
        "sequence-classification",
        {"text": "text", "label": "intent"},
        ("note",),
    )
    assert read_columns(table, {"text": "note"}).parts["text"] == "note"
    assert read_columns(table, {}, "masked-lm").parts == {"text": "text"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "txt"}, r"--text: no column 'txt'; did you mean 'text'\?"),
        ({}, r"no column looks like text \(n: numbers\); name it with --text"),
    ],
)
def test_what_cannot_be_told_is_said(given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_columns(pa.table({"text" if given else "n": LONG if given else list(range(12))}), given)
