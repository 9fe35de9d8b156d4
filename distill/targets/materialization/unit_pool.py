"""Where finished units wait until the set is assembled: the scratch folder, or a place that several machines reach."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distill.core.files import atomic_file
from distill.store.remote import Remote

DOWNLOADS = 8
"""Files that are fetched at a time."""


class Pool:
    """A folder of this machine, or a URL that all processes share. The name of a file says all that its bytes depend on."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        """`folder` belongs to one target set alone. With a URL, it holds files only while they are written or assembled."""
        self.folder = folder
        self._remote = None if url is None else Remote(url)
        folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> set[str]:
        """The files that are finished, here or there."""
        return {*self._here(), *self._there()}

    def keep(self, path: Path) -> None:
        """Let others find a file that has been written to the folder: put it there, whole, and leave none here."""
        if self._remote is not None:
            self._remote.put(path, path.name)
            path.unlink()

    def fetch(self, names: Iterable[str]) -> None:
        """Bring files into the folder, each whole; what is here stays."""
        if (remote := self._remote) is None:
            return

        def get(name: str) -> None:
            with atomic_file(self.folder / name) as temporary:
                remote.get(name, temporary)

        with ThreadPoolExecutor(DOWNLOADS) as threads:
            list(threads.map(get, sorted(set(names) - self._here())))

    def forget(self) -> None:
        """Delete all files, here and there: the set is whole."""
        for name in self._here():
            (self.folder / name).unlink(missing_ok=True)
        if self._remote is not None:
            self._remote.remove(self._there())

    def _here(self) -> set[str]:
        return {path.name for path in self.folder.glob("*.arrow")}

    def _there(self) -> list[str]:
        names = [] if self._remote is None else self._remote.names()
        return [name for name in names if name.endswith(".arrow") and "/" not in name]
