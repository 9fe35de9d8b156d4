"""Commands of this repository, run as a user runs them: `python -m …` in a folder, without a network."""

import os
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with this repository importable from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **more}


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=600
    )


def invoke(main: click.Command, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process, in its working folder: a process of its own takes seconds to load the libraries."""
    done = CliRunner().invoke(main, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that refused its input as it should.

    Raises:
        AssertionError: it ended otherwise, said more, or showed a traceback.
    """
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (1, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return errors[0].removeprefix("error: ")


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder, scratch space left out."""
    files = (file for file in folder.rglob("*") if file.is_file() and ".scratch" not in file.parts)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
