"""`python -m distill verify`: whether target sets are what their manifests say, and putting them right."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.errors import UserError
from distill.core.files import SCRATCH, atomic_folder, exclusive_lock, unfinished
from distill.core.settings import load_entry
from distill.params.ensembles import EnsembleSettings
from distill.params.given import GivenSettings
from distill.params.targets import TargetSettings
from distill.pipeline.target_folders import TARGETS, folders, section_of, stage_in_params
from distill.store.origin import repair_of

if TYPE_CHECKING:
    from distill.data.dataset import Dataset
    from distill.targets.materialization.forward import Teacher
    from distill.targets.verification.integrity import CheckResult

MADE_WITHOUT = {
    "given": "was given, no teacher here made it",
    "ensembles": "is an ensemble, which no teacher made; verify its members first",
}
"""Sections whose sets no teacher can compute again, and what to say of them."""


@command
@click.argument("names", nargs=-1)
@click.option("--live", type=click.IntRange(min=1), help="Also let the teacher compute so many rows again and compare.")
@click.option("--repair", is_flag=True, help="Let the teacher compute again what is broken or missing.")
def main(names: tuple[str, ...], live: int | None, repair: bool) -> None:
    """Check every byte of the target sets NAMES (entries of params.yaml, or paths), by default of all in data/targets."""
    problems = []
    for folder in folders(names):
        checked = checked_set(folder)
        missing = lacking(folder, checked)
        if repair and (checked.problems or missing):
            for line in (*(problem.text for problem in checked.problems), *(f"{folder / name}: is not here" for name in missing)):
                print_result(line)
            repair_set(folder)
            checked = checked_set(folder)
            missing = lacking(folder, checked)
        lines = [problem.text for problem in checked.problems]
        if live is not None and not lines:
            lines = compare_live(folder, live)
        if lines:
            count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
            problems += [*lines, f"{folder}: {count}; {advice(folder)}"]
        else:
            size = f"{checked.bytes / 2**20:.1f} MiB"
            gone = ", ".join(missing)
            rest = f"; without {gone}, which {PARAMS} asks for: `dvc pull {stage_in_params(folder)}`, or --repair" if gone else ""
            click.echo(f"{folder}: {len(checked.files)} files, {size}, all as {len(checked.manifests)} manifests say{rest}")
    if problems:
        raise UserError("\n".join(problems))


def checked_set(folder: Path) -> "CheckResult":
    """Check a set, against the rows of its data set if these are here."""
    from distill.data.dataset import Dataset
    from distill.targets.verification.integrity import check

    wanted = {}
    try:
        dataset = Dataset.open(Path("data/prepared", dataset_of(folder)))
        wanted = {str(entry["fingerprint"]): dataset.rows(split).ids for split, entry in dataset.splits.items()}
    except UserError:
        pass  # its outputs are compared with each other instead
    return check(folder, wanted)


def lacking(folder: Path, checked: "CheckResult") -> list[str]:
    """The outputs that params.yaml asks for and a set is without, as where a part was fetched; none if that is not known."""
    from distill.data.dataset import Dataset
    from distill.targets.materialization.outputs import job_of, resolve

    try:
        settings = settings_of(folder)
        task = Dataset.open(Path("data/prepared", settings.dataset)).task
        layers = max((manifest.teacher_layers for manifest in checked.manifests.values()), default=0)
        return [output for output in resolve(job_of(settings), layers, task).names if output not in checked.manifests]
    except UserError:
        return []


def settings_of(folder: Path) -> TargetSettings:
    """What params.yaml says of a set that a teacher computed."""
    _require_entry(folder)
    if (section := section_of(folder)) in MADE_WITHOUT:
        raise UserError(f"{folder}: {MADE_WITHOUT[section]}; run `dvc repro --force --single-item {stage_in_params(folder)}`")
    return load_entry(PARAMS, "targets", folder.name, TargetSettings)


def dataset_of(folder: Path) -> str:
    """The data set of any set, by params.yaml."""
    _require_entry(folder)
    section = section_of(folder)
    model: Any = {"given": GivenSettings, "ensembles": EnsembleSettings}.get(section, TargetSettings)
    name: str = load_entry(PARAMS, section, folder.name, model).dataset
    return name


def _require_entry(folder: Path) -> None:
    if folder.absolute().parent != TARGETS.absolute():
        raise UserError(f"{folder}: the teacher of this folder is not known; give the name of an entry of `targets` in {PARAMS}")


def compare_live(folder: Path, rows: int) -> list[str]:
    """Compare rows with the live teacher; a line for each output that is beyond its bound."""
    from distill.store.target_set import TargetStore
    from distill.targets.verification.live import compare

    if (section := section_of(folder)) in MADE_WITHOUT:
        click.echo(f"{folder}: --live: not compared: it {MADE_WITHOUT[section].partition(';')[0]}")
        return []
    settings, dataset, teacher = opened(folder)
    lines = []
    for found in compare(TargetStore.open(folder, verify=False), teacher, dataset, rows, settings.batch_tokens):
        text = f"{folder / found.output}: {found.rows} rows, at most {found.worst:.2g} of the bound off the live teacher"
        if found.worst <= 1:
            click.echo(text)
        else:
            lines.append(f"{text}; the farthest is example {found.example} of {found.split}")
    return lines


def repair_set(folder: Path) -> None:
    """Compute again what is broken, and replace the folder whole."""
    from distill.targets.materialization.outputs import job_of
    from distill.targets.materialization.previous import remember
    from distill.targets.materialization.unit_pool import Pool
    from distill.targets.verification.repair import Repair

    scratch = SCRATCH / "targets" / folder.name
    with exclusive_lock(scratch):
        settings, dataset, teacher = opened(folder)
        pool = Pool(scratch)
        unfinished(folder).rmdir()
        made = Repair(teacher, dataset, job_of(settings), pool, checked_set(folder))
        work = made.run()
        with atomic_folder(folder) as new:
            made.assemble(new)
        remember(folder, scratch)
        pool.forget()
    print_result(f"{folder}: {work.tokens_computed} of {work.tokens} tokens read by the teacher")


def opened(folder: Path) -> "tuple[TargetSettings, Dataset, Teacher]":
    """The settings, the data set and the teacher of a target set."""
    from distill.data.dataset import Dataset
    from distill.targets.materialization.forward import open_teacher

    settings = settings_of(folder)
    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    return settings, dataset, open_teacher(Path("data/teachers", settings.teacher), dataset, Path("data/folds", settings.teacher))


def advice(folder: Path) -> str:
    """How to put a set right."""
    whole = folder if folder.absolute().parent == TARGETS.absolute() else folder.parent
    stage = stage_in_params(whole)
    return f"run `{repair_of(stage)}`, or `dvc pull --force {stage}`"
