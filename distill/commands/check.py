"""`python -m distill check`: what can be known to be wrong before anything runs."""

from pathlib import Path

import click

from distill.core.console import PARAMS, command

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
    from distill.core.files import atomic_folder, to_json, write_text
    from distill.core.settings import read_sections
    from distill.pipeline.jobs import jobs_of
    from distill.pipeline.needs import require_served
    from distill.pipeline.project import checked

    sections = read_sections(path)
    params = checked(sections, path)
    require_served(params, path)
    if jobs is not None:
        with atomic_folder(jobs) as folder:
            for name, job in jobs_of(params, sections, jobs).items():
                write_text(folder / f"{name}.json", to_json(job))
        for section, places in READ_WHOLE.items():
            for place in places if not getattr(params, section) else ():
                Path(place).mkdir(parents=True, exist_ok=True)
    counts = ", ".join(f"{len(entries)} {section}" for section, entries in vars(params).items() if entries)
    click.echo(f"{path}: {counts}")


if __name__ == "__main__":
    main()
