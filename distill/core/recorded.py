"""Results that dvc.lock records and whose files are not here, as in a clean clone: nobody computes them again by accident."""

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from distill.core.console import is_set
from distill.core.errors import UserError, first_line
from distill.core.processes import is_main_process

COMPUTE = "DISTILL_COMPUTE"
"""The environment variable that says to compute what could be fetched."""
LOCK = Path("dvc.lock")


def refuse_to_compute_again(stage: str) -> None:
    """Stop where data, settings and code of a stage are those that dvc.lock has its result for, and only the files are missing.

    A result in DVC's cache of this machine is not missing: then `dvc` was told to run the stage all the same.
    """
    if is_set(COMPUTE) or not is_main_process() or not has_result(stage):
        return
    with repository() as repo:
        recorded = repo.stage.load_one(name=stage)
        changed = recorded.changed_stage() or any(dep.status() for dep in recorded.deps)
        missing = all(out.hash_info and out.changed_cache() for out in recorded.outs if out.use_cache)
    if not changed and missing:
        raise UserError(
            f"{stage}: has been computed for this very data, settings and code (dvc.lock), its files alone are missing; fetch "
            f"them (`dvc pull {stage}`), or compute them again (`{COMPUTE}=1 dvc repro`)"
        )


def changed_since(stage: str, edited: Collection[str]) -> list[str]:
    """Of a stage and those before it, the ones that dvc.lock has a result for, and one of other settings or data than today's.

    Files that are not here, as in a clean clone, and code that has changed make no difference.

    Args:
        stage: Its name in dvc.yaml.
        edited: Files that the next `dvc repro` will write anew, with another content.
    """
    with repository() as repo:
        stages = repo.stage.collect(stage, with_deps=True)
        status = repo.status(targets=[stage], with_deps=True)
    changed = {name for name, reasons in status.items() if any(map(_is_edit, reasons))}
    changed |= {each.addressing for each in stages if any(dep.def_path in edited for dep in each.deps)}
    return sorted(name for name in changed if has_result(name))


def has_result(stage: str) -> bool:
    """Whether dvc.lock has one of a stage."""
    return _has(f"  {stage}:\n")


def is_recorded(output: Path) -> bool:
    """Whether dvc.lock has a version of a folder that a stage writes."""
    return _has(f"path: {output.as_posix()}\n")


@contextlib.contextmanager
def recorded_files() -> Iterator[Any]:
    """What dvc.lock names, from DVC's cache or remote and not from the working folder, as a file system of fsspec."""
    from dvc.fs.data import DataFileSystem

    with repository() as repo:
        yield DataFileSystem(index=repo.index.data["repo"])


@contextlib.contextmanager
def repository() -> Iterator[Any]:
    """DVC's repository here; what it cannot do is a UserError of one line."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_data.index import DataIndexDirError

    try:
        with Repo() as repo:
            yield repo
    except (DvcException, DataIndexDirError, OSError) as error:
        raise UserError(first_line(error)) from None


def _is_edit(reason: str | dict[str, dict[str, Any]]) -> bool:
    """Whether what DVC says of a stage is that its parameters, or files in data/, are others."""
    places = {} if isinstance(reason, str) else dict(pair for found in reason.values() for pair in found.items())
    return any(isinstance(how, dict) or (how == "modified" and path.startswith("data/")) for path, how in places.items())


def _has(line: str) -> bool:
    return LOCK.exists() and line in LOCK.read_text(encoding="utf-8")
