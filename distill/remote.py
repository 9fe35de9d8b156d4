"""Files at a URL: `s3://…`, `gs://…`, `file://…`, or any other that fsspec knows. fsspec is imported once a URL is given."""

import contextlib
import errno
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.errors import UserError
from distill.files import whole_file

ONE_PUT = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")
"""File systems where a file is not there before all of it is. Elsewhere it takes its name last."""
PACKAGES = "`pip install 'distill[s3]'` for s3://, `pip install gcsfs` for gs://, `pip install adlfs` for abfs://"


class Remote:
    """A folder at a URL. Whatever its file system raises becomes a `UserError` that names the URL."""

    def __init__(self, url: str) -> None:
        """Resolve a URL, or the path of a folder; nothing is read yet.

        Raises:
            UserError: no file system has this protocol, or its package is not installed.
        """
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
            if self._is_local:
                with whole_file(Path(target)) as temporary:
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

    @property
    def _is_local(self) -> bool:
        return self.protocol in ("file", "local")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except ImportError as error:
            raise UserError(f"{self.url}: {str(error).splitlines()[0]}; {PACKAGES}") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS):
                raise
            what = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self.url}: {what}; check the address, the credentials and the network") from None
