"""What docs/formats.md shows makes rows of tables that are refused."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from distill.commands.new import detect_columns
from distill.core.errors import UserError
from distill.sources.files import read_local
from tests.closures import ROOT
from tests.documents import blocks

WORDS = [["Sentence #", "Word", "Tag"], ["Sentence: 1", "Ada", "B-PER"], ["", "left", "O"], ["Sentence: 2", "NA", "B-LOC"]]
ASKED = [["question", "context", "answer_text", "answer_start"], ["Who left?", "Then Ada left, Ada says.", "Ada", "15"]]


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def table(path: Path) -> pa.Table:
    return read_local(path)["train"].table()


def test_tables_of_words_and_of_answers_become_rows(tmp_path, monkeypatch):
    write(tmp_path / "words.csv", WORDS)
    write(tmp_path / "asked.csv", ASKED)
    for file, message in (
        ("words.csv", "column 'Tag' holds a tag a row, such as 'B-PER'"),
        ("asked.csv", "'answer_text' holds 'Ada'"),
    ):
        with pytest.raises(UserError, match=message) as refused:
            detect_columns(table(tmp_path / file), {}, None)
        assert "docs/formats.md" in str(refused.value)
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs/formats.md", "python")
    exec(code, {})
    sentences, questions = table(tmp_path / "sentences.jsonl"), table(tmp_path / "questions.jsonl")
    assert sentences.to_pylist() == [{"tokens": ["Ada", "left"], "tags": ["B-PER", "O"]}, {"tokens": ["NA"], "tags": ["B-LOC"]}]
    assert questions["answers"].to_pylist() == [{"text": ["Ada"], "answer_start": [15]}]
    assert detect_columns(sentences, {}, None).parts == {"tokens": "tokens", "tags": "tags"}
    assert detect_columns(questions, {}, None).task == "question-answering"


def test_questions_without_answers_are_refused_unless_the_task_is_said():
    rows = pa.table({"question": ["Who left?"] * 4, "context": ["Then Ada left."] * 4})
    with pytest.raises(UserError, match="no column holds answers, expected a column `answers`"):
        detect_columns(rows, {}, None)
    assert detect_columns(rows, {}, "question-answering").parts == {"question": "question", "context": "context"}
