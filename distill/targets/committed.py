"""The version of a target set that dvc.lock names, from DVC's cache or remote: the base of the next one in a new clone."""

from pathlib import Path

from distill.console import note, say
from distill.errors import UserError
from distill.files import whole_folder
from distill.targets.reader import TargetStore
from distill.targets.schema import Fingerprints

LOCK = Path("dvc.lock")


def committed(folder: Path, fingerprints: Fingerprints, base: Path) -> TargetStore | None:
    """Fetch a set to `base`, if this teacher has made it and DVC can find all of it.

    Args:
        folder: data/targets/NAME, below the working folder, which is the project's.
        fingerprints: Of the teacher as it is now.
        base: Where the set is put; nothing is there yet.
    """
    if not LOCK.exists() or f"path: {folder.as_posix()}\n" not in LOCK.read_text(encoding="utf-8"):
        return None
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        remote = DVCFileSystem()
        found = [name for name in remote.find(folder.as_posix()) if name.endswith("/manifest.json")]
        with whole_folder(base) as whole:
            for name in found:
                _get(remote, name, whole / Path(name).relative_to(folder))
            store = TargetStore.open(whole)
            prints = [manifest.fingerprints for manifest in store.manifests.values()]
            if any((one.teacher, one.config) != (fingerprints.teacher, fingerprints.config) for one in prints):
                raise UserError("another teacher has made it")
            note(f"{folder}: fetching the version that {LOCK} names, so that only what is new is computed")
            for output, manifest in store.manifests.items():
                for entry in manifest.files:
                    _get(remote, f"{folder.as_posix()}/{output}/{entry.file}", whole / output / entry.file)
        return TargetStore.open(base)
    except (UserError, DvcException, OSError) as error:
        say(f"{folder}: the version that {LOCK} names is of no use here ({str(error).splitlines()[0]}); all is computed anew")
        return None


def _get(remote: object, name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    remote.get_file(name, str(path))  # type: ignore[attr-defined]
