"""What a user sees of a command: one line for an error, help at once, and no library loaded before it is needed."""

import errno
import importlib
import os
import re
import resource
import sys
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from distill.commands.check import main as check
from distill.core import console
from distill.core.console import command
from distill.core.errors import UserError
from tests.command_line import ROOT, contents, invoke, python, refusal
from tests.projects import ended, wait_for

QUIET_LIBRARIES = console.quiet_libraries
HEAVY = {"torch", "transformers", "datasets", "sklearn", "scipy", "pyarrow", "numpy"}
FULL = "the disk is full; free some space and run again, what is finished is kept"
STAGES = sorted(file.stem for file in (ROOT / "stages").glob("*.py"))


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DISTILL_TRACEBACK", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def outcome(error: BaseException | None = None) -> Result:
    """Run a command that raises this."""

    @command
    @click.argument("name")
    def main(name: str) -> None:
        """Do something with NAME."""
        console.print_result(f"working on {name}")
        if error is not None:
            raise error

    return CliRunner().invoke(main, ["x"])


def test_a_command_that_succeeds_says_what_it_says_on_stderr():
    result = outcome()
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "working on x\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("params.yaml: x: wrong; do this"), "error: params.yaml: x: wrong; do this"),
        (UserError("one\ntwo"), "error: one\nerror: two"),
        (OSError(errno.ENOSPC, "No space left on device", "data/x"), f"error: data/x: {FULL}"),
        (OSError(errno.ENOSPC, "No space left on device"), f"error: {FULL}"),
        (
            OSError(errno.EROFS, "Read-only file system", "data"),
            "error: data: the folder is read-only; make it writable, or run elsewhere",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "data"),
            "error: data: no permission; make it readable and writable, or run elsewhere",
        ),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "data"), "error: data: Is a directory"),
        (OSError("made up by a library"), "error: made up by a library"),
    ],
)
def test_a_mistake_or_a_failure_of_the_file_system_is_a_line_with_what_to_do(error: Exception, line: str):
    result = outcome(error)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"working on x\n{line}\n")


def test_ctrl_c_ends_with_130_and_says_how_to_go_on():
    result = outcome(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "run the same command again" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_leaves_results_and_errors(monkeypatch: pytest.MonkeyPatch, flag: str):
    @command
    def main() -> None:
        """Work."""
        console.print_progress("half of it")
        console.print_result("all of it")
        raise UserError("wrong")

    monkeypatch.setenv(console.QUIET, "0")
    assert CliRunner().invoke(main, []).stderr.splitlines() == ["half of it", "all of it", "error: wrong"]
    assert CliRunner().invoke(main, [flag]).stderr.splitlines() == ["all of it", "error: wrong"]
    assert os.environ[console.QUIET] == "1"


@pytest.mark.parametrize(("value", "wanted"), [("", False), ("0", False), ("1", True)])
def test_quiet_is_an_environment_variable_too(monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool):
    monkeypatch.setenv(console.QUIET, value)
    assert console.quiet() is wanted


def test_libraries_show_bars_on_terminals_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(console, "quiet_libraries", QUIET_LIBRARIES)
    for terminal, value, off in ((True, "0", "0"), (True, "1", "1"), (False, "0", "1")):
        with monkeypatch.context() as patched:
            patched.setenv(console.QUIET, value)
            patched.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
            for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
                patched.setenv(name, "to be deleted")
                patched.delenv(name)
            with warnings.catch_warnings():
                console.quiet_libraries()
            assert os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] == os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] == off


def test_a_bug_keeps_its_traceback():
    result = outcome(ZeroDivisionError("a bug"))
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_traceback_can_be_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISTILL_TRACEBACK", "1")
    assert isinstance(outcome(UserError("wrong")).exception, UserError)


def test_a_functions_docstring_is_its_help():
    @command
    def main() -> None:
        """Say what this does."""

    for flag in ("-h", "--help"):
        result = CliRunner().invoke(main, [flag])
        assert result.exit_code == 0
        assert "Say what this does." in result.stdout


@pytest.mark.parametrize(
    "arguments", [*((f"stages.{stage}",) for stage in STAGES), ("distill",), ("distill", "check")], ids=" ".join
)
def test_help_is_there_within_a_second(arguments: tuple[str, ...]):
    """Of the processor's time, of which a busy machine gives a part only."""
    seconds = []
    for _ in range(3):
        start = processor_seconds()
        done = python(ROOT, "-m", *arguments, "--help")
        seconds.append(processor_seconds() - start)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Usage: ")
        if seconds[-1] < 1:
            break
    assert min(seconds) < 1


def processor_seconds() -> float:
    """Of the processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (("distill.__main__", *(f"stages.{stage}" for stage in STAGES)), HEAVY),
        (("distill.pipeline.project", "distill.recipes.registry"), HEAVY),
        (("distill.params.task_specs",), {*HEAVY, "pydantic"}),
    ],
    ids=["commands and stages", "params.yaml", "the table of tasks"],
)
def test_no_heavy_library_is_loaded_before_it_is_needed(modules: tuple[str, ...], heavy: set[str]):
    done = python(ROOT, "-c", f"import sys, {', '.join(modules)}; print(*sorted({heavy!r} & sys.modules.keys()))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_a_python_without_the_packages_says_how_to_get_them():
    done = python(ROOT, "-S", "-m", "distill", "--help")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: \w+ is not installed for \S+; `make setup && source \.venv/bin/activate`\n", done.stderr)


def test_a_stage_without_params_yaml_says_where_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for stage in ("fetch", "prepare", "student"):
        line = refusal(invoke(importlib.import_module(f"stages.{stage}").main, "x"))
        assert line == "params.yaml: cannot be read (No such file or directory); run from the folder that holds it"
    assert contents(tmp_path) == {}


def test_check_accepts_the_repositorys_file_and_writes_what_stages_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    done = invoke(check, "--params", str(ROOT / "params.yaml"), "--jobs", "data/jobs")
    assert done.returncode == 0, done.stderr
    assert "students" in done.stdout
    students = ("distilled", "half", "supervised")
    entries = [
        *(f"{name}/bbc" for name in ("sources", "datasets", "teachers", "targets")),
        *(f"students/{name}" for name in students),
    ]
    exports = ["teachers/bbc", *(f"students/{name}" for name in students)]
    jobs = [
        "benchmark",
        "report",
        "transfer/bbc",
        *(f"entries/{name}" for name in entries),
        *(f"exports/{name}" for name in exports),
    ]
    assert contents(tmp_path).keys() == {f"data/jobs/{name}.json" for name in jobs}


def test_check_reports_a_mistake_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("sorces: {}\n", encoding="utf-8")
    line = refusal(invoke(check, "--jobs", "data/jobs"))
    assert line == "params.yaml: sorces: unknown section; did you mean 'sources'?"
    assert contents(tmp_path).keys() == {"params.yaml"}


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path: Path):
    stage = (
        "import time; from distill.core.console import end_with_parent; end_with_parent(); print(1, flush=True); time.sleep(400)"
    )
    parent = (
        "import os, subprocess, sys; os.environ['DVC_ROOT'] = '.'\n"
        f"child = subprocess.Popen([sys.executable, '-c', {stage!r}], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        "child.stdout.readline(); print(child.pid, flush=True); os._exit(1)"
    )
    process = int(python(tmp_path, "-c", parent).stdout)
    wait_for("the stage's end", lambda: ended(process))
