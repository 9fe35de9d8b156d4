"""A work folder: this repository's pipeline with a params.yaml of its own, run by `dvc repro`, so that a killed run goes on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from distill.console import say
from tests.projects import CODE, ROOT

SHOWN = ("teacher ", "student ", "evaluate ", "augment ", "error: ", "ERROR: ")
"""How the lines of progress begin that are shown; all of them are in the folder's log.txt."""


class Project:
    """One work folder."""

    def __init__(self, folder: Path, content: dict[str, Any], *, frozen: bool = False) -> None:
        """Copy the pipeline and write params.yaml; what is there already stays, and reruns only where it differs.

        Args:
            folder: data/.scratch/quality/NAME.
            content: Of params.yaml.
            frozen: Keep the code that the folder has, so that an edit reruns nothing.
        """
        self.folder, self.content = folder, content
        if not (frozen and (folder / "dvc.yaml").exists()):
            for name in CODE:
                copy_whole(ROOT / name, folder / name)
        if not (folder / ".git").exists():
            subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        with (folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(content, file)

    def repro(self, stages: Sequence[str], threads: int) -> bool:
        """Run stages and all that they need; whether all ended well. What fails does not stop the others."""
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": str(threads),
            "DVC_SITE_CACHE_DIR": str((self.folder / ".dvc/tmp/site").absolute()),
        }
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                ["dvc", "repro", "--keep-going", *stages],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                if line.startswith(SHOWN):
                    say(f"{self.folder.name}: {line.rstrip()}")
        return process.wait() == 0


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file or a folder in place of what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy(source, target)
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
