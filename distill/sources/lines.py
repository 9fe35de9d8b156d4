"""Text files with a row a line: texts alone, and fastText's, which have their labels among the words."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.sources.streams import ReadOptions, Stream, batched
from distill.sources.texts import detect_encoding, open_text

MARK = "__label__"
BLANKS = " \t\v\f"
"""As fastText parts words: other blanks of Unicode are parts of them."""
LABEL = re.compile(rf"[{BLANKS}]*(?<![^{BLANKS}]){MARK}([^{BLANKS}]*)")


def read_lines(file: Path, options: ReadOptions) -> Stream:
    """A text a line, in the column `text`."""
    encoding, schema = detect_encoding(file, options.encoding), pa.schema([("text", pa.string())])

    def read(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return batched(((len(line), (line,)) for _, line in _lines(file, encoding)), schema, wanted)

    return Stream(schema, read)


def read_fasttext(file: Path, options: ReadOptions) -> Stream:
    """Lines of labels and a text, `__label__sport __label__news The match …`; `label` is a list if some line has not just one."""
    encoding = detect_encoding(file, options.encoding)
    several = any(len(_parted(line)[0]) != 1 for _, line in _lines(file, encoding))
    schema = pa.schema([("text", pa.string()), ("label", pa.list_(pa.string()) if several else pa.string())])

    def rows() -> Iterator[tuple[int, tuple[str, Any]]]:
        unmarked = True
        for number, line in _lines(file, encoding):
            labels, text = _parted(line)
            unmarked = unmarked and not labels
            if not text.strip():
                raise UserError(f"{file}: line {number}: has no text beside its labels; mend or remove it")
            yield len(line), (text, labels if several else labels[0])
        if unmarked:
            raise UserError(f"{file}: no word begins with {MARK}; `format: text` reads lines without labels")

    def read(wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return batched(rows(), schema, wanted)

    return Stream(schema, read)


def _parted(line: str) -> tuple[list[str], str]:
    """The labels, wherever they stand, and the text without them."""
    labels = LABEL.findall(line) if MARK in line else []
    return labels, LABEL.sub("", line).lstrip(BLANKS) if labels else line


def _lines(file: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, without their ends, numbered from 1."""
    blank = 0
    with open_text(file, encoding) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, line.rstrip("\r\n")
            else:
                blank += 1
    if blank:
        print_result(f"{file}: {blank} blank lines are no rows")
