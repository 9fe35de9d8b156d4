"""Checksums of the local files that params.yaml names: DVC tracks what stages write, not what lies elsewhere."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.core.console import print_progress
from distill.core.errors import UserError
from distill.core.files import SCRATCH, sha256, write_text
from distill.core.locations import local_folder
from distill.core.recorded import is_recorded, recorded_files
from distill.core.settings import Checkpoint, Strict
from distill.params.augmentations import AugmentationSettings
from distill.params.sources import Source

KNOWN = SCRATCH / "checksums.json"
"""By file: its size, when it was changed, and its SHA-256, so that a file is read once."""
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

        Left out are hidden files, Python's caches, and, where the folder holds the project or is its data/, what the pipeline
        writes there.
        """
        if place.is_file():
            return self._of_file(place)
        place = place.resolve()
        lines = [f"{file.relative_to(place).as_posix()}\0{self._of_file(file)}\n" for file in sorted(_inputs(place))]
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
            print_progress(f"{file}: reading its {stat.st_size / 1e9:.1f} GB to see whether it has changed")
        self._now[key] = known if known[:2] == state else [*state, sha256(file)]
        return str(self._now[key][2])


def _inputs(place: Path) -> Iterator[Path]:
    """The files inside a folder that may be read; links to folders are followed, each folder once."""
    data, seen = Path.cwd().resolve() / "data", set[str]()
    written = {data, data.with_name("dvc.lock"), data / "responses.sqlite"}
    for folder, folders, files in os.walk(place, followlinks=True):
        real = os.path.realpath(folder)
        inside = [Path(folder, name) for name in files if not name.startswith(".")]
        yield from (file for file in inside if real not in seen and file.is_file() and file not in written)
        left_out = {"__pycache__", *(path.name for path in written if path.parent == Path(folder))}
        goes_on = real not in seen and place != data
        folders[:] = [name for name in folders if goes_on and name not in left_out and not name.startswith(".")]
        seen.add(real)


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
        except UserError as missing:
            found[key] = _recorded(job, missing).get(key)
        else:
            if place is not None:
                found[key] = checksums.of(place)
    return found


def _named(settings: Strict, key: str = "") -> Iterator[tuple[str, Source | Checkpoint]]:
    if isinstance(settings, AugmentationSettings) and settings.vectors is not None:
        yield "vectors", Source(path=settings.vectors)
    if isinstance(settings, (Source, Checkpoint)):
        yield f"{key}{'path' if settings.package is None else 'package'}", settings
        return
    for name, value in settings:
        if isinstance(value, Strict):
            yield from _named(value, f"{key}{name}.")


def _recorded(job: Path, missing: UserError) -> dict[str, str | None]:
    """What dvc.lock names, in DVC's cache or remote: an older version may lie here. Else what the last run has written here."""
    jobs = job.parents[2]
    try:
        if is_recorded(jobs):
            with recorded_files() as files, contextlib.suppress(FileNotFoundError):
                return _checksums(files.read_text(job.as_posix()))
    except UserError as error:
        if not jobs.exists():
            raise UserError(
                f"{jobs}: DVC cannot fetch it ({error}), and {missing}; `dvc pull {jobs}` says why, or put that file in its place"
            ) from None
    return _checksums(job.read_text(encoding="utf-8")) if job.exists() else {}


def _checksums(job: str) -> dict[str, str | None]:
    """Those of an entry's job; none of one that is damaged, or that an earlier version has written."""
    try:
        return dict(json.loads(job)["checksums"])
    except (ValueError, TypeError, KeyError):
        return {}
