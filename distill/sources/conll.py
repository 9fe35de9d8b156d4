"""CoNLL files: a token a line, its tag in the last column, a blank line between sentences."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


NUMBER = re.compile(r"(\d+)([-.]\d+)?")
"""What a first column has that numbers the words; in CoNLL-U `1-2` is a word before it is parted, `1.1` one that was left out."""
BIO = re.compile(r"O|[BIESLUM]-.+")
SAMPLE, CONLL_U = 2000, 10
"""Lines that the columns are told from; how many columns CoNLL-U has."""


@dataclass(frozen=True)
class Layout:
    """What is read of a line."""

    word: int = 0
    tag: int = -1
    numbered: bool = False
    """Whether the first column numbers the words of a sentence."""
    width: int = 0
    """How many columns there are; 0 where each line begins with #."""
    numeric: bool = False
    """Whether tags are numbers."""


def read_conll(file: Path, options: ReadOptions) -> Stream:
    """Sentences as lists of tokens and tags; a single column has no tags, those between first and last are not read.

    Where the first column numbers the words, the second has them.
    """
    encoding = detect_encoding(file, options.encoding)
    layout = _layout(file, encoding)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = ((64 * len(tokens), (tokens, tags)) for tokens, tags in _sentences(file, encoding, layout))
        return batched(rows, SCHEMA, names)

    return Stream(SCHEMA, read)


def _layout(file: Path, encoding: str) -> Layout:
    """Told from the first lines, and said where it is not the usual one."""
    with open_text(file, encoding) as lines:
        rows = [fields for line in itertools.islice(lines, SAMPLE) if (fields := _fields(line)) and line[0] != "#"]
    rows = [row for row in rows if row[0] != "-DOCSTART-"]
    firsts = [NUMBER.fullmatch(row[0]) for row in rows]
    numbers = [int(first[1]) for first in firsts if first and not first[2]]
    width, pairs = len(rows[0]) if rows else 0, list(itertools.pairwise(numbers))
    counting = any(later == before + 1 for before, later in pairs)
    amiss = firsts.count(None) + sum(later not in (before + 1, numbers[0]) for before, later in pairs)
    if width < 2 or not counting or 2 * amiss >= len(rows):
        if width > 1 and len(rows) > 1 and all(firsts):
            print_result(f"{file}: its first column, which is read as the words, has numbers alone; if they are none, remove it")
        return Layout(width=width, numeric=bool(rows) and all(row[-1].isdigit() for row in rows))
    inner = width == 4 and all(BIO.fullmatch(field) for row in rows for field in row[2:4])
    layout = Layout(1, 3 if width == CONLL_U else 2 if inner else width - 1, numbered=True, width=width)
    tags = f", column {layout.tag + 1} as their tags" if width > 2 else ""
    print_result(f"{file}: its first column numbers the words: column 2 is read as the words{tags}, and no other")
    return layout


def _sentences(file: Path, encoding: str, layout: Layout) -> Iterator[tuple[list[str], list[str] | None]]:
    tokens: list[str] = []
    tags: list[str] = []
    width = comments = passed = last = 0
    with open_text(file, encoding) as lines:
        for number, line in enumerate(lines, 1):
            fields = _fields(line)
            if not fields or fields[0] == "-DOCSTART-":
                if tokens:
                    yield tokens, tags if width > layout.word + 1 else None
                tokens, tags = [], []
            elif not tokens and _is_comment(line, fields, layout):
                comments += 1
            else:
                width = width or len(fields)
                _require_token(fields, width, f"{file}: line {number}", line)
                if layout.numbered and _is_no_word(fields[0], last if tokens else None, f"{file}: line {number}"):
                    passed += 1
                    continue
                last = int(fields[0]) if layout.numbered else 0
                tokens.append(fields[layout.word])
                tags.append(fields[layout.tag])
                if len(tokens) > LONGEST:
                    raise UserError(
                        f"{file}: line {number}: {LONGEST} tokens and no blank line before it; expected one between sentences"
                    )
    if tokens:
        yield tokens, tags if width > layout.word + 1 else None
    if comments:
        print_result(f"{file}: {comments} comments before sentences are no tokens")
    if passed:
        print_result(f"{file}: {passed} lines numbered as 1-2 or 1.1 are no tokens: words that are parted below, or left out")


def _is_comment(line: str, fields: list[str], layout: Layout) -> bool:
    """Whether a line before a sentence is a comment, and no token such as the hashtag #id with its tag.

    A number is no tag where others are none, and `=` no word: `#sent_id = 5` is a comment.
    """
    if layout.numbered:
        return line[0] == "#"
    valued = "=" in fields[1:] or (fields[-1].isdigit() and not layout.numeric)
    return bool(COMMENT.match(line)) and (line[1] == " " or len(fields) != layout.width or valued)


def _require_token(fields: list[str], width: int, where: str, line: str) -> None:
    """Refuse a line with more or fewer columns than those before, or with an empty one."""
    bare = line.strip("\r\n")
    if len(fields) != width:
        raise UserError(
            f"{where}: has {len(fields)} columns, those before have {width}: {bare!r:.60}; "
            "expected a token, its tag in the last column, tabs or blanks between, a blank line between sentences"
        )
    if "" in fields:
        advice = "fill it" if fields[-1] else "fill it, or remove the tab at the end of all lines"
        raise UserError(f"{where}: its column {fields.index('') + 1} is empty: {bare!r:.60}; {advice}")


def _is_no_word(first: str, last: int | None, where: str) -> bool:
    """Whether a numbered line is a word before it is parted, or one that was left out; refuses a number that is not the next."""
    found = NUMBER.fullmatch(first)
    if found and found[2]:
        return True
    if not found or (last is not None and int(found[1]) != last + 1):
        expected = "a number" if last is None else str(last + 1)
        raise UserError(
            f"{where}: begins with {first!r:.20}, expected {expected}, for the first column numbers the words; mend it, put "
            "a blank line between sentences, or remove that column from all lines"
        )
    return False


def _fields(line: str) -> list[str]:
    """Parted by tabs if there is one, else by blanks; other spaces of Unicode may be tokens."""
    bare = line.strip("\r\n")
    if not bare.strip(BLANKS):
        return []
    if "\t" in bare:
        return [field.strip(" ") for field in bare.split("\t")]
    return re.split(" +", bare.strip(" "))
