"""CoNLL files: a token a line, its tag in the last column, a blank line between sentences."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from distill.core.console import print_result
from distill.core.errors import UserError
from distill.sources.streams import ReadOptions, Stream, batched
from distill.sources.texts import detect_encoding, open_text

SCHEMA = pa.schema([("tokens", pa.list_(pa.string())), ("tags", pa.list_(pa.string()))])
BLANKS = " \t\r\n"
COMMENT = re.compile(r"#\s*(id|sent_id|text|newdoc|newpar|global\.columns)\b")
LONGEST = 5000
"""The most tokens of a sentence: more are a file without blank lines."""


def read_conll(file: Path, options: ReadOptions) -> Stream:
    """Sentences as lists of tokens and tags; a single column has no tags, those between first and last are not read."""
    encoding = detect_encoding(file, options.encoding)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = ((64 * len(tokens), (tokens, tags)) for tokens, tags in _sentences(file, encoding))
        return batched(rows, SCHEMA, names)

    return Stream(SCHEMA, read)


def _sentences(file: Path, encoding: str) -> Iterator[tuple[list[str], list[str] | None]]:
    tokens: list[str] = []
    tags: list[str] = []
    width = comments = 0
    with open_text(file, encoding) as lines:
        for number, line in enumerate(lines, 1):
            fields = _fields(line)
            if not fields or fields[0] == "-DOCSTART-":
                if tokens:
                    yield tokens, tags if width > 1 else None
                tokens, tags = [], []
            elif not tokens and COMMENT.match(line):
                comments += 1
            else:
                width = width or len(fields)
                if len(fields) != width or not all(fields):
                    raise UserError(
                        f"{file}: line {number}: has {len(fields)} columns, those before have {width}: {line.strip()!r:.60}; "
                        "expected a token, its tag in the last column, tabs or blanks between, a blank line between sentences"
                    )
                tokens.append(fields[0])
                tags.append(fields[-1])
                if len(tokens) > LONGEST:
                    raise UserError(
                        f"{file}: line {number}: {LONGEST} tokens and no blank line before it; expected one between sentences"
                    )
    if tokens:
        yield tokens, tags if width > 1 else None
    if comments:
        print_result(f"{file}: {comments} comments before sentences are no tokens")


def _fields(line: str) -> list[str]:
    """Parted by tabs if there is one, else by blanks; other spaces of Unicode may be tokens."""
    bare = line.strip("\r\n")
    if not bare.strip(BLANKS):
        return []
    if "\t" in bare:
        return [field.strip(" ") for field in bare.split("\t")]
    return re.split(" +", bare.strip(" "))
