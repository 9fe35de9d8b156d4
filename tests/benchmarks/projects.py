"""A small project that a benchmark writes and runs, stage by stage in this process, and what its students keep."""

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from distill.core.console import quiet_libraries
from tests.closures import ROOT


@contextlib.contextmanager
def scratch_project(params: str) -> Iterator[None]:
    """A folder below data/ with this params.yaml, as the working directory; it goes when the block ends."""
    quiet_libraries()
    with tempfile.TemporaryDirectory(dir=ROOT / "data") as folder, contextlib.chdir(folder):
        Path("params.yaml").write_text(params, encoding="utf-8")
        yield


def run(stage: str, *arguments: str) -> None:
    """A stage's own function."""
    module: Any = __import__(f"stages.{stage}", fromlist=["main"])
    module.main.callback.__wrapped__(*arguments)


def distil(name: str, students: Sequence[str]) -> None:
    """All stages of one data set, of the teacher and the target set of the same name, and of these students of theirs."""
    for stage in ("fetch", "prepare", "teacher", "folds", "targets"):
        run(stage, name)
    run("evaluate", "teachers", name)
    for student in students:
        run("init", student)
        run("student", student)
        run("evaluate", "students", student)


def tell(kind: str, name: str, scores: dict[str, str], of: str) -> None:
    """Print what `evaluate` has found: some scores under other names, and what is kept of the teacher's, with its interval."""
    found = json.loads(Path(f"data/metrics/{kind}/{name}.json").read_text(encoding="utf-8"))
    told = ", ".join(f"{called} {found[score]:.4f}" for score, called in scores.items())
    kept = " ".join(f"{found[key]:.1%}" for key in ("retention", "retention_low", "retention_high") if key in found)
    click.echo(f"{name}: {told} on {found['rows']} {of} {kept}", err=True)
