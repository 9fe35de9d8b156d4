"""JSON lines, an array of rows, SQuAD's articles, Label Studio's tasks: read value by value, each column with its own type."""

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.sources.json_types import Kind
from distill.sources.label_studio import Asked, is_task, joined, task_rows
from distill.sources.squad import article_rows, is_article
from distill.sources.streams import ReadOptions, Stream, batched
from distill.sources.texts import CHUNK, detect_encoding, inner_name, open_text

ROWS = ("data", "rows", "examples", "records", "items")
"""Keys of an object that is a whole file, under which its rows are: SQuAD's files have `data`, as pandas' tables have."""
LINES = (".jsonl", ".ndjson")
"""Endings of files that have an object a line, whatever that holds."""

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _TwiceError(ValueError):
    """A key that an object has twice."""


class Scanner:
    """The JSON values of a text, one after another; never more of the text in memory than the longest of them."""

    def __init__(self, file: Path, text: io.TextIOBase) -> None:
        """From the text's first character on."""
        self.file, self.text = file, text
        self.buffer, self.place, self.line, self.size = "", 0, 1, 0
        self.decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)

    def more(self) -> bool:
        """Read on; whether there was more."""
        read = self.text.read(max(CHUNK, len(self.buffer) - self.place))
        if read:
            self.line += self.buffer.count("\n", 0, self.place)
            self.buffer, self.place = self.buffer[self.place :] + read, 0
        return bool(read)

    def peek(self) -> str:
        """The next character that is no blank; nothing at the end."""
        while True:
            found = re.compile(r"\S").search(self.buffer, self.place)
            if found:
                self.place = found.start()
                return found.group()
            self.place = len(self.buffer)
            if not self.more():
                return ""

    def take(self, expected: str) -> None:
        """Step over one of these characters."""
        if (found := self.peek()) not in expected or not found:
            self.fail(f"expected {' or '.join(expected)}, got {self.buffer[self.place : self.place + 20]!r}")
        self.place += 1

    def value(self) -> Any:
        """The next value; its length in characters is `size` then."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.place)
            except _TwiceError as error:
                self.fail(f"the key {error.args[0]!r:.60} stands twice in one object; rename or remove one")
            except RecursionError:
                self.fail("is nested too deeply")
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self.buffer) - 16 or error.msg.startswith("Unterminated")
                if not cut or not self.more():
                    self.fail(f"no JSON: {error.msg}, at {self.buffer[error.pos : error.pos + 20]!r}", error.pos)
            except ValueError:
                self.fail("holds a number of too many digits; write it as text")
            else:
                if SURROGATE.search(self.buffer, self.place, end):
                    self._require_whole(value)
                self.size, self.place = end - self.place, end
                return value

    def _require_whole(self, value: Any) -> None:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            self.fail("holds half a character (a lone surrogate); mend or drop the row")

    def fail(self, what: str, place: int | None = None) -> NoReturn:
        """Name the line."""
        at = self.place if place is None or not self.buffer[place:].strip() else place
        line = self.line + self.buffer.count("\n", 0, at)
        raise UserError(f"{self.file}: line {line}: {what}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _TwiceError(next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i])))
    return made


def _constant(name: str) -> float | None:
    """NaN is how pandas and NumPy say that there is nothing."""
    return None if name == "NaN" else float(name)


def read_json(files: Sequence[Path], options: ReadOptions) -> Stream:
    """The rows of files, in their order, whose columns need not be the same."""
    encodings = {file: detect_encoding(file, options.encoding) for file in files}
    wrapped = {file: _key_of_rows(file, encoding) for file, encoding in encodings.items()}
    asked = {file: None if wrapped[file] else _asked(file, encoding) for file, encoding in encodings.items()}
    of_all = joined(asked.values())
    for note in of_all.notes():
        print_result(f"{files[0]}: {note}")
    if of_all.several:
        others = (file for file in options.beside if file not in asked)
        of_all.like(joined(_asked(file, detect_encoding(file, options.encoding)) for file in others))

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        for file, encoding in encodings.items():
            with open_text(file, encoding) as text:
                yield from _rows(Scanner(file, text), wrapped[file], asked[file], of_all)

    kinds: dict[str, Kind] = {}
    for _, row in rows():
        for key, value in row.items():
            kinds.setdefault(key, Kind()).add(value)
    types = {key: kind.type() for key, kind in kinds.items()}
    schema = pa.schema([(key, kind) for key, kind in types.items() if kind is not None])
    mixed = {key for key, kind in kinds.items() if list(kind.mixed(key))}
    left_out = dict(found for key, kind in kinds.items() for found in kind.left_out(key))
    for place, why in left_out.items():
        print_result(f"{files[0]}: '{place}' is left out: it {why}")
    for place in (place for key, kind in kinds.items() if types[key] is not None for place in kind.mixed(key)):
        print_result(f"{files[0]}: '{place}' holds values of several kinds; all are kept as text")

    def value_of(key: str) -> Callable[[Any], Any]:
        return kinds[key].value if key in mixed else lambda value: value

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        made = [(key, value_of(key)) for key in schema.names]
        return batched(((size, [as_is(row.get(key)) for key, as_is in made]) for size, row in rows()), schema, names)

    return Stream(schema, read, left_out)


def _key_of_rows(file: Path, encoding: str) -> str | None:
    """The key that holds the rows, of a file that is one object; none of a file whose rows have such a column."""
    keys, lists, holed, tables = list[str](), list[str](), list[str](), 0
    with open_text(file, encoding) as text:
        scanner = Scanner(file, text)
        if inner_name(file).lower().endswith(LINES) or scanner.peek() != "{":
            return None
        for key in _keys(scanner):
            keys.append(key)
            if scanner.peek() == "[":
                kinds = {type(item) for _, item in _items(scanner)}
                lists += [key] if kinds == {dict} else []
                holed += [key] if kinds == {dict, type(None)} else []
                tables += key == "data" and kinds == {list}
            else:
                value = scanner.value()
                tables += isinstance(value, dict) and value != {}
        if scanner.peek():
            return None
    lists = lists or holed
    if len(lists) == 1 and lists[0] in ROWS:
        if beside := [key for key in keys if key not in (*lists, "version")]:
            print_result(
                f"{file}: its rows are those of '{lists[0]}'; what stands beside it is not read: {', '.join(beside):.80}; if the "
                "file is one row, let it end in .jsonl"
            )
        return lists[0]
    if lists:
        print_result(
            f"{file}: is read as one row; if {', '.join(lists):.80} hold rows, write each list into a file of its own, such as "
            f"{lists[0]:.20}.json"
        )
    elif keys and (tables == len(keys) or (tables and "columns" in keys)):
        print_result(f'{file}: is read as one row; if it is a table, as pandas writes them, write it with orient="records"')
    return None


def _asked(file: Path, encoding: str) -> Asked | None:
    """What Label Studio's tasks ask; None of a file whose first value is no task."""
    with open_text(file, encoding) as text:
        scanner = Scanner(file, text)
        if not scanner.peek():
            return None
        asked = Asked()
        for number, (_, value) in enumerate(_values(scanner, None)):
            if number == 0 and not is_task(value):
                return None
            try:
                asked.add(value)
            except UserError as error:
                scanner.fail(str(error))
    return asked


