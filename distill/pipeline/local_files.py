"""Checksums of the local files that params.yaml names: DVC tracks what stages write, not what lies elsewhere."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.core.console import print_progress
from distill.core.errors import UserError
from distill.core.files import SCRATCH, sha256, write_text
from distill.core.locations import local_folder
from distill.core.recorded import is_recorded, recorded_files
from distill.core.settings import Checkpoint
from distill.core.validation import Strict
from distill.params.augmentations import AugmentationSettings
from distill.params.sources import Source

KNOWN = SCRATCH / "checksums.json"
"""By file: its size, its own time, when the system last saw it change, and its SHA-256, so that a file is read once."""
SETTLED = 2e9
"""Nanoseconds after which another change of a file has another time, on any file system."""
WORTH_SAYING = 1e9
"""Bytes whose reading takes seconds."""


class Checksums:
    """SHA-256 of files and folders; a file of the size and times of the last run is not read again.

    A copy may have the time of what it replaces (`cp -p`, `rsync -t`, archives), but not the system's time of its change.
    """

    def __init__(self) -> None:
        """Begin with what the last run has read."""
        self._before, self._began = _known(), time.time_ns()
        self._now: dict[str, list[Any]] = {}
        self._jobs: dict[str, str] | UserError | None = None

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

    def recorded(self, job: Path, missing: UserError) -> dict[str, str | None]:
        """Those of an entry's job that dvc.lock names: an older version may lie here. Else of what the last run has written here.

        Raises:
            UserError: DVC has a version that it cannot fetch, and there is none here; with what is `missing`.
        """
        jobs = job.parents[2]
        if self._jobs is None:
            self._jobs = _recorded(jobs)
        if isinstance(self._jobs, UserError) and not jobs.exists():
            raise UserError(
                f"{jobs}: DVC cannot fetch it ({self._jobs}), and {missing}; "
                f"`dvc pull {jobs}` says why, or put that file in its place"
            )
        if isinstance(self._jobs, dict) and job.as_posix() in self._jobs:
            return _checksums(self._jobs[job.as_posix()])
        return _checksums(job.read_text(encoding="utf-8")) if job.exists() else {}

    def remember(self) -> None:
        """Keep what was read for the next run; not of a file that had just been changed: it may be again, at the same time."""
        kept = {file: known for file, known in self._now.items() if known[2] < self._began - SETTLED}
        if kept != self._before:
            write_text(KNOWN, json.dumps(kept, sort_keys=True))

    def _of_file(self, file: Path) -> str:
        key, stat = str(file.absolute()), file.stat()
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        known = self._before.get(key, [])
        if known[:3] != state and stat.st_size > WORTH_SAYING:
            print_progress(f"{file}: reading its {stat.st_size / 1e9:.1f} GB to see whether it has changed")
        self._now[key] = known if known[:3] == state else [*state, sha256(file)]
        return str(self._now[key][3])


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
            found[key] = checksums.recorded(job, missing).get(key)
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


def _recorded(jobs: Path) -> dict[str, str] | UserError:
    """By path the entries' jobs that dvc.lock names, from DVC's cache or remote: all at once, as DVC is slow to open."""
    if not is_recorded(jobs):
        return {}
    try:
        with recorded_files() as files:
            return {name: files.read_text(name) for name in files.find((jobs / "entries").as_posix())}
    except UserError as error:
        return error


def _known() -> dict[str, list[Any]]:
    try:
        known = json.loads(KNOWN.read_text(encoding="utf-8"))
        return {file: [*map(int, state), str(checksum)] for file, (*state, checksum) in known.items() if len(state) == 3}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _checksums(job: str) -> dict[str, str | None]:
    """Those of an entry's job; none of one that is damaged, or that an earlier version has written."""
    try:
        return dict(json.loads(job)["checksums"])
    except (ValueError, TypeError, KeyError):
        return {}
