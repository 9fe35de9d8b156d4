"""CSV and its kin: the delimiter is told, values stay as written, no quote swallows a row."""

import csv
import io
import re

import pytest

from distill.core.errors import UserError
from distill.preparation.columns import map_texts, read_raw
from tests import tiny
from tests.sources.reading import read, rows_of, write
from tests.sources.test_excel import workbook

TSV = "text\tlabel\n"
SWALLOWING = '"The film is great\tpos\nfoo\tneg\nbar"\tpos\n'


MERGING = 'text,label\n"Great film, a must,pos\nscreen is 15",neg\na,pos\n'
NOT_QUOTED = [('"The film is great', "pos"), ("foo", "neg"), ('bar"', "pos")]


@pytest.mark.parametrize(
    ("name", "content", "rows", "said"),
    [
        ("a.csv", "text;label\na, b;pos\n", [("a, b", "pos")], "its fields are read as parted by semicolons"),
        ("a.csv", "text\tlabel\na, b\tpos\n", [("a, b", "pos")], "parted by tabs"),
        ("a.csv", 'text|label\n"a|b"|pos\n', [("a|b", "pos")], "parted by bars"),
        ("a.tsv", "text,label\na,pos\n", [("a", "pos")], "parted by commas"),
        ("a.csv", 'text,"a;b"\nq;r,1\n', [("q;r", "1")], ""),
        ("a.csv", "sep=;\ntext;label\na;b\n", [("a", "b")], "semicolons"),
        ("a.csv", "text\nno delimiter\n", [("no delimiter",)], ""),
        ("a.csv", "text,id\n2024-01-05,007\n12,1.10\ntrue,\n", [("2024-01-05", "007"), ("12", "1.10"), ("true", "")], ""),
        ("a.csv", "text, label\n a,  pos\n", [("a", "pos")], "of its columns are ignored, and those in front of all fields"),
        ("a.csv", "text ,label\na,pos\n", [("a", "pos")], "blanks around the names of its columns are ignored\n"),
        ("a.csv", 'text, label\n"a, b", "c"\n', [("a, b", "c")], "blanks"),
        ("a.csv", "\ufeff\ufefftext,\u200blabel\na,b\n", [("a", "b")], "blanks around"),
        ("a.csv", f"text,label\n{'x' * 3_000_000},pos\n", [("x" * 3_000_000, "pos")], ""),
        ("a.csv", "text,label\r\na,pos\r\n\r\nb,neg\r\n", [("a", "pos"), ("b", "neg")], "1 blank lines are no rows"),
        ("a.csv", "text,label\ra,pos\rb,neg", [("a", "pos"), ("b", "neg")], ""),
        ("a.csv", 'text,label\n"two\r\nlines",pos\n', [("two\r\nlines", "pos")], ""),
        ("a.csv", ",text,label,\n0,a,pos,\n", [("0", "a", "pos", "")], "its column 1 has no name; it is called 'column 1'"),
        ("a.csv", "text,\na,\nb,\n", [("a", ""), ("b", "")], "its column 2 has no name"),
        ("a.csv", "text,label\n", [], ""),
        ("a.csv", 'text,label\n"Dear Bob, hi\nbye",pos\n', [("Dear Bob, hi\nbye", "pos")], "runs over lines that look like rows"),
        ("a.csv", MERGING, [("Great film, a must,pos\nscreen is 15", "neg"), ("a", "pos")], "line 2: a field in quotes runs"),
        ("a.csv", 'text,label\n"one, or, no\ntwo,\nthree",no\n', [("one, or, no\ntwo,\nthree", "no")], ""),
        ("a.tsv", TSV + SWALLOWING, NOT_QUOTED, "line 2: a quote does not"),
        ("a.csv", TSV + SWALLOWING, NOT_QUOTED, "quotes are read as parts of"),
        (
            "a.tsv",
            TSV + '"one"\tpos\n"say ""hi"""\tneg\n5" wide\tneg\n',
            [("one", "pos"), ('say "hi"', "neg"), ('5" wide', "neg")],
            "",
        ),
        ("a.tsv", TSV + '"two\nlines"\tpos\n"a\ttab"\tneg\n', [("two\nlines", "pos"), ("a\ttab", "neg")], ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_every_row_is_read_as_it_is_written_and_what_was_guessed_is_said(tmp_path, capsys, name, content, rows, said):
    assert rows_of(write(tmp_path / name, content)) == rows
    lines = capsys.readouterr().err
    assert said in lines if said else not lines


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty; expected a line of column names"),
        ("\n \n", "is empty; expected a line of column names"),
        ("text,label\na,b\nc\n", "line 3: has 1 field by commas, the header has 2; mend the line"),
        ("text,label\na,b,c\n", "line 2: has 3 fields by commas, the header has 2"),
        ('text,label\n"x\ny",b\na,b,\n', "line 4: has 3 fields by commas, the header has 2"),
        ("Answers of 2024,\ntext,label\na,b\n", "its first row has one name, 'Answers of 2024', and rows below"),
        ("Answers of 2024\n\ntext,label\na,b\n", "line 3: has 2 fields by commas, the header has 1; remove the header if"),
        ("text, text\na,b\n", "columns 1 and 2 are both named 'text'; rename one"),
        ("text,label\na,pos\ntext,label\nb,neg\n", "line 3: is the line of column names once more; remove it"),
        ("text,label\na,pos\n\ufeffText, LABEL \nb,neg\n", "line 3: is the line of column names once more; remove it"),
        (
            "text,label\na,pos\nLabel,text\nneg,b\n",
            "line 3: names the columns once more, in another order; remove it, and write the fields below it in the order of",
        ),
        ('text,label\n"never closed,pos\nb,neg\n', "line 2: a quote opens a field and does not close; close it, or write"),
        ('text,label\na,b\n"he \\"said\\"",neg\n', "line 3: ',' expected after '\"'"),
        ('text,label\n"great,pos\nfoo,neg\nbar",pos\nx "y",neg\n', "line 2: a quote opens a field and closes on a later line"),
        (
            MERGING + 'x "y",neg\n',
            "line 2: a quote opens a field and closes on a later line, though its lines look like rows, and line 5 has a quote",
        ),
        (TSV + '"a\tgreat film\tpos\nfoo\tneg\nbar"\tneg\n', "line 2: a quote opens a field and closes on a later line"),
        (TSV + '"a\tb\nc\td\te\n', "line 2: a quote opens a field and does not close"),
        ("text;a|label;b\nc;d|e|f\n", "its first line is parted by semicolons and by bars; say which is meant by the source's"),
    ],
)
def test_what_may_lose_or_merge_a_row_is_refused_with_its_line(tmp_path, content, complaint):
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}.*\\Z"):
        read(path)


