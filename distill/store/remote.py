"""Files at a URL: `s3://…`, `gs://…`, `file://…`, or any other that fsspec knows. fsspec is imported once a URL is given."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from distill.core.errors import UserError, first_line, one_line
from distill.core.files import atomic_file, sha256
from distill.store.manifest import MANIFEST, File, Manifest
from distill.store.origin import stage_of

ONE_PUT = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")
"""File systems where a file is not there before all of it is. Elsewhere it takes its name last."""

PACKAGES = "`pip install -e '.[s3]'` for s3://, `pip install gcsfs` for gs://, `pip install adlfs` for abfs://"


class Remote:
    """A folder at a URL. Whatever its file system raises becomes a `UserError` that names the URL."""

    def __init__(self, url: str) -> None:
        """Resolve a URL, or the path of a folder; nothing is read yet."""
        self.url = url.rstrip("/")
        with self._explained():
            import fsspec

            self.files: Any
            self.files, path = fsspec.url_to_fs(self.url)
            self.path = str(path).rstrip("/")

    def names(self) -> list[str]:
        """All files in the folder and below it, by their paths relative to it, sorted."""
        with self._explained():
            self.files.invalidate_cache()
            return sorted(str(name).removeprefix(self.path).lstrip("/") for name in self.files.find(self.path))

    def put(self, file: Path, name: str) -> None:
        """Copy a local file there, whole or not at all."""
        target = f"{self.path}/{name}"
        with self._explained():
            if self.protocol in ("file", "local"):
                with atomic_file(Path(target)) as temporary:
                    shutil.copyfile(file, temporary)
                return
            if self.protocol in ONE_PUT:
                self.files.put_file(str(file), target)
                return
            self.files.makedirs(target.rpartition("/")[0], exist_ok=True)
            temporary_target = f"{target}.tmp-{uuid.uuid4().hex}"
            self.files.put_file(str(file), temporary_target)
            self.files.mv(temporary_target, target)

    def get(self, name: str, file: Path) -> None:
        """Copy a file from there to a local path, which is written in place."""
        with self._explained():
            self.files.get_file(f"{self.path}/{name}", str(file))

    def remove(self, names: list[str]) -> None:
        """Delete files; of those that are there no more, another has done it."""
        with self._explained():
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    self.files.rm_file(f"{self.path}/{name}")

    @property
    def protocol(self) -> str:
        """s3, gs, file …"""
        protocol = self.files.protocol
        return str(protocol if isinstance(protocol, str) else protocol[0])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except ImportError as error:
            raise UserError(f"{self.url}: {first_line(error)}; {PACKAGES}") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS):
                raise
            what = one_line(error)
            raise UserError(f"{self.url}: {what}; check the address, the credentials and the network") from None


@dataclass(frozen=True)
class Mirror:
    """A set at a URL and what the cache has of it."""

    remote: Remote
    cache: Path

    @classmethod
    def open(cls, url: str, cache: Path | None) -> "Mirror":
        """Fetch the manifests of a set, or of one output: s3://bucket/targets/NAME, or s3://bucket/targets/NAME/logits.

        The cache is by default $DISTILL_CACHE, or ~/.cache/distill/targets.
        """
        default = Path(os.environ.get("DISTILL_CACHE") or "~/.cache/distill/targets")
        mirror = cls(Remote(url), (cache or default).expanduser())
        found = [name for name in mirror.remote.names() if name in (MANIFEST, f"{name.partition('/')[0]}/{MANIFEST}")]
        if not found:
            raise UserError(f"{url}: no target set; publish one there, or correct the address")
        there = {*mirror.folder.glob(MANIFEST), *mirror.folder.glob(f"*/{MANIFEST}")}
        for stale in there - {mirror.folder / name for name in found}:
            stale.unlink(missing_ok=True)
        for name in found:
            with atomic_file(mirror.folder / name) as temporary:
                mirror.remote.get(name, temporary)
        return mirror

    @property
    def folder(self) -> Path:
        """Where the manifests lie, as those of a local set do."""
        parts = [part for part in PurePosixPath(self.remote.path).parts if part not in ("/", "..")]
        return Path(self.cache, self.remote.protocol, *parts)

    def file(self, output: str, entry: File, *, verify: bool) -> Path:
        """A file of an output, downloaded whole if it is not in the cache, or, where `verify`, is damaged there."""
        path = self.cache / "files" / f"{entry.sha256}{Path(entry.file).suffix}"
        if path.is_file() and path.stat().st_size == entry.bytes and not (verify and sha256(path) != entry.sha256):
            return path
        name = entry.file if (self.folder / MANIFEST).exists() else f"{output}/{entry.file}"
        with atomic_file(path) as temporary:
            self.remote.get(name, temporary)
            if sha256(temporary) != entry.sha256:
                raise UserError(
                    f"{self.remote.url}/{name}: its content is not that of its checksum {entry.sha256[:12]}; open the set "
                    "again if it has been published anew meanwhile, else publish it again"
                )
        return path


def publish(folder: Path, url: str) -> None:
    """Copy a target set to a URL: all files, then the manifests, so that whoever finds a manifest finds its files.

    What lies there under the same names is replaced, and outputs of an earlier set that this one has not are there no more. A
    set that is not whole is refused before anything is copied.
    """
    files, remote = {path.relative_to(folder).as_posix(): path for path in whole_files(folder)}, Remote(url)
    for name, path in files.items():
        if not name.endswith(MANIFEST):
            remote.put(path, name)
    remote.remove(earlier(remote.names(), files))
    for name, path in files.items():
        if name.endswith(MANIFEST):
            remote.put(path, name)


def earlier(there: Iterable[str], files: Collection[str]) -> list[str]:
    """The manifests among the files of a place that are of outputs which a new set has not: they would be read as its own."""
    return [name for name in there if name.count("/") == 1 and name.endswith(f"/{MANIFEST}") and name not in files]


def whole_files(folder: Path) -> Iterator[Path]:
    """The files of a target set, each once it has been found to be what its manifest says, and then the manifests."""
    outputs = {path.parent: Manifest.read(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))}
    if not outputs:
        raise UserError(f"{folder}: no target set; run `dvc repro {stage_of(folder)}`")
    for output, manifest in outputs.items():
        for entry in manifest.files:
            path = output / entry.file
            if not path.is_file() or sha256(path) != entry.sha256:
                raise UserError(f"{path}: is missing or damaged; run `python -m distill verify {folder.name} --repair`")
            yield path
    for output in outputs:
        yield output / MANIFEST
