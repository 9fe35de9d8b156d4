"""`python -m distill join`: in a clone, fetch what students are trained from, and nothing that they do not read."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import PARAMS, command
from distill.core.quantities import millions

if TYPE_CHECKING:
    from distill.params.students import StudentSettings


@command
@click.argument("students", nargs=-1)
def main(students: tuple[str, ...]) -> None:
    """Fetch what STUDENTS, by default all, need of the team's remote: rows, targets and initial students, no teacher."""
    from distill.core.errors import UserError
    from distill.core.recorded import repository
    from distill.core.validation import nearest
    from distill.pipeline.project import load_params

    params = load_params(PARAMS)
    for name in students:
        if name not in params.students:
            raise UserError(f"{name}: no such student in {PARAMS}{nearest(name, params.students)}")
    with repository() as repo:
        recorded = {place: out for place, out in _outputs(repo).items() if out.hash_info}
        wanted = [path for name in students or params.students for path in read_by(params.students[name], name, recorded)]
        found = [path for path in dict.fromkeys(wanted) if any(_inside(path, place) for place in recorded)]
        if not found:
            raise UserError("dvc.lock records nothing that they need; pull what the team has committed, or run `dvc repro`")
        repo.pull(targets=found, allow_missing=True)
        here = [path for path in found if Path(path).exists()]
        left = {place: out.meta.size or 0 for place, out in recorded.items() if not Path(place).exists()}
    for path in found:
        click.echo(f"{'fetched' if path in here else 'not on the remote'}: {path}")
    for place, size in sorted(left.items()):
        click.echo(f"left out: {place} ({millions(size)} MB)")
    if lacking := len(found) - len(here):
        raise UserError(
            f"{lacking} of {len(found)} are not on the remote; whoever has made them can `dvc push` them, then run this again"
        )
    click.echo("Now: dvc repro --pull --allow-missing student@NAME")


def read_by(student: "StudentSettings", name: str, recorded: Collection[str]) -> list[str]:
    """The folders that a student is trained and scored from: its initial student, or what that is still to be made of."""
    initial = f"data/inits/{name}"
    targets = f"data/targets/{student.target_set}{'/logits' if student.targets.endswith('/logits') else ''}"
    return [f"data/prepared/{student.dataset}", initial if initial in recorded else student.init.source, targets]


def _outputs(repo: Any) -> dict[str, Any]:
    """What stages write and DVC keeps, by its place in the project."""
    outs = (out for stage in repo.index.stages for out in stage.outs if out.use_cache)
    return {Path(out.fs_path).relative_to(repo.root_dir).as_posix(): out for out in outs}


def _inside(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")
