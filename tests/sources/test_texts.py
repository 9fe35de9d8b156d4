"""Encodings: by the byte-order mark, then UTF-8, then what the source says; advice that makes no garbage."""

import codecs
import re

import pytest

from distill.core.errors import UserError
from tests.sources.reading import read, write

CONTENTS = {
    "rows.csv": "text,label\ncafé crème,pos\n",
    "rows.tsv": "text\tlabel\ncafé crème\tpos\n",
    "rows.jsonl": '{"text": "café crème", "label": "pos"}\n',
    "pos/1.txt": "café crème",
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "cp1252"),
        ("utf-8-sig", "cp1252"),
        ("utf-16", "utf-8"),
        ("utf-32", "utf-8"),
        ("cp1252", "cp1252"),
        ("utf-16-le", "utf-16-le"),
        ("utf-7", "utf-7"),
        ("cp500", "cp500"),
    ],
)
def test_every_encoding_gives_the_same_text(tmp_path, name, written, given):
    path = write(tmp_path / name, CONTENTS[name], written)
    found = read(path.parent.parent if name == "pos/1.txt" else path, encoding=given)
    assert found == {"train": {"text": ["café crème"], "label": ["pos"]}}


def test_a_mark_of_utf_16_or_32_wins_over_what_the_source_says(tmp_path):
    content = CONTENTS["rows.csv"]
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF32_LE, "utf-32-le")):
        path = write(tmp_path / "rows.csv", mark + content.encode(encoding))
        assert read(path, encoding="cp1252")["train"]["text"] == ["café crème"]


@pytest.mark.parametrize(
    ("content", "written", "complaint"),
    [
        ("text,label\na,pos\ncafé crème,pos\n", "cp1252", "line 3: byte 20 is not utf-8"),
        ("text,label\n“It’s” café,pos\n", "cp1252", "line 2: byte 11 is not utf-8"),
        ("text,label\nit’s 9 €,pos\n", "cp1252", "line 2: byte 13 is not utf-8"),
        ("text,label\nZażółć gęślą jaźń i wiele,pos\n", "cp1250", "line 2: byte 13 is not utf-8"),
        ("text,label\nПривет как дела у тебя сегодня,pos\n", "cp1251", "line 2: byte 11 is not utf-8"),
        ("text,label\n" + "a,neg\n" * 200_000 + "私は東京に住んでいます。,pos\n", "cp932", "line 200002: byte 1200011 is not"),
        ("text,label\nhello,pos\n", "utf-16-le", "line 1: holds a NUL character when it is read as utf-8"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_another_encoding_is_asked_for_by_what_it_would_read_and_the_advice_works(tmp_path, content, written, complaint):
    path = write(tmp_path / "rows.csv", content, written)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}") as refused:
        read(path)
    advice = re.search(r"is '(.*)' what it should say\? Then set the source's `encoding: (\w+)`", str(refused.value))
    assert advice
    assert advice[1].replace("\\n", "\n") in content
    assert read(path, encoding=advice[2])["train"]["text"][-1] == content.splitlines()[-1].partition(",")[0]


@pytest.mark.parametrize("early", ["some word café here", "Straße für Äpfel", "it’s fine", "100€ café"])
def test_letters_far_below_are_read_as_advised_for_the_first_of_them(tmp_path, early):
    path = write(tmp_path / "rows.csv", f"text\n{early}\n" + "words\n" * 1000 + "mañana garçon\n", "cp1252")
    with pytest.raises(UserError, match="encoding: cp1252`"):
        read(path)
    assert read(path, encoding="cp1252")["train"]["text"][-1] == "mañana garçon"


@pytest.mark.parametrize(
    ("content", "encoding", "complaint"),
    [
        (b"text\n\x81\x8d\n", "cp1252", "line 2: byte 5 is not cp1252"),
        (
            b"text\na\n\x93So\x94 \xe9\n",
            "latin-1",
            "line 3: holds a control character when it is read as latin-1; is 'text\\na\\n“So” é",
        ),
        (codecs.BOM_UTF16_LE + b"odd", "utf-8", "line 1: byte 4 is not utf-16"),
        (
            codecs.BOM_UTF8 + b"text\n\xff\n",
            "cp1252",
            "line 2: byte 8 is not utf-8; its first bytes say utf-8-sig: it is damaged",
        ),
        (
            b"text\na\n\0\n",
            "utf-8",
            "line 3: holds a NUL character when it is read as utf-8; no text has that: remove it from this",
        ),
        (b"text\n" + b"a word\n" * 99 + b"a\0\n", "cp1252", "line 101: holds a NUL character when it is read as cp1252; no text"),
    ],
)
def test_what_no_given_encoding_reads_is_refused_with_line_and_byte(tmp_path, content, encoding, complaint):
    path = write(tmp_path / "rows.csv", content)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}"):
        read(path, encoding=encoding)
    if b"\0" in content:
        assert read(write(path, content.replace(b"\0", b"")), encoding=encoding)["train"]["text"][0].startswith("a")
