"""Spans of characters become words and tags of BIO, from which the same entities are read again; what does not fit is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.core.errors import UserError
from distill.data.splitters import split
from distill.prediction.answers import entities
from distill.preparation.prepare import make_rows, transfer_rows
from distill.preparation.spans import SPLITTER, map_spans, read_spans, tags
from distill.profiling.columns import read_columns
from distill.sources.files import read_local
from tests import tiny

TEXT = "Ada Lovelace met Mr. O'Neil in 東京都, didn't she?"
ENTITIES = [(0, 12, "PER"), (17, 27, "PER"), (31, 33, "LOC")]
WRITTEN: dict[str, Any] = {
    "doccano, spaCy": [[*each] for each in ENTITIES],
    "numbers that JSON has as text": [[str(part) for part in each] for each in ENTITIES],
    "Prodigy": [{"start": start, "end": end, "label": kind, "token_start": 0} for start, end, kind in ENTITIES],
    "Label Studio": [{"start": s, "end": e, "labels": [kind], "text": TEXT[s:e]} for s, e, kind in ENTITIES],
    "doccano's records": [{"id": 1, "start_offset": s, "end_offset": e, "label": kind} for s, e, kind in ENTITIES],
    "transformers": [{"entity_group": kind, "start": float(s), "end": float(e)} for s, e, kind in ENTITIES],
    "the hub's records of lists": dict(zip(("start", "end", "label"), map(list, zip(*ENTITIES, strict=True)), strict=True)),
    "blanks around": [[0, 13, "PER"], [16, 27, "PER"], [31, 33, "LOC"]],
}


def settings(**more: Any) -> Any:
    """A data set of spans."""
    return tiny.settings("token-classification", **{"columns": {"spans": "spans"}, **more})


def table(*rows: tuple[str, Any]) -> pa.Table:
    """Texts and spans; lists of numbers and text are text, as they are once JSON is read."""
    texts, given = zip(*rows, strict=True)
    spans = [
        [list(map(str, each)) if isinstance(each, list) else each for each in one] if isinstance(one, list) else one
        for one in given
    ]
    return pa.table({"text": texts, "spans": pa.array(spans)})


def found(text: str, tagged: list[str]) -> list[tuple[int, int, str]]:
    """The entities of tags, as characters of the text."""
    words = split(text, SPLITTER)
    return [(words[first][0], words[last][1], kind) for kind, first, last in entities(tagged)]


@pytest.mark.parametrize("spans", WRITTEN.values(), ids=WRITTEN)
def test_what_annotation_tools_write_is_read(spans: Any) -> None:
    rows = map_spans(
        table((TEXT, spans), ("none", {key: [] for key in spans} if isinstance(spans, dict) else [])), "here", settings()
    )
    assert rows.texts[0] == [
        "Ada",
        "Lovelace",
        "met",
        "Mr",
        ".",
        "O",
        "'",
        "Neil",
        "in",
        "東",
        "京",
        "都",
        ",",
        "didn",
        "'",
        "t",
        "she",
        "?",
    ]
    assert rows.labels[0][:8] == ["B-PER", "I-PER", "O", "B-PER", "I-PER", "I-PER", "I-PER", "I-PER"]
    assert (found(TEXT, rows.labels[0]), rows.labels[1]) == (ENTITIES, ["O"])


@given(st.text("ab Zé1'.,-東の \n🙂", min_size=1, max_size=40), st.data())
def test_the_entities_of_the_tags_are_the_spans(text: str, data: st.DataObject) -> None:
    words = split(text, SPLITTER)
    assert "".join(text[start:end] for start, end in words) == "".join(text.split())
    cuts = data.draw(st.lists(st.integers(0, len(words)), unique=True).map(sorted))
    spans = [
        (words[a][0], words[b - 1][1], data.draw(st.sampled_from("XY"))) for a, b in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    assert found(text, tags(text, [list(each) for each in spans])) == spans


BAD = {
    "outside": ([[0, 99, "X"]], "span outside", "X 0–99 is no part of the text, which has 4 characters"),
    "nothing": ([[1, 1, "X"]], "span outside", "X 1–1 is no part of the text"),
    "before": ([[-1, 2, "X"]], "span outside", "X -1–2 is no part of the text"),
    "blanks": ([[2, 3, "X"]], "span of blanks", "X 2–3 covers no word"),
    "inside": ([[1, 2, "X"]], "span inside a word", "X 1–2, 'b', begins or ends inside the word 'ab'"),
    "overlap": ([[0, 4, "X"], [3, 4, "Y"]], "overlapping spans", "Y 3–4 overlaps X 0–4, and a word has one tag"),
    "other": (
        [{"start": 0, "end": 2, "label": "X", "text": "b"}],
        "span of another text",
        "is said to be 'b', the text has 'ab' there",
    ),
}


@pytest.mark.parametrize(("spans", "reason", "told"), BAD.values(), ids=BAD)
def test_spans_that_no_tags_can_say_are_refused_with_their_row_or_left_out(spans: list[Any], reason: str, told: str) -> None:
    raw = table(("ab c", []), ("ab c", spans))
    with pytest.raises(UserError, match=r"^here: row 1: column 'spans': .*mend or drop the row .*bad_rows: drop") as refused:
        map_spans(raw, "here", settings())
    assert told in str(refused.value)
    rows = map_spans(raw, "here", settings(bad_rows="drop"))
    assert (rows.numbers.tolist(), rows.dropped[1].partition(":")[0]) == ([0], reason)


NO_SPANS: list[Any] = [None, 3, "PER", [], [1, 2], [1, 2, 3], [1, 2, ""], [1.5, 2, "X"], [True, 2, "X"], ["a", 2, "X"], {}]
NO_SPANS += [{"start": 1, "label": "X"}, {"start": 1, "end": 2}, {"start": 1, "end": 2, "labels": ["X", "Y"]}]


@pytest.mark.parametrize("value", NO_SPANS)
def test_what_is_no_span_is_none(value: Any) -> None:
    assert read_spans([value]) == [None]


@pytest.mark.parametrize("spans", ["[(0, 2, 'X')]", "X", 7, {"start": 0}])
def test_what_are_no_spans_is_refused_with_its_row(spans: Any) -> None:
    with pytest.raises(UserError, match=r"here: row 0: column 'spans' holds .*expected a list of \[start, end, type\]"):
        map_spans(table(("ab c", spans)), "here", settings())


def test_rows_without_spans_are_transfer_rows_and_so_are_all_of_a_source() -> None:
    rows, names = make_rows(
        {split: table(("ab c", [[0, 2, "X"]]), ("c", []), *([("d", None)] if split == "train" else []))
         for split in ("train", "validation", "test")}, "here", settings(),
        {"pool": pa.table({"text": ["x y"], "spans": ["anything"]})},
    )  # fmt: skip
    assert names == ("O", "B-X")
    assert (len(rows["train"]), rows["train"].labelled.tolist()) == (4, [True, True, False, False])
    assert rows["train"].texts[3] == ["x", "y"]
    renamed = transfer_rows(pa.table({"text": ["a"], "label": [[[0, 1, 2]]]}), "pool", settings(columns={"spans": "label"}))
    assert not renamed.labelled.any()


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"text": "body"}, r"columns.text: expected columns of tokens and tags, or text and spans"),
        ({"spans": "label", "tags": "tags"}, r"columns.tags: expected columns of tokens and tags, or text and spans"),
        ({"spans": "text"}, r"columns.spans: 'text' is columns.text too"),
    ],
)
def test_words_and_texts_are_not_read_at_once(columns: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        settings(columns=columns)
    with pytest.raises(ValueError, match=r"columns.spans: sequence-classification reads"):
        tiny.settings("sequence-classification", columns={"spans": "label"})


@pytest.mark.parametrize("spans", WRITTEN.values(), ids=WRITTEN)
def test_new_tells_them_from_the_rows(spans: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"meta": {"by": "me"}, "text": TEXT, "label": spans, "id": row} for row in range(3)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    raw = pa.Table.from_batches(list(read_local(file)["train"].batches()))
    told = read_columns(raw, {})
    assert (told.task, told.parts) == ("token-classification", {"text": "text", "spans": "label"})
    assert read_columns(raw, {"label": "label"}).parts == told.parts
    assert np.array_equal(map_spans(raw, "here", settings(columns={"spans": "label"})).numbers, [0, 1, 2])
