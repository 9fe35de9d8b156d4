"""Target sets at a URL: publishing one, and reading one without having all of it.

    publish(Path("data/targets/bbc"), "s3://bucket/targets/bbc")
    store = TargetStore.open("s3://bucket/targets/bbc")

Manifests are fetched whenever a set is opened, its other files when they are first asked for. Those lie in the cache under their
SHA-256: a file that is there is the right one, whatever has been published since.

    CACHE/s3/bucket/targets/bbc/logits/manifest.json
    CACHE/files/SHA256.arrow
"""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from distill.errors import UserError
from distill.files import sha256, whole_file
from distill.remote import Remote
from distill.targets.schema import File, Manifest

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Mirror:
    """A set at a URL and what the cache has of it."""

    remote: Remote
    cache: Path

    @classmethod
    def open(cls, url: str, cache: Path | None) -> "Mirror":
        """Fetch the manifests of a set, or of one output.

        Args:
            url: s3://bucket/targets/NAME, or s3://bucket/targets/NAME/logits.
            cache: A folder; by default $DISTILL_CACHE, or ~/.cache/distill/targets.

        Raises:
            UserError: nothing is there, or it cannot be reached.
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
            with whole_file(mirror.folder / name) as temporary:
                mirror.remote.get(name, temporary)
        return mirror

    @property
    def folder(self) -> Path:
        """Where the manifests lie, as those of a local set do."""
        parts = [part for part in PurePosixPath(self.remote.path).parts if part not in ("/", "..")]
        return Path(self.cache, self.remote.protocol, *parts)

    def file(self, output: str, entry: File, *, verify: bool) -> Path:
        """A file of an output, downloaded whole if it is not in the cache, or, where `verify`, is damaged there.

        Raises:
            UserError: it is missing there, is not what its manifest says, or cannot be reached.
        """
        path = self.cache / "files" / f"{entry.sha256}{Path(entry.file).suffix}"
        if path.is_file() and path.stat().st_size == entry.bytes and not (verify and sha256(path) != entry.sha256):
            return path
        name = entry.file if (self.folder / MANIFEST).exists() else f"{output}/{entry.file}"
        with whole_file(path) as temporary:
            self.remote.get(name, temporary)
            if sha256(temporary) != entry.sha256:
                raise UserError(
                    f"{self.remote.url}/{name}: its content is not that of its checksum {entry.sha256[:12]}; open the set "
                    "again if it has been published anew meanwhile, else publish it again"
                )
        return path


def publish(folder: Path, url: str) -> None:
    """Copy a target set to a URL: all files, then the manifests, so that whoever finds a manifest finds its files.

    Args:
        folder: data/targets/NAME.
        url: Where it is to be; what lies there under the same names is replaced.

    Raises:
        UserError: the set is not whole, or the place cannot be written.
    """
    outputs = {path.parent: Manifest.read(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))}
    if not outputs:
        raise UserError(f"{folder}: no target set; run `dvc repro targets@{folder.name}`")
    remote = Remote(url)
    for output, manifest in outputs.items():
        for entry in manifest.files:
            path = output / entry.file
            if not path.is_file() or sha256(path) != entry.sha256:
                raise UserError(f"{path}: is missing or damaged; run `python -m distill verify {folder.name} --repair`")
            remote.put(path, f"{output.name}/{entry.file}")
    for output in outputs:
        remote.put(output / MANIFEST, f"{output.name}/{MANIFEST}")
