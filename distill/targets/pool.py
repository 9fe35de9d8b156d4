"""Where finished units wait until the set is assembled: the scratch folder, or a place that several machines reach."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distill.files import whole_file
from distill.remote import Remote

DOWNLOADS = 8
"""Files that are fetched at a time."""


class Pool:
    """A folder of this machine, or one that all processes share. The name of a file says all that its bytes depend on."""

    def __init__(self, folder: Path) -> None:
        """`folder` belongs to one target set alone."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:
        """The files that are finished."""
        return {path.name for path in self.folder.glob("*.arrow")}

    def keep(self, path: Path) -> None:
        """Let others find a file that has been written to the folder."""

    def fetch(self, names: Iterable[str]) -> None:
        """Bring files into the folder."""

    def forget(self) -> None:
        """Delete all files: the set is whole."""
        for path in self.folder.glob("*.arrow"):
            path.unlink(missing_ok=True)


class SharedPool(Pool):
    """Files wait at a URL; the folder holds one only while it is written, and all of them when the set is assembled."""

    def __init__(self, folder: Path, url: str) -> None:
        """Resolve the URL.

        Raises:
            UserError: no file system has this protocol, or its package is not installed.
        """
        super().__init__(folder)
        self._remote = Remote(url)

    def names(self) -> set[str]:
        """The files that are finished, here or there."""
        return super().names() | set(self._there())

    def keep(self, path: Path) -> None:
        """Put a file there, whole, and leave none here."""
        self._remote.put(path, path.name)
        path.unlink()

    def fetch(self, names: Iterable[str]) -> None:
        """Bring files into the folder, each whole; what is here stays."""
        with ThreadPoolExecutor(DOWNLOADS) as threads:
            list(threads.map(self._get, sorted(set(names) - super().names())))

    def forget(self) -> None:
        """Delete all files, here and there."""
        super().forget()
        self._remote.remove(self._there())

    def _there(self) -> list[str]:
        return [name for name in self._remote.names() if name.endswith(".arrow") and "/" not in name]

    def _get(self, name: str) -> None:
        with whole_file(self.folder / name) as temporary:
            self._remote.get(name, temporary)


def open_pool(folder: Path, url: str | None) -> Pool:
    """The pool of a target set: `folder` alone, or `url` too.

    Raises:
        UserError: no file system has this protocol, or its package is not installed.
    """
    return Pool(folder) if url is None else SharedPool(folder, url)
