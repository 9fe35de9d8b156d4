"""Checksums of the local files that params.yaml names: DVC tracks what stages write, not what lies elsewhere."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.core.console import print_progress
from distill.core.errors import UserError
from distill.core.files import SCRATCH, sha256, write_text
from distill.core.locations import local_folder
from distill.core.recorded import is_recorded, recorded_files
from distill.core.settings import Checkpoint, Strict
from distill.params.sources import Source

KNOWN = SCRATCH / "checksums.json"
"""By file: its size, when it was changed, and its SHA-256, so that a file is read once."""
WRITTEN = ("data", "dvc.lock")
"""What the pipeline writes into a project."""
WORTH_SAYING = 1e9
"""Bytes whose reading takes seconds."""


class Checksums:
    """SHA-256 of files and folders; a file of the size and time of the last run is not read again."""

    def __init__(self) -> None:
        """Begin with what the last run has read."""
        try:
            self._before: dict[str, list[Any]] = json.loads(KNOWN.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._before = {}
        self._now: dict[str, list[Any]] = {}

    def of(self, place: Path) -> str:
        """Of a file's bytes; of a folder's names and their files' bytes.

        Left out are hidden files, Python's caches, and, where the folder holds the project itself, what the pipeline writes.
        """
        if place.is_file():
            return self._of_file(place)
        inside = sorted(file.relative_to(place) for file in place.rglob("*") if _is_input(file, place))
        lines = [f"{file.as_posix()}\0{self._of_file(place / file)}\n" for file in inside]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def remember(self) -> None:
        """Keep what was read for the next run."""
        if self._now != self._before:
            write_text(KNOWN, json.dumps(self._now, sort_keys=True))

    def _of_file(self, file: Path) -> str:
        key, stat = str(file.absolute()), file.stat()
        state = [stat.st_size, stat.st_mtime_ns]
        known = self._before.get(key, [])
        if known[:2] != state and stat.st_size > WORTH_SAYING:
            print_progress(f"{file}: reading {stat.st_size / 1e9:.1f} GB to see whether they have changed")
        self._now[key] = known if known[:2] == state else [*state, sha256(file)]
        return str(self._now[key][2])


def _is_input(file: Path, place: Path) -> bool:
    """Whether a file inside a folder is one that may be read."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in file.relative_to(place).parts)
    project, file, place = Path.cwd(), file.absolute(), place.absolute()
    written = project.is_relative_to(place) and any(file.is_relative_to(project / name) for name in WRITTEN)
    return file.is_file() and not hidden and not written


def local_checksums(settings: Strict, checksums: Checksums, job: Path) -> dict[str, str | None]:
    """By key, such as `tokenizer.path`, the checksum of what an entry names; nothing for what is on the hub.

    Args:
        settings: The entry.
        checksums: Reads files.
        job: Where the last run has written the entry's. What is not here keeps its checksum: a teammate needs no raw file.
    """
    found: dict[str, str | None] = {}
    for key, named in _named(settings):
        try:
            place = local_folder(named.path, named.package)
        except UserError:
            found[key] = _recorded(job).get(key)
        else:
            if place is not None:
                found[key] = checksums.of(place)
    return found


def _named(settings: Strict, key: str = "") -> Iterator[tuple[str, Source | Checkpoint]]:
    if isinstance(settings, (Source, Checkpoint)):
        yield f"{key}{'path' if settings.package is None else 'package'}", settings
        return
    for name, value in settings:
        if isinstance(value, Strict):
            yield from _named(value, f"{key}{name}.")


def _recorded(job: Path) -> dict[str, str | None]:
    """What the last run has written, here, or as dvc.lock names it in DVC's cache or remote."""
    jobs = job.parents[2]
    if jobs.exists() or not is_recorded(jobs):
        return _checksums(job.read_text(encoding="utf-8")) if job.exists() else {}
    try:
        with recorded_files() as files, contextlib.suppress(FileNotFoundError):
            return _checksums(files.read_text(job.as_posix()))
        return {}
    except UserError as error:
        raise UserError(
            f"{jobs}: DVC cannot fetch it ({error}), and a file that params.yaml names is not here; "
            f"`dvc pull {jobs}` says why, or put that file in its place"
        ) from None


def _checksums(job: str) -> dict[str, str | None]:
    """Those of an entry's job; none of one that is damaged, or that an earlier version has written."""
    try:
        return dict(json.loads(job)["checksums"])
    except (ValueError, TypeError, KeyError):
        return {}
