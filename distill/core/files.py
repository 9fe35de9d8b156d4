"""Outputs that appear whole or not at all, and one writer at a time."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.core.errors import UserError

SCRATCH = Path("data", ".scratch")
"""Git-ignored working space: unfinished outputs, shards kept for resuming, training checkpoints, locks."""


def to_json(content: Any) -> str:
    """JSON whose bytes depend on the content alone: sorted keys; a NaN or an infinity is a ValueError."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file whole: temporary file, fsync, rename. Never in place, for the path may be a link into DVC's cache."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; once the block has ended well, the file is synced and takes its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path, scratch: Path = SCRATCH) -> Iterator[Path]:
    """Yield an empty folder beside `path`; once the block has ended well, it replaces `path`. The lock lies in `scratch`.

    Beside it, for a folder cannot be renamed from one file system to another. What is finished but cannot take its name is kept.
    """
    with exclusive_lock(path, scratch):
        temporary = unfinished(path)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                _sync(file)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _replace(path, temporary)
        _sync(path.parent)


def unfinished(path: Path) -> Path:
    """An empty folder beside `path`, which is going to take its name; refuses a place where it could not."""
    lost = next((folder for folder in path.parents if folder.is_symlink() and not folder.exists()), None)
    if lost is not None:
        raise UserError(f"{lost}: is a link to {lost.readlink()}, which is not there; mount that disk, or remove the link")
    if path.is_mount():
        raise UserError(
            f"{path}: is a mounted disk, which no new folder can replace; mount it elsewhere, and make {path.parent} a link to a "
            "folder on it"
        )
    temporary = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    return temporary


def _replace(path: Path, temporary: Path) -> None:
    old = temporary.with_name(f".{path.name}.old.unfinished")
    _remove(old)
    try:
        if path.exists() or path.is_symlink():
            path.rename(old)
        temporary.rename(path)
    except OSError as error:
        if not path.exists() and (old.exists() or old.is_symlink()):
            old.rename(path)
        raise UserError(
            f"{path}: what was made cannot take this name ({error.strerror}); it is kept, finished, in {temporary}: move it there"
        ) from None
    _remove(old)


def _remove(path: Path) -> None:
    """Remove a folder, or a link to one without what it leads to."""
    if path.is_symlink():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def exclusive_lock(path: Path, scratch: Path = SCRATCH) -> Iterator[None]:
    """Hold the lock of an output, unless another process does; the system lets it go with the process, however that ends."""
    locks = scratch / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f"{_key(path)}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            lock.seek(0)
            raise UserError(f"{path}: process {lock.read() or '?'} is writing it; wait for it, or stop it") from None
        except OSError as error:
            raise UserError(
                f"{locks}: its file system has no locks ({error.strerror}), which keep two processes from writing one output; "
                f"make {scratch} a link to a folder on a local disk"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def bytes_of(folder: Path) -> dict[str, int]:
    """The bytes of the files in each folder of a folder; what folders themselves take depends on the file system."""
    return {
        part.name: sum(file.stat().st_size for file in part.rglob("*") if file.is_file()) for part in sorted(folder.iterdir())
    }


def link_or_copy(source: Path, target: Path) -> None:
    """Give a finished file a second name, as a hard link where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file; if it is missing or damaged, the error says that it should have been `what`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: is missing; expected {what}; run the stage that writes {path.parent}") from None
    except (ValueError, RecursionError) as error:
        again = f"get it again, or run the stage that writes {path.parent}"
        advice = "delete it and run again" if SCRATCH.name in path.parts else again
        raise UserError(f"{path}: is damaged ({error}); expected {what}; {advice}") from None


def _key(path: Path) -> str:
    return "-".join(path.parts[-3:]).replace(os.sep, "")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
