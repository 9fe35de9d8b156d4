"""Random tables written as every format are read back: the same rows, the same values, in memory that does not grow."""

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.preparation.columns import read_raw
from distill.preparation.prepare import make_rows
from distill.sources.files import read_local
from distill.sources.streams import write_splits
from tests import tiny
from tests.command_line import environment
from tests.sources.reading import rows_of, write

CHARACTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\ufeff") | st.sampled_from(
    "\"',;|# \u2028é"
)
WORD = st.text(CHARACTERS.filter(lambda character: character != " "), min_size=1).filter(lambda word: word != "-DOCSTART-")
LINE = st.text(CHARACTERS, max_size=12)
LABEL = st.sampled_from(
    ["007", "7", "1.1", "1.10", "2.0", "true", "True", "NA", "nan", "-1", "01/02/2024", "1e3", "é", "e\u0301", ""]
)
ROWS = st.lists(st.tuples(LINE | st.text(CHARACTERS | st.sampled_from("\n\r\t"), max_size=12), LABEL), min_size=1, max_size=6)
LINES = st.lists(st.tuples(LINE, LABEL), min_size=1, max_size=6)
quick = settings(max_examples=40, deadline=None, derandomize=True)


def delimited(rows: list[tuple[str, str]], **how: object) -> str:
    """As Python, pandas and spreadsheets write it."""
    file = io.StringIO()
    csv.writer(file, **how).writerows([("text", "label"), *rows])
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@quick
@given(rows=ROWS, delimiter=st.sampled_from(",;|"), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_csv(folder, rows, delimiter, quoting):
    rows = [row for row in rows if row != ("text", "label")]
    content = delimited(rows, delimiter=delimiter, quoting=quoting)
    assert rows_of(write(folder / "a.csv", content)) == rows
    assert rows_of(write(folder / "a.csv.gz", gzip.compress(content.encode("utf-16")))) == rows
    nameless = write(folder / "b.csv", content.partition("\r\n")[2])
    if rows:
        assert rows_of(nameless, names=("text", "label"), delimiter=delimiter) == rows


@quick
@given(rows=LINES)
def test_tsv_without_quoting(folder, rows):
    rows = [(text.rstrip('"'), label) for text, label in rows]
    content = "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows])
    assert rows_of(write(folder / "a.tsv", content)) == rows


@quick
@given(lines=st.lists(LINE.filter(str.strip), min_size=1, max_size=6), end=st.sampled_from(["\n", "\r\n"]))
def test_lines(folder, lines, end):
    assert rows_of(write(folder / "a.txt", end.join(lines)), format="text") == [(line,) for line in lines]


@quick
@given(rows=st.lists(st.tuples(WORD, WORD.filter(str.strip), LINE), min_size=1, max_size=6))
def test_fasttext(folder, rows):
    rows = [(f"{word}{rest}", label) for label, word, rest in rows]
    content = "".join(f"__label__{label} {text}\n" for text, label in rows)
    assert rows_of(write(folder / "a.txt", content), format="fasttext") == rows


@quick
@given(rows=LINES)
def test_tsv_with_quoting(folder, rows):
    assert rows_of(write(folder / "a.tsv", delimited(rows, delimiter="\t", quoting=csv.QUOTE_ALL))) == rows


@quick
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"text": LINE, "label": LABEL | st.none()},
            optional={
                "number": st.integers() | st.none(),
                "tags": st.lists(LABEL | st.none()),
                "more": st.fixed_dictionaries({"a": LABEL}),
            },
        ),
        min_size=1,
        max_size=6,
    ),
    array=st.booleans(),
    ascii_only=st.booleans(),
)
def test_json(folder, rows, array, ascii_only):
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path = write(folder / "a.json", f"[{','.join(lines)}]" if array else "\n".join(lines))
    names = list(dict.fromkeys(name for row in rows for name in row))
    large = any(not -(2**63) <= (row.get("number") or 0) < 2**63 for row in rows)

    def value(row: dict[str, object], name: str) -> object:
        found = row.get(name)
        return str(found) if large and name == "number" and found is not None else found

    assert rows_of(path) == [tuple(value(row, name) for name in names) for row in rows]


@quick
@given(rows=ROWS)
def test_parquet(folder, rows):
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        columns = [pa.array(column, kind) for column in zip(*rows, strict=True)]
        pa.parquet.write_table(pa.table(dict(zip(("text", "label"), columns, strict=True))), folder / "a.parquet")
        assert rows_of(folder / "a.parquet") == rows


@settings(quick, max_examples=10)
@given(rows=LINES)
def test_excel(folder, rows):
    book = openpyxl.Workbook()
    for row in [("text", "label"), *rows]:
        book.active.append(row)
    for cells in book.active.iter_rows():
        for cell in cells:
            cell.data_type = "s"
    book.save(folder / "a.xlsx")
    assert rows_of(folder / "a.xlsx") == [tuple(value or None for value in row) for row in rows if any(row)]


