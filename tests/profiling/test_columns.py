"""Columns are told apart by name and by value, and what cannot be told is said."""

from contextlib import nullcontext

import pyarrow as pa
import pytest

from distill.commands.new import detect_columns
from distill.core.errors import UserError
from distill.profiling.columns import read_columns
from distill.profiling.refusals import require_classes

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
    "one odd cell, which is refused by its name": (
        {"text": LONG, "label": ["[a, b]", *["x", "y"] * 5, "x"], "topic": ["p", "q"] * 6},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
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
    "several numbers": ({"text": LONG, "labels": [[0], [2, 1]] * 6}, "multi-label", {"text": "text", "label": "labels"}),
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
    "a script that parts no words, beside a name that does": (
        {"text": ["我喜欢北京的天气"] * 6 + ["今天下雨了"] * 6, "label": [0, 1] * 6, "author": ["Wang Wei", "Li Bai"] * 6},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
    "texts of a word each, beside the names of classes": (
        {"text": [f"iphone{i}" for i in range(12)], "label": [0, 1] * 6, "label_text": ["very good", "rather bad"] * 6},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
    "a usual name of few words, beside the texts": (
        {"title": ["Mr", "Mrs", "Dr"] * 4, "feedback": LONG, "label": ["a", "b"] * 6},
        "sequence-classification",
        {"text": "feedback", "label": "label"},
    ),
    "several labels, of most rows none": (
        {"text": LONG, "labels": [["toxic"], *[[]] * 11]},
        "multi-label",
        {"text": "text", "label": "labels"},
    ),
    "queries that recur": (
        {"query": ["shoes", "laptop"] * 6, "passage": LONG, "rel": [0, 1, 2] * 4},
        "ranking",
        {"query": "query", "passage": "passage", "label": "rel"},
    ),
    "ids that look like tags": (
        {"text": LONG, "user": [f"U-{i % 6}" for i in range(12)], "label": ["a", "b"] * 6},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
    "classes that look like tags": (
        {"text": LONG, "label": ["E-commerce", "B-stock"] * 6},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
    "a class beside what a row is and has": (
        {"text": LONG, "team": ["x", "y", "z"] * 4, "is_reply": [0, 1] * 6, "is_vip": [0, 0, 1] * 4, "has_link": [1, 0, 0] * 4},
        "sequence-classification",
        {"text": "text", "label": "team"},
    ),
    "a class beside two flags": (
        {"plot": LONG, "genre": ["x", "y", "z"] * 4, "short": [0, 1] * 6, "dubbed": [0, 0, 1] * 4},
        "sequence-classification",
        {"text": "plot", "label": "genre"},
    ),
    "rows that are test questions": (
        {"text": LONG, "category": ["a", "b", "c"] * 4, "gold": [True, False] * 6},
        "sequence-classification",
        {"text": "text", "label": "category"},
    ),
    "codes that look like numbers": (
        {"text": LONG * 4, "label": [*(f"{i}.5" for i in range(15)), "V58.61"] * 3},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
    "groups of what is measured": (
        {"text": LONG * 4, "age_group": list(range(12)) * 4},
        "sequence-classification",
        {"text": "text", "label": "age_group"},
    ),
    "a text beside a question and its answer": (
        {"text": LONG, "question": OTHER, "answer": OTHER[::-1], "label": [0, 1] * 6},
        "sequence-classification",
        {"text": "text", "label": "label"},
    ),
    "whole scores of a wide range": (
        {"text": LONG, "score": list(range(0, 96, 8))},
        "regression",
        {"text": "text", "label": "score"},
    ),
    "whole numbers of classes": (
        {"text": LONG * 3, "intent": list(range(12)) * 3},
        "sequence-classification",
        {"text": "text", "label": "intent"},
    ),
    "a score that is none": (
        {"text": LONG, "score": [*(f"{i}.5" for i in range(11)), "NA"]},
        "regression",
        {"text": "text", "label": "score"},
    ),
    "a row with fewer tags than words, and one without": (
        {"tokens": [["a", "b"]] * 12, "ner_tags": [["O"], None, *[["O", "B-x"]] * 10]},
        "token-classification",
        {"tokens": "tokens", "tags": "ner_tags"},
    ),
    "a row whose span has no type": (
        {"text": LONG, "spans": [[{"start": 0, "end": 1, "label": kind}] for kind in [None, *"xy" * 5, "x"]]},
        "token-classification",
        {"text": "text", "spans": "spans"},
    ),
    "a question and its answer, right or wrong": (
        {"question": LONG, "document_title": OTHER, "answer": OTHER, "label": [0, 1] * 6},
        "sequence-classification",
        {"text": "question", "text_pair": "answer", "label": "label"},
    ),
    "a question on a passage, answered by yes or no": (
        {"title": ["Sun"] * 6 + ["Moon"] * 6, "question": LONG, "passage": OTHER, "answer": [True, False] * 6},
        "sequence-classification",
        {"text": "question", "text_pair": "passage", "label": "answer"},
    ),
    "a question on a context, with a label": (
        {"question": LONG, "context": OTHER, "label": [0, 1] * 6},
        "sequence-classification",
        {"text": "question", "text_pair": "context", "label": "label"},
    ),
    "a label that is gold, beside a rating": (
        {"text": LONG, "rating": [1, 2, 3] * 4, "gold_label": ["a", "b"] * 6},
        "sequence-classification",
        {"text": "text", "label": "gold_label"},
    ),
    "a mark that means something, beside some that do not": (
        {"text": LONG, "spam": [0, 1] * 6, "verified": [0, 0, 1] * 4, "deleted": [1, 0, 0] * 4},
        "sequence-classification",
        {"text": "text", "label": "spam"},
    ),
    "scores of pairs": (
        {"sentence1": LONG, "sentence2": OTHER, "score": ["0", "5"] * 6},
        "regression",
        {"text": "sentence1", "text_pair": "sentence2", "label": "score"},
    ),
    "rankings": (
        {"query": ["x", "y"] * 6, "passage": LONG, "relevance": [0] * 12},
        "ranking",
        {"query": "query", "passage": "passage", "label": "relevance"},
    ),
    "truths of rankings": (
        {"query": ["x", "y"] * 6, "passage": LONG, "label": [True, False, False] * 4},
        "ranking",
        {"query": "query", "passage": "passage", "label": "label"},
    ),
    "no labels": ({"text": LONG, "label": [None] * 12}, "masked-lm", {"text": "text"}),
    "a name that says what rows mean": (
        {"sentence1": LONG, "sentence2": OTHER, "gold_label": ["a", "b", "c"] * 4, "genre": ["x", "y"] * 6},
        "sequence-classification",
        {"text": "sentence1", "text_pair": "sentence2", "label": "gold_label"},
    ),
    "names that say where rows are from": (
        {"body": LONG, "customer": ["x", "y"] * 6, "dateCreated": ["1", "2"] * 6, "reply": ["a", "b", "c"] * 4},
        "sequence-classification",
        {"text": "body", "label": "reply"},
    ),
    "whole floats with gaps": (
        {"text": LONG, "polarity": [0.0, 1.0, 2.0, None] * 3, "channel": ["x", "y"] * 6},
        "sequence-classification",
        {"text": "text", "label": "polarity"},
    ),
    "truths beside pairs that are spelt otherwise": (
        {"sentence_A": LONG, "sentence_B": OTHER, "verdict": ["a", "b"] * 6},
        "sequence-classification",
        {"text": "sentence_A", "text_pair": "sentence_B", "label": "verdict"},
    ),
    **{
        f"{what} are longer than the text": (
            {"first": values, "phrase": [f"say {i}" for i in range(12)], "intent": ["a", "b"] * 6},
            "sequence-classification",
            {"text": "phrase", "label": "intent"},
        )
        for what, values in {
            "UUIDs": [f"{i:08x}-0000-4000-8000-{i:012x}" for i in range(12)],
            "dates": [f"2024-01-{i + 10}T10:00:00.000Z" for i in range(12)],
            "addresses": [f"https://example.org/a/long/way/{i}" for i in range(12)],
            "letters": [f"somebody.{i}@example.org" for i in range(12)],
            "records": [f'{{"a key": "a value", "number": {i}}}' for i in range(12)],
            "a few notes": ["a long note on one of all the rows", *[None] * 11],
        }.items()
    },
    **{
        f"a usual name, {what}": (
            {"title": values, "phrase": [f"say {i}" for i in range(12)], "intent": ["a", "b"] * 6},
            "sequence-classification",
            {"text": "phrase", "label": "intent"},
        )
        for what, values in {
            "one value": ["Judge this text"] * 12,
            "ids": [f"doc_{i}" for i in range(12)],
            "numbers": [str(i) for i in range(12)],
            "gaps": ["a title of a text", *[None] * 11],
        }.items()
    },
}


@pytest.mark.parametrize(("columns", "task", "parts"), CASES.values(), ids=CASES)
def test_task_and_columns_are_told(columns: dict, task: str, parts: dict[str, str]) -> None:
    found = read_columns(pa.table(columns), {})
    assert (found.task, found.parts) == (task, parts)


def test_several_columns_of_0_and_1_are_labels_that_apply_or_not() -> None:
    marks = {"text": LONG, "a": ["0", "1"] * 6, "b": [1] * 12, "c": [True, None] * 6}
    found = read_columns(pa.table(marks), {})
    assert (found.task, found.parts, found.marks) == ("multi-label", {"text": "text"}, ("a", "b", "c"))
    found = read_columns(pa.table(marks), {"label": "a"})
    assert (found.task, found.marks) == ("sequence-classification", ())
    assert read_columns(pa.table({**marks, "topic": ["x", "y"] * 6}), {}).parts["label"] == "topic"
    for beside in ("lang", "subreddit"):
        found = read_columns(pa.table({**marks, beside: ["x", "y"] * 6}), {})
        assert (found.task, found.marks, found.unread) == ("multi-label", ("a", "b", "c"), (beside,))
    two = {name: marks[name] for name in ("text", "a", "c")}
    assert read_columns(pa.table({**two, "product": ["x", "y"] * 6}), {}).parts["label"] == "product"
    kinds = {"lyrics": LONG, "rock": [0, 1] * 6, "country": [0, 0, 1] * 4, "jazz": [1, 0, 0] * 4}
    assert read_columns(pa.table(kinds), {}).marks == ("rock", "country", "jazz")
    flags = {"text": LONG, "verified": [0, 1] * 6, "deleted": [1, 0, 0] * 4}
    assert read_columns(pa.table(flags), {}).marks == ("verified", "deleted")


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
    ("more", "label", "unread", "divides"),
    [
        ({"split": ["train", "test"] * 6, "kategorie": ["a", "b", "c"] * 4}, "kategorie", (), "split"),
        ({"Set": ["train", "Dev", "test"] * 4, "label": ["a", "b"] * 6}, "label", (), "Set"),
        ({"fold": [0, 1, 2] * 4, "kategorie": ["a", "b", "c"] * 4}, "kategorie", (), "fold"),
        ({"Unnamed: 0": [0, 1] * 6, "kategorie": ["a", "b", "c"] * 4}, "kategorie", (), None),
        ({"column 1": ["0", "1"] * 6, "index": [0, 1] * 6, "kategorie": ["a", "b", "c"] * 4}, "kategorie", (), None),
        ({"column 1": ["a", "b"] * 6, "kategorie": ["a", "b", "c"] * 4}, "column 1", ("kategorie",), None),
        ({"toxic": ["yes", "no"] * 6, "insult": ["no", "no", "yes"] * 4}, "toxic", ("insult",), None),
        ({"label": ["a", "b"] * 6, "topic": ["x", "y", "z"] * 4, "lang": ["de", "en"] * 6}, "label", ("topic", "lang"), None),
        ({"label": ["a", "b"] * 6, "p": [0, 1] * 6, "q": [1, 0] * 6, "note": OTHER}, "label", ("p", "q", "note"), None),
        ({"label": [{"start": 0}] * 12, "topic": ["x", "y", "z"] * 4}, "topic", (), None),
        ({"label": ["train", "test"] * 6}, "label", (), None),
    ],
)
def test_splits_and_row_numbers_are_no_labels_and_other_candidates_are_named(more, label, unread, divides) -> None:
    found = read_columns(pa.table({"text": LONG, **more}), {})
    assert (found.parts["label"], found.unread, found.divides) == (label, unread, divides)
    for name in more:
        if not isinstance(more[name][0], dict):
            assert read_columns(pa.table({"text": LONG, **more}), {"label": name}).parts["label"] == name


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": ["['joy', 'love']", "['joy']"] * 6}, r"column 'label': label \"\['joy', 'love'\]\" looks like a list"),
        ({"kind": ['{"choices": ["joy"]}', "anger"] * 6}, "expected one label; CSV holds text alone, no lists: write JSONL or"),
        ({"label": [[["0", "3", "PER"]], []] * 6}, None),
        ({"label": [[{"start": 0}], []] * 6}, "is a list, expected text or a number; spans of characters are of task"),
        ({"label": [{"start": 0}] * 12}, "label {'start': 0} is a record, expected text or a number"),
        ({"label": [{"name": "a"}] * 12, "source": ["x", "y"] * 6}, "column 'label': label {'name': 'a'} is a record"),
        ({"tokens": [["a", "b"]] * 12, "tags": [[["O"], ["B-x"]]] * 12}, r"column 'tags': tag \['O'\] is a list"),
        ({"answers": [f"{{'text': ['{i}']}}" for i in range(12)]}, "column 'answers' holds .*; it is the text of one: CSV holds"),
        ({"label": ["joy,love", "love,joy", "x"] * 4}, "'joy,love', which looks like several labels; several labels a row are"),
        ({"label": ["joy", "love", "joy|love"] * 4}, "holds 'joy|love', which looks like several labels".replace("|", r"\|")),
        ({"label": [",", ";", "joy, at least"] * 4}, None),
        (
            {"label": ["[1]", "[2]"] * 6},
            "; if it is the name of a class, write another in the rows, or write params.yaml by hand",
        ),
        ({"label": ["[IN:GET_WEATHER]", "(can't say)"] * 6}, None),
        (
            {"label": [[1, 0, 0], [0, 1, 1]] * 6},
            r"column 'label' holds \[1, 0, 0\], which looks like 0 or 1 for each label; write",
        ),
        ({"label": [[True, False, False], []] * 6}, r"holds \[True, False, False\], which looks like 0 or 1 for each label"),
    ],
)
def test_labels_that_are_lists_are_refused(columns: dict, message: str | None) -> None:
    with nullcontext() if message is None else pytest.raises(UserError, match=message):
        detect_columns(pa.table({"text": LONG, **columns}), {}, None)


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


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"messages": [[{"role": "user", "content": "w"}]] * 12}, r"of which decoders learn \(messages: messages\)"),
        ({"instruction": LONG, "input": LONG, "output": OTHER}, r"\(prompt: instruction, response: output\); begin with"),
    ],
)
def test_conversations_are_a_decoders(columns: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_columns(pa.table(columns), {})
    labelled = read_columns(pa.table({**columns, "text": LONG, "label": ["a", "b"] * 6}), {})
    assert labelled.task == "sequence-classification"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (["0,5", "1,5", "2"] * 4, "column 'label' holds numbers such as '0,5'; write them as 0.5 for regression"),
        (["10%", "20 %"] * 6, "holds numbers such as '10%'"),
        (LONG, "column 'label' has 12 values in 12 rows, which are hardly classes; name the column with --label, or say --task"),
        (["a", "b"] * 6, None),
        (["0", "1", "1.5"] * 4, None),
        ([*"abcdefgh"], None),
    ],
)
def test_values_that_are_hardly_classes_are_refused(label: list[str], message: str | None) -> None:
    table = pa.table({"text": OTHER[: len(label)], "label": label})
    with nullcontext() if message is None else pytest.raises(UserError, match=message):
        require_classes(table, read_columns(table, {}))


@pytest.mark.parametrize("part", ["text", "label"])
def test_a_named_column_without_values_is_refused(part: str) -> None:
    rows = {"text": LONG, "label": ["a", "b"] * 6, part: pa.nulls(12, pa.string())}
    with pytest.raises(UserError, match=f"^--{part}: column '{part}' has no value in the rows that were looked at"):
        read_columns(pa.table(rows), {part: part})


def test_a_column_that_is_named_for_two_parts_is_refused() -> None:
    table = pa.table({"text": LONG, "label": ["a", "b"] * 6})
    with pytest.raises(UserError, match="^--text: 'text' is named for another part too"):
        read_columns(table, {"text": "text", "text_pair": "text"})
