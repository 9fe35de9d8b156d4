"""`python -m distill verify`: whether target sets are what their manifests say, and putting them right."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill.console import PARAMS, command, say
from distill.errors import UserError
from distill.files import SCRATCH, sole_writer, whole_folder
from distill.params.base import load_entry, read_yaml
from distill.params.targets import TargetSettings

if TYPE_CHECKING:
    from distill.targets.verify import Checked

TARGETS = Path("data/targets")


@command
@click.argument("names", nargs=-1)
@click.option("--live", type=click.IntRange(min=1), help="Also let the teacher compute so many rows again and compare.")
@click.option("--repair", is_flag=True, help="Let the teacher compute again what is broken or missing.")
def main(names: tuple[str, ...], live: int | None, repair: bool) -> None:
    """Check every byte of the target sets NAMES (entries of params.yaml, or paths), by default of all in data/targets."""
    problems = []
    for folder in folders(names):
        checked = checked_set(folder)
        if repair and checked.problems:
            for problem in checked.problems:
                say(problem.text)
            repair_set(folder)
            checked = checked_set(folder)
        lines = [problem.text for problem in checked.problems]
        if live is not None and not lines and not is_ensemble(folder):
            lines = compare_live(folder, live)
        if lines:
            count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"
            problems += [*lines, f"{folder}: {count}; {advice(folder)}"]
        else:
            size = f"{checked.bytes / 2**20:.1f} MiB"
            click.echo(f"{folder}: {len(checked.files)} files, {size}, all as {len(checked.manifests)} manifests say")
    if problems:
        raise UserError("\n".join(problems))


def folders(names: tuple[str, ...]) -> list[Path]:
    """The folders of target sets by name or path; without names, of all.

    Raises:
        UserError: there is none.
    """
    found = [TARGETS / name if (TARGETS / name).is_dir() else Path(name) for name in names]
    for folder in found:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such target set or folder; run `dvc repro targets@{folder.name}`, or `dvc pull`")
    found = found or sorted(path for path in TARGETS.glob("*") if path.is_dir())
    if not found:
        raise UserError(f"{TARGETS}: no target sets; run `dvc repro`, or `dvc pull`")
    return found


def checked_set(folder: Path) -> "Checked":
    """Check a set, against the rows of its data set if these are here."""
    from distill.prepared import Dataset
    from distill.targets.verify import check

    wanted = {}
    try:
        dataset = Dataset.open(Path("data/prepared", settings_of(folder).dataset))
        wanted = {str(entry["fingerprint"]): dataset.rows(split).ids for split, entry in dataset.splits.items()}
    except UserError:
        pass  # its outputs are compared with each other instead
    return check(folder, wanted)


def settings_of(folder: Path) -> TargetSettings:
    """What params.yaml says of a set.

    Raises:
        UserError: it has no such entry, the entry is an ensemble, or the folder is none of data/targets.
    """
    if folder.absolute().parent != TARGETS.absolute():
        raise UserError(f"{folder}: the teacher of this folder is not known; give the name of an entry of `targets` in {PARAMS}")
    if is_ensemble(folder):
        raise UserError(
            f"{folder}: is an ensemble, which no teacher made; verify its members, or `dvc repro --force ensemble@{folder.name}`"
        )
    return load_entry(PARAMS, "targets", folder.name, TargetSettings)


def is_ensemble(folder: Path) -> bool:
    """Whether params.yaml says that a set is the mean of others: no teacher made it."""
    return PARAMS.exists() and folder.name in (read_yaml(PARAMS).get("ensembles") or {})


def compare_live(folder: Path, rows: int) -> list[str]:
    """Compare rows with the live teacher; a line for each output that is beyond its bound."""
    from distill.prepared import Dataset
    from distill.targets.live import compare
    from distill.targets.reader import TargetStore
    from distill.targets.teacher import open_teacher

    settings = settings_of(folder)
    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    store = TargetStore.open(folder, verify=False)
    teacher = open_teacher(Path("data/teachers", settings.teacher), dataset)
    lines = []
    for found in compare(store, teacher, dataset, rows, settings.batch_tokens):
        text = f"{folder / found.output}: {found.rows} rows, at most {found.worst:.2g} of the bound off the live teacher"
        if found.worst <= 1:
            click.echo(text)
        else:
            lines.append(f"{text}; the farthest is example {found.example} of {found.split}")
    return lines


def repair_set(folder: Path) -> None:
    """Compute again what is broken, and replace the folder whole.

    Raises:
        UserError: the set cannot be repaired with this params.yaml, or another process writes it.
    """
    from distill.jobs import job_of
    from distill.prepared import Dataset
    from distill.targets.base import remember
    from distill.targets.pool import Pool
    from distill.targets.repair import Repair
    from distill.targets.teacher import open_teacher

    settings = settings_of(folder)
    scratch = SCRATCH / "targets" / folder.name
    with sole_writer(scratch):
        dataset = Dataset.open(Path("data/prepared", settings.dataset))
        teacher = open_teacher(Path("data/teachers", settings.teacher), dataset)
        pool = Pool(scratch)
        made = Repair(teacher, dataset, job_of(settings), pool, checked_set(folder))
        work = made.run()
        with whole_folder(folder) as new:
            made.assemble(new)
        remember(folder, scratch)
        pool.forget()
    say(f"{folder}: {work.tokens_computed} of {work.tokens} tokens read by the teacher")


def advice(folder: Path) -> str:
    """How to put a set right."""
    name = folder.name if folder.absolute().parent == TARGETS.absolute() else folder.parent.name
    return f"run `python -m distill verify {name} --repair`, or `dvc pull --force targets@{name}`"
