"""`python -m distill check`: what can be known to be wrong before anything runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import PARAMS, command

if TYPE_CHECKING:
    from distill.core.settings import Strict
    from distill.pipeline.entries import Params

READ_WHOLE = {
    "datasets": ("data/prepared", "data/raw", "data/runs"),
    "teachers": ("data/teachers", "data/metrics/teachers", "data/exports", "data/metrics/exports", "data/evaluations"),
    "targets": ("data/audits", "data/metrics/targets"),
    "students": ("data/students", "data/metrics/students"),
}
"""Folders that `benchmark` and `report` depend on, and whose entries fill them: DVC refuses a folder that is not there."""


@command
@click.option("--params", "path", type=click.Path(path_type=Path), default=PARAMS, show_default=True)
@click.option("--jobs", type=click.Path(path_type=Path), help="What stages read goes here. Makes empty folders too.")
def main(path: Path, jobs: Path | None) -> None:
    """Check the whole of params.yaml: types, typos, references, cycles, and that target sets keep what students read."""
    from distill.core.errors import UserError
    from distill.core.settings import read_sections
    from distill.pipeline.needs import missing_layers, missing_needs
    from distill.pipeline.project import checked
    from distill.pipeline.shapes import local_config, read_shape

    sections = read_sections(path)
    params = checked(sections, path)
    found = {name: read_shape(local_config(teacher.checkpoint)) for name, teacher in params.teachers.items()}
    shapes = {name: shape for name, shape in found.items() if shape is not None}
    problems = missing_layers(params, path, shapes)
    problems += [line for name in params.targets for line in missing_needs(params, name, path, shapes)]
    if problems:
        raise UserError("\n".join(problems))
    if jobs is not None:
        write_jobs(params, sections, jobs)
        for section, places in READ_WHOLE.items():
            for place in places if not getattr(params, section) else ():
                Path(place).mkdir(parents=True, exist_ok=True)
    counts = ", ".join(f"{len(entries)} {section}" for section, entries in vars(params).items() if entries)
    click.echo(f"{path}: {counts}")


def write_jobs(params: "Params", sections: dict[str, Any], jobs: Path) -> None:
    """Write what stages read of params.yaml beside their own entries.

    DVC refuses a parameter that is not there, and most models have no entry in `exports`, most sections none in `defaults`;
    it cannot depend on a file that some entries name and others do not. So each stage depends on a file of its own, and runs
    again after an edit of what it reads: this is why `check` runs at every `dvc repro`.

        entries/SECTION/NAME.json     what an entry inherits, and checksums of the local files that it names
        exports/KIND/NAME.json        what an export reads
        transfer/NAME.json            the sources whose rows a data set learns from without labels
        benchmark.json, report.json   distill/params/resolved.py
    """
    from distill.core.files import atomic_folder, to_json, write_text
    from distill.pipeline.resolve import benchmark_job, resolve

    resolved = resolve(params)
    found: dict[str, Any] = {f"exports/{name}": job for name, job in export_jobs(params).items()}
    found |= {f"entries/{name}": job for name, job in entry_jobs(params, sections, jobs).items()}
    found |= {f"transfer/{name}": list(dataset.transfer_sources) for name, dataset in params.datasets.items()}
    found |= {"benchmark": benchmark_job(resolved).model_dump(mode="json"), "report": resolved.model_dump(mode="json")}
    with atomic_folder(jobs) as folder:
        for name, job in found.items():
            write_text(folder / f"{name}.json", to_json(job))


def entry_jobs(params: "Params", sections: dict[str, Any], jobs: Path) -> dict[str, dict[str, Any]]:
    """By SECTION/NAME what an entry reads that is not in the entry itself."""
    from distill.core.settings import SECTIONS, inherited
    from distill.pipeline.local_files import Checksums, local_checksums

    checksums, found = Checksums(), {}
    for section in SECTIONS:
        for name in sections[section]:
            local = local_checksums(getattr(params, section)[name], checksums, jobs / "entries" / section / f"{name}.json")
            found[f"{section}/{name}"] = {"defaults": inherited(sections, section, name), "checksums": local}
    checksums.remember()
    return found


def export_jobs(params: "Params") -> dict[str, dict[str, Any]]:
    """By KIND/NAME what the export of a teacher or student, and its model card, say of params.yaml."""
    jobs: dict[str, dict[str, Any]] = {}
    for name, teacher in params.teachers.items():
        jobs[f"teachers/{name}"] = {"entry": given(teacher), "export": given(params.exports[name])}
    for name, student in params.students.items():
        teachers = sorted(set(map(params.teacher, params.members(student.target_set))))
        jobs[f"students/{name}"] = {"entry": given(student), "export": given(params.exports[name]), "teachers": teachers}
    return jobs


def given(settings: "Strict") -> dict[str, Any]:
    """What params.yaml gives of an entry, itself or by its defaults, as JSON has it."""
    return settings.model_dump(by_alias=True, exclude_unset=True, mode="json")


if __name__ == "__main__":
    main()
