"""`python -m distill check`: what can be known to be wrong before anything runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.console import PARAMS, command

if TYPE_CHECKING:
    from distill.params.base import Strict
    from distill.params.whole import Params

READ_WHOLE = {
    "datasets": ("data/prepared", "data/runs"),
    "teachers": ("data/teachers", "data/metrics/teachers", "data/exports", "data/metrics/exports", "data/evaluations"),
    "targets": ("data/audits", "data/metrics/targets"),
    "students": ("data/students", "data/metrics/students"),
}
"""Folders that `benchmark` and `report` depend on, and whose entries fill them: DVC refuses a folder that is not there."""


@command
@click.option("--params", type=click.Path(path_type=Path), default=PARAMS, show_default=True)
@click.option("--stamp", type=click.Path(path_type=Path), help="Write this file if all is well.")
@click.option("--jobs", type=click.Path(path_type=Path), help="What exports read goes here. Makes empty folders too.")
def main(params: Path, stamp: Path | None, jobs: Path | None) -> None:
    """Check the whole of params.yaml: types, typos, references, cycles, and that target sets keep what students read."""
    from distill.errors import UserError
    from distill.files import to_json, whole_folder, write_text
    from distill.params.needs import unfed
    from distill.params.whole import load_params
    from distill.shapes import local_config, read_shape

    checked = load_params(params)
    found = {name: read_shape(local_config(**teacher.checkpoint.model_dump())) for name, teacher in checked.teachers.items()}
    shapes = {name: shape for name, shape in found.items() if shape is not None}
    problems = [line for name in checked.targets for line in unfed(checked, name, params, shapes)]
    if problems:
        raise UserError("\n".join(problems))
    counts = ", ".join(f"{len(entries)} {section}" for section, entries in vars(checked).items())
    if stamp is not None:
        write_text(stamp, "params.yaml has been checked\n")
    if jobs is not None:
        with whole_folder(jobs) as folder:
            for name, job in export_jobs(checked).items():
                write_text(folder / f"{name}.json", to_json(job))
        for section, places in READ_WHOLE.items():
            for place in places if not getattr(checked, section) else ():
                Path(place).mkdir(parents=True, exist_ok=True)
    click.echo(f"{params}: {counts}")


def export_jobs(params: "Params") -> dict[str, dict[str, Any]]:
    """By KIND/NAME what the export of a teacher or student reads of params.yaml.

    DVC refuses a parameter that is not there, and most models have no entry in `exports`: so each export depends on a file of
    its own, and an edit exports again what it is about.
    """
    jobs: dict[str, dict[str, Any]] = {}
    for name, teacher in params.teachers.items():
        jobs[f"teachers/{name}"] = {"entry": given(teacher), "export": given(params.exports[name])}
    for name, student in params.students.items():
        teachers = sorted({params.targets[member].teacher for member in params.members(student.targets.partition("/")[0])})
        jobs[f"students/{name}"] = {"entry": given(student), "export": given(params.exports[name]), "teachers": teachers}
    return jobs


def given(settings: "Strict") -> dict[str, Any]:
    """What params.yaml gives of an entry, itself or by its defaults, as JSON has it."""
    return settings.model_dump(by_alias=True, exclude_unset=True, mode="json")


if __name__ == "__main__":
    main()