@pytest.mark.parametrize(
    ("content", "mended", "options"),
    [
        ("text\nHello, world\n", "text\nHello, world\n", {"delimiter": ";"}),
        ("text\nHello, world\n", 'text\n"Hello, world"\n', {}),
        ('text\n"Hello, world\n', 'text\n"""Hello, world"\n', {}),
    ],
)
def test_the_advice_of_a_refusal_works(tmp_path, content, mended, options):
    with pytest.raises(UserError, match="stands in quotes\\), or set `delimiter`|write each quote within a field twice"):
        read(write(tmp_path / "a.csv", content))
    assert [text.strip('"') for (text,) in rows_of(write(tmp_path / "a.csv", mended), **options)] == ["Hello, world"]


def test_a_file_without_a_line_of_names_is_told_where_a_column_is_missed(tmp_path):
    rows, classes = "I love it,pos\nI hate it,neg\n", tiny.settings()
    write(tmp_path / "train.csv", rows)
    missed = "no column 'text' for columns.text; expected one of: I love it, pos; if this is a row, put a line of column names"
    with pytest.raises(UserError, match=missed):
        map_texts(read_raw(tmp_path, classes)["train"], "here", classes)
    write(tmp_path / "train.csv", "text,label\n" + rows)
    assert map_texts(read_raw(tmp_path, classes)["train"], "here", classes).texts == ["I love it", "I hate it"]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_first_line_that_is_a_row_stays_one_when_the_source_names_the_columns(tmp_path, capsys, name):
    rows = [("pos", "great, film"), ("neg", "text"), ("pos", "text"), ("neg", "great, film")]
    file = io.StringIO()
    csv.writer(file, delimiter="\t" if name == "a.tsv" else ",").writerows(rows)
    path = write(tmp_path / name, file.getvalue())
    assert read(path, names=("label", "text"))["train"] == {
        "label": [label for label, _ in rows],
        "text": [text for _, text in rows],
    }
    assert not capsys.readouterr().err
    assert len(rows_of(path)) == 3
    assert "though 'pos' is a value of that column too; if it is a row, name the columns by the source's `names`" in " ".join(
        capsys.readouterr().err.split()
    )
    with pytest.raises(UserError, match=re.escape(f"{name}: `names` has 1 (text), its first row has 2 fields; name each")):
        read(path, names=("text",))
    twice = write(tmp_path / "twice.csv", "pos,great\nneg,bad\npos,great\n")
    with pytest.raises(UserError, match="line 3: is the line of column names once more; remove it, or if the first"):
        rows_of(twice)
    assert len(rows_of(twice, names=("label", "text"))) == 3
    with pytest.raises(UserError, match="line 2: has 1 field by commas, the first line has 2"):
        read(write(tmp_path / "b.csv", "a,b\nc\n"), names=("text", "label"))


@pytest.mark.parametrize("header", ["text,label", " Text,LABEL ", "label,text"])
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_names_for_a_file_that_has_them_are_refused_and_the_advice_works(tmp_path, ending, header):
    path = tmp_path / f"a.{ending}"
    if ending == "csv":
        write(path, f"{header}\na,pos\n")
    else:
        workbook(path, tuple(header.split(",")), ("a", "pos"))
    with pytest.raises(
        UserError, match=re.escape(f"its first line names the columns already, {', '.join(header.split(','))}; remove")
    ):
        read(path, names=("text", "label"))
    assert rows_of(path) == [("a", "pos")]


def test_names_of_which_the_first_line_has_one_are_said(tmp_path, capsys):
    assert rows_of(write(tmp_path / "a.csv", "text,label\na,pos\n"), names=("text", "class"))[1:] == [("a", "pos")]
    said = " ".join(capsys.readouterr().err.split())
    assert "read as a row, though 'text' is one of `names` too; if it names the columns, remove that line, or `names`" in said
