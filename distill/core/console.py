"""What every command does: one line for an error, no traceback, an end when its parent ends, no progress if unwanted."""

import errno
import functools
import gc
import math
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import click

from distill.core.errors import UserError

PARAMS = Path("params.yaml")

QUIET = "DISTILL_QUIET"
"""The environment variable by which stages that `dvc` runs are quiet, as others are by `--quiet`."""

RARELY = 10_000
"""New objects until Python looks for garbage. Libraries make a million that stay: its own 700 costs a start 0.7 s."""

P = ParamSpec("P")


class Number(click.FloatRange):
    """A number within bounds; click's own takes `nan`, which is within all of them, and limits nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse what is no number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def command(function: Callable[P, None]) -> click.Command:
    """Make a click command of a function, whose docstring is its help; `--quiet` leaves results and errors alone on the screen.

    A `UserError` or a failure of the file system (safetensors' own exception too) becomes one line on stderr and exit code 1,
    Ctrl-C exit code 130.
    DISTILL_TRACEBACK=1 shows the traceback all the same.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        end_with_parent()
        quiet_libraries()
        gc.set_threshold(RARELY)
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

    made = click.command(context_settings={"help_option_names": ["-h", "--help"]})(guarded)
    help_text = f"Show results and errors, and no progress; so does {QUIET}=1."
    return click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=set_quiet, help=help_text)(made)


def quiet() -> bool:
    """Whether progress is unwanted."""
    return is_set(QUIET)


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes: anything but nothing and 0."""
    return os.environ.get(variable, "0") not in ("", "0")


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
    bars = sys.stderr.isatty() and not quiet()
    for library in ("HF_HUB", "HF_DATASETS"):
        os.environ.setdefault(f"{library}_DISABLE_PROGRESS_BARS", str(int(not bars)))
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def print_result(text: str) -> None:
    """A plain line of results, on stderr."""
    click.echo(text, err=True)


def print_progress(text: str) -> None:
    """A plain line of progress, on stderr; none if it is unwanted."""
    if not quiet():
        print_result(text)


def set_quiet(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Tell this process, and those that it starts."""
    if wanted:
        os.environ[QUIET] = "1"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns of equal width, those of numbers to the right; the first row is their head."""
    columns = []
    for head, *cells in zip(*rows, strict=True):
        width, numbers = max(map(len, (head, *cells))), all(cell[:1].isdigit() for cell in cells if cell)
        columns.append([cell.rjust(width) if numbers else cell.ljust(width) for cell in (head, *cells)])
    return ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
