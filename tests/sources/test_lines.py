"""Text files with a row a line: texts alone, and fastText's lines, which have their labels among the words."""

import gzip
import re

import pytest

from distill.core.errors import UserError
from tests.sources.reading import read, rows_of, write


def test_lines_are_rows_and_blank_ones_are_counted(tmp_path, capsys):
    content = ' a, "b\tc\r\n\n \n__label__x d\u2028e\nlast'
    expected = [(' a, "b\tc',), ("__label__x d\u2028e",), ("last",)]
    assert rows_of(write(tmp_path / "a.txt", content), format="text") == expected
    assert "a.txt: 2 blank lines are no rows" in capsys.readouterr().err
    assert rows_of(write(tmp_path / "b.txt.gz", gzip.compress(content.encode("utf-16"))), format="text") == expected
    write(tmp_path / "splits/train.txt", "a\nb")
    write(tmp_path / "splits/test.txt", "c")
    assert read(tmp_path / "splits", format="text") == {"test": {"text": ["c"]}, "train": {"text": ["a", "b"]}}


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ("__label__a x y\n  __label__b\tz x__label__c\n", ["a", "b"]),
        ("x __label__a y\nz x__label__c\t__label__b\n", ["a", "b"]),
        ("__label__a x __label__b y\nz x__label__c __label__c\n", [["a", "b"], ["c"]]),
        ("__label__a x y\nz x__label__c\n", [["a"], []]),
    ],
)
def test_labels_are_words_that_stand_anywhere(tmp_path, content, labels):
    assert read(write(tmp_path / "a.txt", content), format="fasttext")["train"] == {
        "text": ["x y", "z x__label__c"],
        "label": labels,
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("__label__a x\n\n__label__b \n", "a.txt: line 3: has no text beside its labels; mend or remove it"),
        ("x\ny\n", "a.txt: no word begins with __label__; `format: text` reads lines without labels"),
    ],
)
def test_what_is_no_row_is_named(tmp_path, content, complaint):
    with pytest.raises(UserError, match=re.escape(complaint)):
        read(write(tmp_path / "a.txt", content), format="fasttext")
    if "format: text" in complaint:
        assert len(rows_of(tmp_path / "a.txt", format="text")) == 2
