"""A work folder: this repository's pipeline with a params.yaml of its own, run by `dvc repro`, so that a killed run goes on."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from distill.core.console import print_result
from tests.projects import copy_code

SHOWN = ("teacher ", "student ", "evaluate ", "augment ", "error: ", "ERROR: ")
"""How the lines of progress begin that are shown; all of them are in the folder's log.txt."""


def write_project(folder: Path, content: dict[str, Any], *, frozen: bool) -> None:
    """Copy the pipeline and write params.yaml; what is there already stays, and reruns only where it differs.

    `frozen` keeps the code that the folder has, so that an edit reruns nothing.
    """
    if not (frozen and (folder / "dvc.yaml").exists()):
        copy_code(folder)
    if not (folder / ".git").exists():
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)


def repro(folder: Path, stages: Sequence[str], threads: int) -> bool:
    """Run stages and all that they need; whether all ended well. What fails does not stop the others."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": str(threads),
        "DVC_SITE_CACHE_DIR": str((folder / ".dvc/tmp/site").absolute()),
    }
    command = ["dvc", "repro", "--keep-going", *stages]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with (folder / "log.txt").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            if line.startswith(SHOWN):
                print_result(f"{folder.name}: {line.rstrip()}")
    return process.wait() == 0
