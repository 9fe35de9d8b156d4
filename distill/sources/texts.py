"""Text files, compressed or not, decoded by their byte-order mark, else as UTF-8, else as the source's `encoding` says."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from distill.core.errors import UserError, one_line

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
"""The longer first: a mark of UTF-32 begins with one of UTF-16."""

MAGIC = {
    b"\x1f\x8b": "gzip (.gz)",
    b"BZh": "bzip2 (.bz2)",
    b"\xfd7zXZ": "xz (.xz)",
    b"\x28\xb5\x2f\xfd": "zstd (.zst)",
    b"PK\x03\x04": "zip or Excel (.zip, .xlsx)",
    b"PAR1": "Parquet (.parquet)",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls)",
    b"version https://git-lfs": "what Git LFS has in place of a file that is not fetched",
}
CHUNK = 1 << 20

NUL = "no text has that: remove it from this line and those below (tr -d '\\000' < FILE > NEW)"
STRAY = 0.02
"""NULs among this share of the bytes are single ones; of UTF-16 they are more, for its blanks alone."""

CONTROL = re.compile("[\0\x80-\x84\x86-\x9f]")
"""Characters that no text has: latin-1 reads any bytes, and makes these of the quotes and dashes of cp1252."""


def inner_name(path: Path) -> str:
    """The name of the text in a compressed file: its own without `.gz`, or that of a zip's one member."""
    if path.suffix.lower() not in COMPRESSED:
        return path.name
    if path.suffix.lower() == ".zip":
        with unbroken(path), zipfile.ZipFile(path) as archive:
            return Path(_only_member(path, archive)).name
    return path.stem


def open_bytes(path: Path) -> Any:
    """The bytes of a file, unpacked, as a binary file."""
    match path.suffix.lower():
        case ".gz":
            return gzip.open(path, "rb")
        case ".bz2":
            return bz2.open(path, "rb")
        case ".xz":
            return lzma.open(path, "rb")
        case ".zst":
            return pa.input_stream(str(path), compression="zstd")
        case ".zip":
            archive = zipfile.ZipFile(path)
            return archive.open(_only_member(path, archive))
    return path.open("rb")


@contextmanager
def unbroken(path: Path) -> Iterator[None]:
    """Turn what unpackers raise into one line."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (EOFError, OSError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        if path.suffix.lower() not in COMPRESSED:
            raise
        raise UserError(f"{path}: cannot be unpacked: {one_line(error)}; fetch or pack it again") from None


def open_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """A file whose encoding `detect_encoding` has told, with its line ends as they are."""
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="")


def detect_encoding(path: Path, given: str) -> str:
    """The encoding that a whole file can be read in; the first byte that cannot be read is a UserError."""
    with unbroken(path), open_bytes(path) as file:
        head = file.read(32)
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            raise UserError(f"{path}: by its first bytes, it is {name}; expected the text itself")
    marked = next((name for mark, name in MARKS if head.startswith(mark)), None)
    candidates = [marked] if marked else dict.fromkeys(["utf-8", given] if _extends_ascii(given) else [given])
    problems = []
    for encoding in candidates:
        problem = _first_problem(path, encoding.removesuffix("-sig"))
        if problem is None:
            return encoding
        problems.append(problem)
    where, sample = problems[0] if marked else problems[-1]
    advice = f"its first bytes say {marked}: it is damaged, or two files in one; mend it" if marked else _advice(sample)
    raise UserError(f"{path}: {where}; {advice}")


def _first_problem(path: Path, encoding: str) -> tuple[str, bytes] | None:
    """What cannot be read as this encoding, and the bytes around it."""
    decoder: Any = codecs.getincrementaldecoder(encoding)()
    done, line, chunk = 0, 1, b"-"
    with unbroken(path), open_bytes(path) as file:
        while chunk:
            chunk = file.read(CHUNK)
            waiting = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                sample = error.object[max(0, error.start - 2048) & ~1 : error.start + 2048]
                return f"line {line}: byte {done - waiting + error.start} is not {encoding}", sample
            if found := (re.search("\0", text) if encoding.startswith("utf") else CONTROL.search(text)):
                place = found.start()
                what = "a NUL" if found.group() == "\0" else "a control"
                sample = text[max(0, place - 2048) & ~1 : place + 2048].encode(encoding, "replace")
                return (
                    f"line {line + text.count(chr(10), 0, place)}: holds {what} character when it is read as {encoding}",
                    sample,
                )
            line += text.count("\n")
            done += len(chunk)
    return None


def _advice(sample: bytes) -> str:
    """A question, for bytes fit many encodings: how they would read in the likeliest, cp1252 where no other reads better.

    It is asked about on its own, for of encodings that read the sample alike only one is found.
    """
    from charset_normalizer import from_bytes

    if 0 < sample.count(b"\0") < len(sample) * STRAY:
        return NUL
    none = ("ascii", "utf_8") if b"\0" in sample else ("ascii", "utf")
    fitting = [match for match in from_bytes(sample) if not match.encoding.startswith(none)]
    if not fitting:
        return NUL if b"\0" in sample else "save it as UTF-8, or set the source's `encoding` to the one that it was written in"
    usual = from_bytes(sample, cp_isolation=["cp1252"]).best()
    likely = "cp1252" if usual is not None and usual.chaos <= fitting[0].chaos else fitting[0].encoding
    text = sample.decode(likely, errors="replace")
    strange = next((i for i, character in enumerate(text) if not character.isascii()), 0)
    excerpt = text[max(0, strange - 20) : strange + 20]
    return f"is {excerpt!r} what it should say? Then set the source's `encoding: {likely}`; else save it as UTF-8"


def _extends_ascii(encoding: str) -> bool:
    """Whether a text in this encoding that passes for UTF-8 is the same text: not so for UTF-16, ISO-2022-JP or EBCDIC."""
    ascii_only = bytes(range(128))
    try:
        return ascii_only.decode(encoding) == ascii_only.decode("ascii")
    except UnicodeDecodeError:
        return False


def _only_member(path: Path, archive: zipfile.ZipFile) -> str:
    """The name of the one file in a zip; the folders and the hidden files that some systems add do not count."""
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith(("__MACOSX/", "."))]
    if len(names) != 1:
        listed = ", ".join(sorted(names)[:5]) or "none"
        raise UserError(f"{path}: holds {len(names)} files ({listed}), expected one; unpack it into a folder")
    return names[0]
