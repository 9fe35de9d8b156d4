"""Excel files: cells as they are written, one sheet, nothing invented for a formula without a value."""

import datetime
import re
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest
from openpyxl.worksheet.formula import ArrayFormula

from distill.core.errors import UserError
from tests.sources.reading import read, rows_of, write


def workbook(path: Path, *rows: tuple[object, ...], **sheets: tuple[tuple[object, ...], ...]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for name, more in sheets.items():
        sheet = book.create_sheet(name)
        for row in more:
            sheet.append(row)
    book.save(path)
    return path


def test_cells_are_text_as_they_are_written(tmp_path, capsys):
    day = datetime.datetime(2024, 1, 5)
    rows = [("007", 1), (2.0, 1.5), (day, True), (None, day.replace(hour=3)), (None, None), ("a\nb", datetime.time(3))]
    path = workbook(tmp_path / "a.xlsx", (" text", "label "), *rows, other=(("text",), ("else",)))
    assert read(path)["train"] == {
        "text": ["007", "2", "2024-01-05", None, "a\nb"],
        "label": ["1", "1.5", "TRUE", "2024-01-05 03:00:00", "03:00:00"],
    }
    said = capsys.readouterr().err
    assert "its first sheet, 'Sheet', is read; 1 more are not (`sheet` names another)" in said
    assert "1 blank rows are no rows" in said
    assert rows_of(path, sheet="other") == [("else",)]


@pytest.mark.parametrize(
    ("rows", "options", "complaint"),
    [
        ([], {}, "its sheet has no row"),
        ([("text", "text")], {}, "columns 1 and 2 are both named 'text'; rename one"),
        ([("text",), ("=1+1",)], {}, "row 2, column 1: the formula '=1+1' has no value in the file; open and save it in Excel"),
        ([("text",), ("#N/A",)], {}, "row 2, column 1: holds the error #N/A; mend it"),
        ([("text",), ("a", "b"), ("c",)], {}, "row 2: has a cell to the right of the last column name; name that column"),
        ([("text", "label"), ("a", "b"), ("Text ", "Label")], {}, "row 3: is the line of column names once more; remove it"),
        ([("Answers of 2024", None), ("text", "label"), ("a", "b")], {}, "its first row has one name, 'Answers of 2024', and"),
        ([("Answers of 2024",), (), ("text", "label"), ("a", "b")], {}, "its first row has one name, 'Answers of 2024', and"),
        ([("text",)], {"sheet": "sheet"}, "has no sheet 'sheet'; did you mean 'Sheet'?"),
    ],
)
def test_what_is_no_table_is_refused_with_its_row(tmp_path, rows, options, complaint):
    path = workbook(tmp_path / "a.xlsx", *rows)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}"):
        read(path, **options)


def test_characters_that_xml_has_not_are_read_and_a_column_without_a_name_is_said(tmp_path, capsys):
    cells = ("a_x000D_\nb", "_x005F_x000D_", "_x0041", "_xD83D_ _x0000_")
    path = workbook(tmp_path / "a.xlsx", ("te_x0078_t", "label", None, "more"), cells)
    assert rows_of(path) == [("a\r\nb", "_x000D_", "_x0041", "_xD83D_ _x0000_")]
    assert list(read(path)["train"]) == ["text", "label", "column 3", "more"]
    assert "its column 3 has no name; it is called 'column 3'\n" in capsys.readouterr().err


def test_merged_cells_are_refused(tmp_path):
    path = workbook(tmp_path / "a.xlsx", ("text", "label"), ("a", "pos"), ("b", None))
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("B2:B3")
    book.save(path)
    with pytest.raises(UserError, match=rf"^{path}: its cells B2:B3 are merged; unmerge them, and fill each\Z"):
        read(path)


def test_a_broken_file_and_a_missing_library_are_said_in_one_line(tmp_path, monkeypatch):
    path = write(tmp_path / "a.xlsx", b"PK")
    with pytest.raises(UserError, match=rf"^{path}: broken xlsx file: File is not a zip file\Z"):
        read(path)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"reading Excel files needs openpyxl; `pip install -e '.\[excel\]'`"):
        read(path)


def test_a_first_row_that_is_no_names_stays_one_when_the_source_names_the_columns(tmp_path):
    path = workbook(tmp_path / "a.xlsx", ("great", "pos"), ("bad", None))
    assert read(path, names=("text", "label"))["train"] == {"text": ["great", "bad"], "label": ["pos", None]}
    with pytest.raises(UserError, match=re.escape("`names` has 1 (text), its first row has 2 fields; name each")):
        read(path, names=("text",))


def with_value(path: Path, kind: str, value: str) -> Path:
    """The same workbook, whose formulas have a value, as Excel writes it."""
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = re.sub(
        rb"<c r=(\S+)><f>(.*?)</f><v ?/?>(</v>)?", rf'<c r=\1 t="{kind}"><f>\2</f><v>{value}</v>'.encode(), parts[sheet]
    )
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    return path


def test_the_empty_text_of_a_formula_is_an_empty_cell(tmp_path):
    path = workbook(tmp_path / "a.xlsx", ("text", "label"), ("a", '=IF(A2="b","x","")'))
    assert rows_of(with_value(path, "str", "")) == [("a", None)]


def test_a_formula_of_several_cells_without_a_value_is_refused(tmp_path):
    path = workbook(tmp_path / "a.xlsx", ("text",), (ArrayFormula("A2:A2", "=1+1"),))
    with pytest.raises(UserError, match="row 2, column 1: the formula '=1[+]1' has no value in the file"):
        read(path)


def test_blank_rows_above_the_names_are_none(tmp_path):
    assert rows_of(workbook(tmp_path / "a.xlsx", (), (), ("text", "label"), ("a", "b"))) == [("a", "b")]
