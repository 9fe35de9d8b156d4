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
    """Yield an empty folder in `scratch`; once the block has ended well, it replaces `path`."""
    with exclusive_lock(path, scratch):
        temporary = scratch / "unfinished" / _key(path)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                _sync(file)
            path.parent.mkdir(parents=True, exist_ok=True)
            old = temporary.with_name(f"{temporary.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old, ignore_errors=True)
            _sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def exclusive_lock(path: Path, scratch: Path = SCRATCH) -> Iterator[None]:
    """Hold the lock of an output, unless another process does; the system lets it go with the process, however that ends."""
    locks = scratch / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f"{_key(path)}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise UserError(f"{path}: process {lock.read() or '?'} is writing it; wait for it, or stop it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


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
        raise UserError(f"{path}: is damaged ({error}); expected {what}; delete it and run again") from None


def _key(path: Path) -> str:
    return "-".join(path.parts[-3:]).replace(os.sep, "")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