def _rows(scanner: Scanner, wrapped: str | None, own: Asked | None, asked: Asked) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its length in characters.

    `own` is what Label Studio's tasks in this file ask, None of other files; `asked` what those in all files do.
    """
    for size, value in _values(scanner, wrapped):
        if not isinstance(value, dict):
            scanner.fail(f'got {json.dumps(value):.40}, expected an object: {{"text": …}}')
        if own is not None:
            yield from ((size, row) for row in task_rows(value, own, asked))
        elif is_article(value):
            try:
                yield from ((len(row["context"]), row) for row in article_rows(value))
            except UserError as error:
                scanner.fail(str(error))
        else:
            yield size, value


def _values(scanner: Scanner, wrapped: str | None) -> Iterator[tuple[int, Any]]:
    first = scanner.peek()
    if not first:
        raise UserError(f"{scanner.file}: is empty; expected a JSON object a line, or one array of objects")
    if wrapped:
        yield from _wrapped(scanner, wrapped)
    elif first == "[":
        yield from _items(scanner)
        if scanner.peek():
            scanner.fail(f"more follows the array of rows: {scanner.buffer[scanner.place : scanner.place + 20]!r}")
    else:
        while scanner.peek():
            value = scanner.value()
            yield scanner.size, value


def _items(scanner: Scanner) -> Iterator[tuple[int, Any]]:
    scanner.take("[")
    while scanner.peek() != "]":
        value = scanner.value()
        yield scanner.size, value
        if scanner.peek() != "]":
            scanner.take(",]")
    scanner.take("]")


def _keys(scanner: Scanner) -> Iterator[str]:
    """The keys of an object; the value behind each is to be read before the next."""
    scanner.take("{")
    while scanner.peek() != "}":
        key = str(scanner.value())
        scanner.take(":")
        yield key
        if scanner.peek() != "}":
            scanner.take(",}")
    scanner.take("}")


def _wrapped(scanner: Scanner, key_of_rows: str) -> Iterator[tuple[int, Any]]:
    for key in _keys(scanner):
        if key == key_of_rows:
            yield from _items(scanner)
        else:
            scanner.value()
