"""CSV and its kin: delimiters sniffed, all columns text, and no row lost to a stray quote."""

import csv
import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.sources.quotes import ADVICE, Quotes
from distill.sources.streams import ReadOptions, Stream, batched
from distill.sources.texts import detect_encoding, open_text

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
ENCLOSED = re.compile(r'"(?:[^"]|"")*"')
BLANKS = " \t\r\n\u00a0\u200b\u200e\u200f\u2060\ufeff"
"""What stands around names unseen, some of it from web pages."""
SAMPLE = 1 << 20
"""Characters of the first rows that the delimiter is told from."""


@dataclass(frozen=True)
class Dialect:
    """How one file writes its fields."""

    encoding: str
    first_line: int
    """1 where the first line says `sep=;`, as Excel writes it, else 0: lines before the header."""
    delimiter: str
    quoted: bool
    """Whether a field that begins with a quote ends with one."""
    skip_blank: bool = False
    """Whether blanks in front of a field are no part of it."""
    header: bool = True
    """Whether the first row names the columns."""


class Lines:
    """Lines, and those of the record that was read last."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Over any lines."""
        self.lines, self.record = iter(lines), list[str]()

    def __iter__(self) -> "Lines":
        """Itself."""
        return self

    def __next__(self) -> str:
        """The next line, kept."""
        line = next(self.lines)
        self.record.append(line)
        return line


