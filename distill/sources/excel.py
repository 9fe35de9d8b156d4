"""Excel's .xlsx files: one sheet, its first row the names of columns, every cell text as it was written."""

import datetime
import itertools
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError, one_line
from distill.core.validation import nearest
from distill.sources.delimited import column_names, require_names, require_no_title, require_row
from distill.sources.streams import ReadOptions, Stream, batched
from distill.sources.texts import CHUNK

ESCAPED = re.compile("_x(?!0000|[dD][89a-fA-F])([0-9a-fA-F]{4})_")
"""How the format writes a character that its XML has not, such as a carriage return: _x000D_; never NUL or half a character."""
EMPTY_TEXT = "str"
"""The type of a formula's value that is text: one that is none is the empty text, such as that of =IF(A2="","",…)."""
MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*?ref="([^"]+)"')


def read_excel(file: Path, options: ReadOptions) -> Stream:
    """The first sheet, or that which `sheet` names; an empty cell is null. The first row names columns, or the source does."""
    with _sheets(file, options.sheet) as (values, formulas):
        written = (row for _, row in _rows(file, values, formulas))
        rows = [*itertools.islice(itertools.dropwhile(lambda row: not any(row), written), 100)] or [[]]
        header = rows[0]
        _require_unmerged(file, values)
        chosen = values.title
    if not any(header):
        raise UserError(f"{file}: its sheet has no row; expected a row of column names, then rows")
    if options.names is None:
        require_no_title(file, header, rows[1:])
    first = [cell or "" for cell in header]
    names = column_names(file, first) if options.names is None else require_names(file, options.names, first)
    schema = pa.schema([(name, pa.string()) for name in names])

    def read(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return batched(_table(file, chosen, len(names), options.names is None), schema, wanted)

    return Stream(schema, read)


def _table(file: Path, sheet: str, width: int, header: bool) -> Iterator[tuple[int, list[str | None]]]:
    blank = skipped = 0
    with _sheets(file, sheet) as (values, formulas):
        rows = _rows(file, values, formulas)
        names = next(row for _, row in rows if any(row)) if header else None
        for number, row in rows:
            if not any(cell is not None for cell in row):
                blank += 1
                continue
            if any(cell is not None for cell in row[width:]):
                raise UserError(f"{file}: row {number}: has a cell to the right of the last column name; name that column")
            skipped, blank = skipped + blank, 0
            cells = (row + [None] * width)[:width]
            if names is not None:
                require_row(f"{file}: row {number}", cells, names)
            yield sum(len(cell or "") for cell in cells), cells
    if skipped:
        print_result(f"{file}: {skipped} blank rows are no rows")


@contextmanager
def _sheets(file: Path, name: str | None) -> Iterator[tuple[Any, Any]]:
    """The sheet with the values that formulas had, and with the formulas."""
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise UserError(f"{file}: reading Excel files needs openpyxl; `pip install -e '.[excel]'`") from None
    opened: list[Any] = []
    try:
        with warnings.catch_warnings(action="ignore"):
            opened += [openpyxl.load_workbook(file, read_only=True, data_only=data_only) for data_only in (True, False)]
        chosen = _chosen(file, name, [sheet.title for sheet in opened[0].worksheets])
        for book in opened:
            book[chosen].reset_dimensions()
        yield opened[0][chosen], opened[1][chosen]
    except (zipfile.BadZipFile, InvalidFileException, ParseError, OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise UserError(f"{file}: broken xlsx file: {one_line(error)}") from None
    finally:
        for book in opened:
            book.close()


def _chosen(file: Path, name: str | None, names: list[str]) -> str:
    if not names or (name is not None and name not in names):
        raise UserError(f"{file}: has no sheet '{name or ''}'{nearest(name or '', names)}")
    if name is None and len(names) > 1:
        print_result(f"{file}: its first sheet, '{names[0]}', is read; {len(names) - 1} more are not (`sheet` names another)")
    return name if name is not None else names[0]


def _require_unmerged(file: Path, sheet: Any) -> None:
    """Refuse cells that are merged: the file has the value of the first alone, and the others would pass for empty."""
    tail = b""
    with sheet._get_source() as xml:
        while chunk := xml.read(CHUNK):
            if found := MERGED.search(tail + chunk):
                raise UserError(f"{file}: its cells {found[1].decode()} are merged; unmerge them, and fill each")
            tail = (tail + chunk)[-200:]


def _rows(file: Path, values: Any, formulas: Any) -> Iterator[tuple[int, list[str | None]]]:
    """Row numbers as Excel shows them, and cells as text."""
    for number, (cells, written) in enumerate(zip(values.iter_rows(), formulas.iter_rows(values_only=True), strict=True), 1):
        row: list[str | None] = []
        for cell, formula in zip(cells, written, strict=True):
            where = f"{file}: row {number}, column {len(row) + 1}"
            inside = getattr(formula, "text", formula)  # of a formula of several cells
            if cell.value is None and isinstance(inside, str) and inside.startswith("=") and cell.data_type != EMPTY_TEXT:
                raise UserError(f"{where}: the formula {inside!r:.40} has no value in the file; open and save it in Excel")
            if getattr(cell, "data_type", None) == "e":
                raise UserError(f"{where}: holds the error {cell.value}; mend it")
            row.append(_text(cell.value))
        yield number, row


def _text(value: Any) -> str | None:
    """A cell as it is written: whole numbers without a point, dates as ISO 8601 has them."""
    if isinstance(value, str):
        return ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    if value is None:
        return None
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        whole = value.time() == datetime.time()
        return value.date().isoformat() if whole else value.isoformat(sep=" ")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)
