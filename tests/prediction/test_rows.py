"""What is predicted is what the file has: a row a row, and an error in place of what cannot be read."""

import bz2
import gzip
import json
import lzma
import os
import re
import zipfile
from pathlib import Path
from threading import Thread
from typing import Any

import openpyxl
import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.prediction.rows import read_rows, readable, renamed, row_of

TEXTS = ["w1", "[MASK] is here", "[1] w2", "é"]
ROWS = [{"text": text} for text in TEXTS]
LINES = "".join(f"{json.dumps(row)}\n" for row in ROWS)
FILES = {
    "a.txt": "\n".join(TEXTS),
    "a": "\n".join(TEXTS),
    "a.jsonl": LINES,
    "a.ndjson": LINES,
    "a.json": json.dumps(ROWS),
    "b.json": json.dumps(ROWS, indent=2),
    "c.json": LINES,
    "a.csv": "text,label\n" + "".join(f"{text},\n" for text in TEXTS),
}
PACKED = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda text: pa.compress(text, "zstd", asbytes=True),
}


def told(path: Path) -> list[str]:
    """The text of each row, or what is wrong with it."""

    def one(content: Any) -> str:
        try:
            return str(row_of(content, "sequence-classification")["text"])
        except UserError as error:
            return f"error: {error}"

    return [one(content) for _, content in read_rows(path)]


@pytest.mark.parametrize("packing", ["", ".zip", *PACKED])
@pytest.mark.parametrize("name", FILES)
def test_every_row_is_read_from_every_file_compressed_or_not(tmp_path: Path, name: str, packing: str) -> None:
    path, content = tmp_path / f"{name}{packing}", FILES[name].encode()
    if packing == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
    else:
        path.write_bytes(PACKED[packing](content) if packing else content)
    assert told(path) == TEXTS


def test_excel_and_conll_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("w1 O\nw2 B-x\n\nw3 O\n", encoding="utf-8")
    found = [row_of(content, "token-classification") for _, content in read_rows(tmp_path / "a.conll")]
    assert found == [{"tokens": ["w1", "w2"]}, {"tokens": ["w3"]}]
    book = openpyxl.Workbook()
    for text in ("text", *TEXTS):
        book.active.append((text,))
    book.save(tmp_path / "a.xlsx")
    assert told(tmp_path / "a.xlsx") == TEXTS


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("a.jsonl", '"w1"', 'got "w1", expected an object: {'),
        ("a.ndjson", '["w1"]', 'got ["w1"], expected an object: {'),
        ("a.jsonl", "w1", "is no JSON (Expecting value: line 1 column 1 (char 0)); mend it, or give texts as a .txt file"),
        (
            "a.txt",
            '[{"text": "w1"}, {"text": "w2"}]',
            "is a JSON array of rows; give one object a line, or a file that ends in .json",
        ),
        ("a.txt", "w1\rw2", "holds carriage returns: end lines by \\n (tr '\\r' '\\n')"),
        ("a.txt", "w\0", "text: got 'w\\x00', with a NUL, which no text has; remove it, or save the file as UTF-8"),
        ("a.jsonl", '{"text": "w\\u0000"}', "text: got 'w\\x00', with a NUL"),
    ],
)
def test_what_is_no_row_has_an_error_in_its_place_and_the_advice_works(
    tmp_path: Path, name: str, line: str, complaint: str
) -> None:
    good = '{"text": "good"}'
    (tmp_path / name).write_text(f"{good}\n{line}\n{good}\n", encoding="utf-8")
    first, bad, last = told(tmp_path / name)
    assert (first, last) == ("good", "good")
    assert bad.startswith(f"error: {complaint}")
    if ".txt file" in complaint:
        (tmp_path / "a.txt").write_text(line, encoding="utf-8")
        assert told(tmp_path / "a.txt") == [line]
    if ".json" in complaint:
        (tmp_path / "a.json").write_text(line, encoding="utf-8")
        assert told(tmp_path / "a.json") == ["w1", "w2"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a", "a.txt", "a.jsonl"])
def test_a_file_of_wide_characters_is_refused_whole_and_read_as_utf8(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_text(LINES, encoding=encoding)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / name}: is UTF-16 or UTF-32; save it as UTF-8 (iconv ")):
        told(tmp_path / name)
    (tmp_path / name).write_text((tmp_path / name).read_text(encoding=encoding), encoding="utf-8")
    assert told(tmp_path / name) == TEXTS


def test_a_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    writer = Thread(target=(tmp_path / "a").write_text, args=("w1\nw2",))
    writer.start()
    assert told(tmp_path / "a") == ["w1", "w2"]
    writer.join()


def test_a_broken_archive_and_a_broken_array_are_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES.encode() * 99)[:-9])
    with pytest.raises(UserError, match=r"a.jsonl.gz: cannot be unpacked: .*; fetch or pack it again\Z"):
        told(tmp_path / "a.jsonl.gz")
    (tmp_path / "a.json").write_text('[{"text": "w1"},\n"w2"]', encoding="utf-8")
    with pytest.raises(UserError, match=r'a.json: line 2: got "w2", expected an object'):
        told(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("sequence-classification", ["text", "text_pair"]),
        ("token-classification", ["text", "tokens"]),
        ("question-answering", ["question", "context"]),
        ("ranking", ["query", "passage", "passages"]),
        ("causal-lm", ["text", "messages", "prompt"]),
    ],
)
def test_all_that_a_task_reads_is_told(task: str, columns: list[str]) -> None:
    assert readable(task) == columns


def test_columns_of_a_table_are_read_by_the_names_that_they_are_given() -> None:
    row = {"body": "a", "text": "title", "more": "b", "label": 1}
    assert renamed(row, {}) == row
    assert renamed(row, {"text": "body", "text_pair": "more"}) == {"text": "a", "text_pair": "b", "label": 1}
    with pytest.raises(UserError, match="has body, text, more, label; expected 'boby', as --column text=boby says"):
        renamed(row, {"text": "boby"})
