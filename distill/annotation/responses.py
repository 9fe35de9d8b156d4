"""Answers that were paid for, kept as they arrive: data/responses.sqlite, a row a request. No run asks for one again.

The key is a hash of all that decides the answer: model, messages, sampling, what was asked for with it. Not the address: the
same model may be served elsewhere tomorrow.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from distill.core.console import print_progress
from distill.core.errors import UserError, first_line
from distill.core.recorded import LOCK, is_recorded, recorded_files

PATH = Path("data", "responses.sqlite")
FILE = "responses.parquet"
"""Beside the labels: the answers that they were made from, so that who fetches these does not pay either."""
SCHEMA = pa.schema([("key", pa.string()), ("response", pa.string())])


def key_of(request: Mapping[str, Any]) -> str:
    """The SHA-256 of a request, in hexadecimal."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Responses:
    """All answers on this machine, of all annotators. A killed process loses those that have not arrived."""

    def __init__(self, path: Path = PATH) -> None:
        """Open the file, or make it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._file.execute("create table if not exists responses (key text primary key, response text not null)")
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{path}: cannot be read ({error}); it holds answers that were paid for: restore it from a copy"
            ) from None

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer to a request, if it has been given."""
        text = self._text(key)
        return None if text is None else dict(json.loads(text))

    def _text(self, key: str) -> str | None:
        found = self._file.execute("select response from responses where key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def add(self, key: str, response: Mapping[str, Any]) -> None:
        """Keep an answer; on the disk when this returns."""
        text = json.dumps(response, sort_keys=True, ensure_ascii=False)
        self._file.execute("insert or ignore into responses values (?, ?)", (key, text))

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def write(self, path: Path, keys: Iterable[str]) -> None:
        """Copy the answers to these requests, those that are there, to a Parquet file; the same bytes each time."""
        kept = [{"key": key, "response": text} for key in sorted(set(keys)) if (text := self._text(key)) is not None]
        pa.parquet.write_table(pa.Table.from_pylist(kept, SCHEMA), path)

    def read(self, path: Path) -> int:
        """Add the answers of a Parquet file; returns how many it has."""
        table = pa.parquet.read_table(path, schema=SCHEMA)
        with contextlib.closing(self._file.cursor()) as cursor:
            cursor.execute("begin")
            rows = zip(table["key"].to_pylist(), table["response"].to_pylist(), strict=True)
            cursor.executemany("insert or ignore into responses values (?, ?)", rows)
            cursor.execute("commit")
        return int(table.num_rows)


def read_committed(responses: Responses, folder: Path, scratch: Path) -> None:
    """Add the answers of the version of data/annotations/NAME that dvc.lock names, from DVC's cache or its remote."""
    if not is_recorded(folder):
        return
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        with recorded_files() as files:
            files.get_file(f"{folder.as_posix()}/{FILE}", str(scratch / FILE))
        responses.read(scratch / FILE)
    except (UserError, OSError, pa.ArrowException) as error:
        print_progress(
            f"{folder}: the answers that {LOCK} names are not at hand ({first_line(error)}); those on this machine are used"
        )
