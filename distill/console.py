"""What every command does: one line for an error, no traceback, and an end when its parent ends."""

import errno
import functools
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

from distill.errors import UserError

PARAMS = Path("params.yaml")
P = ParamSpec("P")


def command(function: Callable[P, None]) -> click.Command:
    """Make a click command of a function, whose docstring is its help.

    A `UserError` or a failure of the file system (safetensors' own exception too) becomes one line on stderr and exit code 1,
    Ctrl-C exit code 130.
    DISTILL_TRACEBACK=1 shows the traceback all the same.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        end_with_parent()
        quiet_libraries()
        try:
            function(*args, **kwargs)
        except (UserError, OSError) as error:
            if os.environ.get("DISTILL_TRACEBACK"):
                raise
            fail(error)
        except KeyboardInterrupt:
            click.echo("interrupted; run the same command again to go on", err=True)
            sys.exit(130)
        except Exception as error:
            failure = re.search(r"\(os error (\d+)\)", str(error))
            if type(error).__name__ != "SafetensorError" or failure is None:
                raise
            fail(OSError(int(failure[1]), os.strerror(int(failure[1]))))

    return click.command(context_settings={"help_option_names": ["-h", "--help"]})(guarded)


def fail(error: Exception) -> None:
    """Print an error and exit with 1."""
    text = str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        advice = {
            errno.ENOSPC: "the disk is full; free some space and run again, what is finished is kept",
            errno.EROFS: "the folder is read-only; make it writable, or run elsewhere",
            errno.EACCES: "no permission; make it readable and writable, or run elsewhere",
        }.get(error.errno or 0, error.strerror or text)
        text = f"{place}{advice}"
    for line in text.splitlines():
        click.echo(f"error: {line}", err=True)
    sys.exit(1)


def end_with_parent() -> None:
    """Ask Linux to end this process when `dvc` is killed, so that a second run never meets an orphan of the first."""
    if sys.platform == "linux" and os.environ.get("DVC_ROOT"):
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def quiet_libraries() -> None:
    """Keep the libraries' notices, which a user can do nothing about, off the screen."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def say(text: str) -> None:
    """A plain line of progress, on stderr."""
    click.echo(text, err=True)