@quick
@given(
    sentences=st.lists(st.lists(st.tuples(WORD, st.sampled_from(["O", "B-x", "I-x", "NN"])), min_size=1), min_size=1, max_size=4)
)
def test_conll(folder, sentences):
    sentences = [sentence for sentence in sentences if not sentence[0][0].startswith("#")]
    for between in ("\t", " ", " _ _ "):
        content = "\n\n".join("\n".join(f"{word}{between}{tag}" for word, tag in sentence) for sentence in sentences)
        read = rows_of(write(folder / "a.conll", content))
        assert [list(zip(*row, strict=True)) for row in read] == sentences


def bioes(tags: list[str]) -> list[str]:
    """The tags of BIO in the richer scheme."""
    ends = [not after.startswith("I") for after in [*tags[1:], "O"]]
    return [
        tag if tag == "O" else ("SE"[tag[0] == "I"] if end else tag[0]) + tag[1:] for tag, end in zip(tags, ends, strict=True)
    ]


def sentences(rows: list[dict[str, list[str]]]) -> str:
    return "\n".join(
        "".join(f"{word} {tag}\n" for word, tag in zip(row["tokens"], bioes(row["tags"]), strict=True)) for row in rows
    )


def articles(rows: list[dict[str, Any]]) -> str:
    """SQuAD 2.0, an article a row."""

    def question(number: int, row: dict[str, Any]) -> dict[str, Any]:
        answers = [dict(zip(row["answers"], each, strict=True)) for each in zip(*row["answers"].values(), strict=True)]
        return {"id": str(number), "question": row["question"], "answers": answers, "is_impossible": not answers}

    paragraphs = [{"context": row["context"], "qas": [question(number, row)]} for number, row in enumerate(rows)]
    return json.dumps({"version": "v2.0", "data": [{"title": "T", "paragraphs": [paragraph]} for paragraph in paragraphs]})


def comma_separated(rows: list[dict[str, Any]]) -> str:
    return delimited([tuple(row.values()) for row in rows])


FORMS = [
    ("sequence-classification", "rows.csv", comma_separated),
    ("regression", "rows.csv", comma_separated),
    ("token-classification", "rows.conll", sentences),
    ("question-answering", "rows.json", articles),
]


@pytest.mark.parametrize(("task", "name", "form"), FORMS)
def test_prepare_makes_the_same_rows_of_what_is_fetched_from_every_format(tmp_path, task, name, form):
    table, entry = tiny.raw(task, 40, 0), tiny.settings(task)
    rows = table.to_pylist()
    write(tmp_path / "a" / name, form(rows))
    write(tmp_path / "b" / "rows.jsonl.gz", gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    made = [make_rows({"train": table}, "here", entry)]
    for place in (tmp_path / "a" / name, tmp_path / "b" / "rows.jsonl.gz"):
        raw = place.parent / "raw"
        raw.mkdir()
        write_splits(read_local(place), raw)
        made.append(make_rows(read_raw(raw, entry), "here", entry))
    expected = [(part.texts, part.texts_pair, list(part.labels)) for part in made[0][0].values()]
    for splits, names in made[1:]:
        assert [(part.texts, part.texts_pair, list(part.labels)) for part in splits.values()] == expected
        assert names == made[0][1]


PEAK = """
import re, sys
from pathlib import Path
from distill.sources.files import read_local
from distill.sources.streams import write_splits
folder = Path(sys.argv[2]); folder.mkdir()
rows = write_splits(read_local(Path(sys.argv[1])), folder)
print(rows, int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""
TEXT = "word " * 2000
WRITERS: dict[str, Callable[[int], str]] = {
    "a.csv": lambda rows: "text,label\n" + f'"{TEXT},",pos\n' * rows,
    "a.tsv": lambda rows: "text\tlabel\n" + f"{TEXT}\tpos\n" * rows,
    "a.jsonl": lambda rows: f'{{"text": "{TEXT}", "label": "pos"}}\n' * rows,
    "a.json": lambda rows: f'[{{"text": "{TEXT}"}}' + f',\n{{"text": "{TEXT}"}}' * (rows - 1) + "]",
    "a.conll": lambda rows: ("word O\n" * 200 + "\n") * rows,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WRITERS, "a.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    """Files of 12 and of 120 MB: what the second takes more is a part of what it holds more."""
    peaks = []
    for rows in (1200, 12_000):
        path = tmp_path / str(rows) / name
        if name == "a.parquet":
            path.parent.mkdir()
            pa.parquet.write_table(pa.table({"text": [f"{i} {TEXT}" for i in range(rows)]}), path, row_group_size=500)
        else:
            write(path, WRITERS[name](rows))
        arguments = [sys.executable, "-c", PEAK, str(path), str(tmp_path / f"out-{rows}")]
        done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=True)
        read, peak = map(int, done.stdout.split())
        assert read == rows
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 40, f"{peaks} MB"
