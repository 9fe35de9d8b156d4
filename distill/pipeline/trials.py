"""Trials of students with other params: clones of the commit, in each of which `dvc exp run` trains.

DVC's cache is shared: what a student reads comes from it, and the experiment is pushed back. So trials neither wait for each
other's locks nor touch the working folder.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.core.files import SCRATCH
from distill.pipeline.local_files import KNOWN

WORK = SCRATCH / "sweep"
OVERRIDE = re.compile(r"(?:\+{0,2}|~)students\.([\w-]+)\.\w.*", re.DOTALL)


@dataclass(frozen=True)
class Trial:
    """Students with params of their own: what is changed, as `dvc exp run --set-param` has it."""

    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the experiment: `half-temperature-2`."""
        changes = (override.lstrip("+~").removeprefix("students.") for override in self.overrides)
        return "-".join(re.sub(r"(?<!\d)\.(?!\d)|[^\w.+-]+", "-", change).strip("-.") for change in changes)

    @property
    def students(self) -> list[str]:
        """Whose params are changed."""
        return list(dict.fromkeys(student_of(override) for override in self.overrides))

    def options(self) -> list[str]:
        """For `dvc exp run`."""
        return [word for override in self.overrides for word in ("--set-param", override)]


def student_of(override: str) -> str:
    """The student that an override changes."""
    found = OVERRIDE.fullmatch(override)
    if found is None:
        raise UserError(
            f"-S {override}: expected students.NAME.KEY=VALUE,…; params of others, which rerun teachers, are for `dvc exp run -S`"
        )
    return found[1]


def check_project(students: Sequence[str]) -> str:
    """The commit that trials begin with; refuses edits, and a commit for which teacher or targets are not computed yet.

    `check` runs first: it tells what local files have changed.
    """
    from dvc.repo import Repo

    own = [f"student@{name}" for name in students]
    dvc = [sys.executable, "-m", "dvc", "repro", "--quiet", "check"]
    checked = subprocess.run(dvc, capture_output=True, text=True, check=False)
    if checked.returncode:
        raise UserError(f"check: {error_in(checked.stderr + checked.stdout)}")
    edited = git(Path.cwd(), "status", "--porcelain", "--untracked-files=no")
    if edited:
        files = ", ".join(line[3:] for line in edited.splitlines()[:3])
        raise UserError(f"{files}: edited; trials begin with the last commit: `git commit --all` first")
    with Repo() as repo:
        found = repo.status(targets=own, with_deps=True)
    missing = sorted(name for name, reasons in found.items() if name not in own and any(map(is_outdated, reasons)))
    if missing:
        raise UserError(
            f"{missing[0]}: has not been computed for what is committed, and every trial would compute it; "
            f"`dvc repro {' '.join(missing)}`, then `git commit --all`"
        )
    return git(Path.cwd(), "rev-parse", "HEAD")


def is_outdated(reason: Any) -> bool:
    """Whether a stage would run, by `dvc status`; what is recorded but is not in the working folder comes from the cache.

    `check` always runs, and changes nothing that follows unless what it writes has changed.
    """
    if not isinstance(reason, dict):
        return bool(reason != "always changed")
    return any(how != "deleted" for how in reason.get("changed deps", {}).values())


def run_trial(root: Path, head: str, trial: Trial, threads: int) -> str:
    """Run a trial in a clone, and hand its experiment over to the project: what went wrong, if anything did."""
    clone = root / WORK / trial.name
    shutil.rmtree(clone, ignore_errors=True)
    try:
        prepare_clone(root, head, clone)
        stages = [f"evaluate@{name}" for name in trial.students]
        variables = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        dvc = [sys.executable, "-m", "dvc", "exp", "run", "--allow-missing", "--name", trial.name, *trial.options(), *stages]
        with (clone / "log.txt").open("w", encoding="utf-8") as log:
            ended = subprocess.run(dvc, cwd=clone, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if ended.returncode:
            return reason(clone / "log.txt")
        place = reference(head, trial.name)
        git(clone, "push", "--quiet", str(root), f"{place}:{place}")
    except (UserError, OSError) as error:
        return str(error)
    shutil.rmtree(clone)
    return ""


def prepare_clone(root: Path, head: str, clone: Path) -> None:
    """Check the commit out into a folder that has the project's settings, and its cache."""
    from dvc.repo import Repo

    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(clone))
    git(clone, "checkout", "--quiet", "--detach", head)
    shutil.copy(Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")) / "config", clone / ".git/config")
    for known in (Path(".dvc/config.local"), KNOWN):
        if (root / known).exists():
            (clone / known).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / known, clone / known)
    with Repo(str(root)) as repo:
        cache = repo.cache.local_cache_dir
    with Repo(str(clone)) as repo, repo.config.edit("local") as config:
        config.setdefault("cache", {})["dir"] = cache


def reason(log: Path) -> str:
    """The error that a failed `dvc exp run` has printed, and where the rest of it is."""
    return f"{error_in(log.read_text(encoding='utf-8'))} ({log})"


def error_in(printed: str) -> str:
    """The first error among lines."""
    errors = [line.partition(": ")[2] for line in printed.splitlines() if line.lower().startswith("error: ")]
    return errors[0] if errors else "failed"


def reference(head: str, name: str) -> str:
    """Where git keeps an experiment of DVC's."""
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"


def experiment_exists(root: Path, head: str, name: str) -> bool:
    """Whether a trial was done already."""
    return bool(git(root, "for-each-ref", reference(head, name)))


def git(folder: Path, *arguments: str) -> str:
    """Run git: what it prints."""
    ended = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UserError(f"git {arguments[0]}: {(ended.stderr or 'failed').strip().splitlines()[-1]}")
    return ended.stdout.strip("\n")