def read_delimited(file: Path, options: ReadOptions, default: str) -> Stream:
    """A file whose first line names its columns, or whose source does; `default` is the delimiter of its ending."""
    csv.field_size_limit(sys.maxsize)
    dialect, names = _dialect(file, options, default)
    schema = pa.schema([(name, pa.string()) for name in names])

    def read(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return batched(((sum(map(len, row)), row) for row in _rows(file, dialect, names)), schema, wanted)

    return Stream(schema, read)


def _dialect(file: Path, options: ReadOptions, default: str) -> tuple[Dialect, list[str]]:
    encoding = detect_encoding(file, options.encoding)
    with open_text(file, encoding) as lines:
        first = lines.readline()
        said = re.fullmatch(r"sep=(.)\s*", first)
        sample = list(_sample(lines if said else itertools.chain([first], lines)))
    if not any(line.strip() for line in sample):
        raise UserError(f"{file}: is empty; expected a line of column names, then rows")
    delimiter = options.delimiter or (said and said[1]) or _sniff(file, sample, default)
    if delimiter != default:
        print_result(f"{file}: its fields are read as parted by {DELIMITERS.get(delimiter, repr(delimiter))}")
    dialect = Dialect(encoding, int(bool(said)), delimiter, True, header=options.names is None)
    if delimiter == "\t":
        dialect = replace(dialect, quoted=_tabs_are_quoted(file, dialect))
    first_row = _first_row(file, dialect)
    if len(first_row) > 1 and all(field[:1].isspace() for field in first_row[1:]) and delimiter != "\t":
        dialect = replace(dialect, skip_blank=True)
        first_row = _first_row(file, dialect)
    if options.names is None:
        rows = [row for _, row in itertools.islice(_records(file, dialect), 100) if row][1:]
        if len(first_row) > 1:
            require_no_title(file, first_row, rows)
        names = column_names(file, first_row, skipped=dialect.skip_blank)
        _tell_row(file, names, rows)
        return dialect, names
    return dialect, require_names(file, options.names, first_row)


def _tell_row(file: Path, names: Sequence[str], rows: Sequence[list[str]]) -> None:
    """Say it if the line of column names may be a row: one of them is a value of its column too."""
    found = next((name for place, name in enumerate(names) if any(name in row[place : place + 1] for row in rows)), None)
    if found is not None:
        print_result(
            f"{file}: its first line is read as the names of columns, though {found!r:.60} is a value of that column too; if it "
            "is a row, name the columns by the source's `names`"
        )


def require_names(file: Path, names: Sequence[str], first: Sequence[str]) -> list[str]:
    """The names that a source gives to columns, if they are as many as its first row has fields, and that is a row."""
    if len(names) != len(first):
        raise UserError(
            f"{file}: `names` has {len(names)} ({', '.join(names)}), its first row has {len(first)} fields; name each"
        )
    there, given = _folded(first), _folded(names)
    if sorted(there) == sorted(given):
        raise UserError(f"{file}: its first line names the columns already, {', '.join(first)}; remove `names`")
    if (found := set(there) & set(given)) and len(given) > 1:
        print_result(
            f"{file}: its first line is read as a row, though {min(found)!r:.60} is one of `names` too; if it names the columns, "
            "remove that line, or `names`"
        )
    return list(names)


def require_row(where: str, fields: Sequence[str | None], header: Sequence[str | None]) -> None:
    """Refuse column names in place of a row, as files that were put together have them, however they are written there."""
    if len(header) < 2 or sorted(found := _folded(fields)) != sorted(names := _folded(header)):
        return
    if found == names:
        what = "is the line of column names once more; remove it"
    else:
        what = "names the columns once more, in another order; remove it, and write the fields below it in the order of the first"
    raise UserError(f"{where}: {what}, or if the first line is a row, give the source's `names`")


def _folded(names: Sequence[str | None]) -> list[str]:
    return [(name or "").strip(BLANKS).casefold() for name in names]


def _first_row(file: Path, dialect: Dialect) -> list[str]:
    return next(row for _, row in _records(file, dialect) if row)


def require_no_title(file: Path, header: Sequence[str | None], rows: Iterable[Sequence[str | None]]) -> None:
    """Refuse a first row with one text where most rows below it have more: a title above the column names, not these."""
    widths = [width for row in rows if (width := sum(map(bool, row)))]
    if header[0] and not any(header[1:]) and sum(width > 1 for width in widths) > len(widths) / 2:
        raise UserError(
            f"{file}: its first row has one name, {header[0]!r:.60}, and rows below it have {max(widths)} fields; if it is a "
            "title, remove it, so that the column names come first; else name each column there"
        )


def column_names(file: Path, header: Sequence[str], *, skipped: bool = False) -> list[str]:
    """The names that a first row gives to columns; those without one are numbered. `skipped`: so are blanks before fields."""
    names = [name.strip(BLANKS) for name in header]
    if names != list(header) or skipped:
        more = ", and those in front of all fields" if skipped else ""
        print_result(f"{file}: blanks around the names of its columns are ignored{more}")
    nameless = [place for place, name in enumerate(names) if not name]
    for place in nameless:
        names[place] = f"column {place + 1}"
    if nameless:
        more = f", and {len(nameless) - 1} more likewise" if len(nameless) > 1 else ""
        print_result(f"{file}: its column {nameless[0] + 1} has no name; it is called '{names[nameless[0]]}'{more}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        places = " and ".join(str(i + 1) for i, name in enumerate(names) if name == twice)
        raise UserError(f"{file}: columns {places} are both named {twice!r:.60}; rename one")
    return names


def _sample(lines: Iterable[str]) -> Iterator[str]:
    left = SAMPLE
    for line in itertools.islice(lines, 100):
        yield line
        left -= len(line)
        if left < 0:
            return


def _sniff(file: Path, sample: list[str], default: str) -> str:
    """The delimiter that parts the header, and if several do, the one by which the first rows have as many fields."""
    widths = {}
    for delimiter in DELIMITERS:
        rows = [row for row in csv.reader(sample, delimiter=delimiter) if row]
        widths[delimiter] = [len(row) for row in rows[:50]]
    found = [delimiter for delimiter, counts in widths.items() if counts[0] > 1]
    if len(found) <= 1:
        return found[0] if found else default
    even = [delimiter for delimiter in found if len(set(widths[delimiter])) == 1]
    if default in even or (default in found and len(even) != 1):
        return default
    if len(even) != 1:
        names = " and by ".join(DELIMITERS[delimiter] for delimiter in found)
        raise UserError(f"{file}: its first line is parted by {names}; say which is meant by the source's `delimiter`")
    return even[0]


def _tabs_are_quoted(file: Path, dialect: Dialect) -> bool:
    """Whether quotes enclose the fields of a tab-separated file: each that opens has to close in its field.

    Where lines have different numbers of fields, only quotes can explain it, by a tab or a line break within them.
    """
    open_at = width = 0
    with open_text(file, dialect.encoding) as lines:
        for number, line in enumerate(itertools.islice(lines, dialect.first_line, None), dialect.first_line + 1):
            fields = line.rstrip("\r\n").split("\t")
            width = width or len(fields)
            if len(fields) != width and line.strip():
                return True
            if not open_at and not all(ENCLOSED.fullmatch(field) for field in fields if field.startswith('"')):
                open_at = number
    if open_at:
        print_result(f"{file}: line {open_at}: a quote does not close in its field: quotes are read as parts of the texts")
    return not open_at


def _records(file: Path, dialect: Dialect) -> Iterator[tuple[tuple[int, list[str]], list[str]]]:
    """Each record: (the number of its first line, its lines), and its fields; none for a blank line."""
    with open_text(file, dialect.encoding) as text:
        lines = Lines(itertools.islice(text, dialect.first_line, None))
        how: Any = {"quoting": csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE, "skipinitialspace": dialect.skip_blank}
        reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True, **how)
        while True:
            line = dialect.first_line + reader.line_num + 1
            lines.record = []
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                what = "a quote opens a field and does not close" if "unexpected end" in str(error) else str(error)
                raise UserError(f"{file}: line {line}: {what}; {ADVICE}") from None
            yield (line, lines.record), fields


def _rows(file: Path, dialect: Dialect, names: list[str]) -> Iterator[list[str]]:
    """The rows, less the header; an error names the line of one with more or fewer fields, or where a quote closes too late."""
    width, blank, quotes = len(names), 0, Quotes(file, dialect.delimiter, dialect.quoted)
    first = "the header" if dialect.header else "the first line"
    records = _records(file, dialect)
    header = next(fields for _, fields in records if fields) if dialect.header else None
    for (line, lines), fields in records:
        if not fields or (width > 1 and len(fields) == 1 and not fields[0].strip()):
            blank += 1
            continue
        if len(fields) != width:
            count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
            by = DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
            advice = "remove the header if it is a title, " if width == 1 and dialect.header else ""
            raise UserError(
                f"{file}: line {line}: has {count} by {by}, {first} has {width}; {advice}mend the line (a field with a delimiter "
                "stands in quotes), or set `delimiter`"
            )
        if header is not None:
            require_row(f"{file}: line {line}", fields, header)
        quotes.look_at(line, lines, fields)
        yield fields
    if blank:
        print_result(f"{file}: {blank} blank lines are no rows")
    quotes.tell()
