"""`python -m distill publish`: a target set at a URL or on the hub, as it is or as Parquet; or a model on the hub."""

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from distill.core.console import PARAMS, command

if TYPE_CHECKING:
    from distill.data.dataset import Dataset
    from distill.pipeline.entries import Params
    from distill.store.target_set import TargetStore
    from distill.targets.data_card import About

DATASETS = "hf://datasets/"


@command
@click.argument("name")
@click.argument("url", required=False)
@click.option(
    "--as", "form", type=click.Choice(["parquet"]), help="For people and other tools: a Parquet file a split, and a card."
)
@click.option("--with", "outputs", multiple=True, metavar="OUTPUT", help="With --as parquet: also this hidden state (hidden-06).")
@click.option("--hub", metavar="USER/NAME", help="Upload the export of the student NAME, card and weights, to this repository.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
def main(
    name: str, url: str | None, form: Literal["parquet"] | None, outputs: tuple[str, ...], hub: str | None, private: bool
) -> None:
    """Copy the target set NAME to URL (s3://BUCKET/targets/NAME, any fsspec URL), from where TargetStore.open(URL) reads it.

    With --as parquet, pandas, DuckDB and `datasets` read it, from there or from a folder. hf://datasets/USER/NAME is a data set
    on the Hugging Face hub, which gets all files in one commit. With --hub, upload the student NAME instead: for transformers,
    Optimum and transformers.js.
    """
    from distill.core.errors import UserError
    from distill.pipeline.project import load_params

    if (url is None) == (hub is None):
        raise UserError("expected one of: a URL, for the target set of that name; --hub USER/NAME, for the student")
    if outputs and form is None:
        raise UserError("--with: goes with --as parquet; the set as it is has all of its outputs")
    if hub is not None:
        if form is not None:
            raise UserError("--as parquet: is of target sets, --hub of models; give a URL such as hf://datasets/USER/NAME")
        publish_model(name, hub, private=private)
        return
    place = str(url)
    if private and not place.startswith(DATASETS):
        raise UserError(f"--private: is for the Hugging Face hub; who may read {place} is said there: leave --private out")
    if not Path("data/targets", name).is_dir():
        dataset_of(load_params(PARAMS), name)
    with tempfile.TemporaryDirectory() as scratch:
        if form is not None:
            files = tables(name, place, Path(scratch), outputs)
        elif place.startswith(DATASETS):
            files = own_files(name, place, Path(scratch))
        else:
            from distill.store.remote import publish

            publish(folder_of(name), place)
            files = {}
        send(files, place, private=private)
    click.echo(f"data/targets/{name}: published at {place}")


def publish_model(name: str, hub: str, *, private: bool) -> None:
    """Upload a student's export."""
    from distill.core.errors import UserError
    from distill.core.validation import nearest
    from distill.export.hub import files_for_hub, upload
    from distill.pipeline.project import load_params

    students = load_params(PARAMS).students
    if name not in students:
        raise UserError(f"{PARAMS}: no student '{name}'{nearest(name, students)}; --hub is for the exports of students")
    export = Path("data/exports/students", name)
    files = files_for_hub(export, Path("data/students", name))
    require_today(export, f"export@{name}")
    address = upload(files, hub, private=private, message="A distilled model")
    click.echo(f"{export}: {len(files)} files published at {address}")


def require_today(folder: Path, stage: str) -> None:
    """Refuse what no longer is what params.yaml says: its card would tell of other settings than it was made with."""
    from distill.core.errors import UserError
    from distill.pipeline.jobs import outdated

    if old := outdated(stage):
        raise UserError(f"{folder}: is of before an edit of params.yaml or of data ({', '.join(old)}); run `dvc repro {stage}`")


def send(files: dict[str, Path], place: str, *, private: bool) -> None:
    """Copy files, by their names there, to a URL or a folder; to the hub in one commit."""
    if place.startswith(DATASETS):
        from distill.export.hub import upload
        from distill.store.remote import earlier

        repository = place.removeprefix(DATASETS).strip("/")
        gone = partial(earlier, files=files)
        upload(dict(files), repository, private=private, message="Soft labels", kind="dataset", gone=gone)
    elif files:
        from distill.store.remote import Remote

        remote = Remote(place)
        for name, file in files.items():
            remote.put(file, name)


def tables(name: str, place: str, scratch: Path, outputs: tuple[str, ...]) -> dict[str, Path]:
    """The set as Parquet, and its card."""
    import pyarrow.parquet as pq

    from distill.targets.tables import write_tables

    params, dataset, store = opened(name)
    files = write_tables(scratch, store, dataset, outputs)
    shown = place.removeprefix(DATASETS).rstrip("/")
    card = write_card(scratch, about(params, name, shown, tuple(pq.read_schema(files[0]).names)), dataset, store)
    return {file.name: file for file in (*files, card)}


def own_files(name: str, place: str, scratch: Path) -> dict[str, Path]:
    """The set as it is, once it has been found to be whole, and its card."""
    from distill.store.remote import whole_files

    params, dataset, store = opened(name)
    folder = Path("data/targets", name)
    files = {file.relative_to(folder).as_posix(): file for file in whole_files(folder)}
    return {**files, "README.md": write_card(scratch, about(params, name, place), dataset, store)}


def opened(name: str) -> "tuple[Params, Dataset, TargetStore]":
    """All of params.yaml, and a target set that is what params.yaml says, with its data set."""
    from distill.data.dataset import Dataset
    from distill.pipeline.project import load_params
    from distill.store.target_set import TargetStore

    params = load_params(PARAMS)
    dataset, folder = dataset_of(params, name), folder_of(name)
    return params, Dataset.open(Path("data/prepared", dataset)), TargetStore.open(folder)


def folder_of(name: str) -> Path:
    """Where a target set lies, refused unless it is what params.yaml says."""
    from distill.pipeline.target_folders import stage_in_params

    folder = Path("data/targets", name)
    require_today(folder, stage_in_params(folder))
    return folder


def about(params: "Params", name: str, place: str, columns: tuple[str, ...] = ()) -> "About":
    """What the card of a set says that the set does not: where it lies, of whom it is, and the columns of its tables."""
    from distill.targets.data_card import About

    return About(name, teachers(params, name), provenance(params, name), place, columns)


def write_card(scratch: Path, about: "About", dataset: "Dataset", store: "TargetStore") -> Path:
    """The README.md of a set."""
    from distill.targets.data_card import card

    path = scratch / "README.md"
    path.write_text(card(store, dataset, about), encoding="utf-8")
    return path


def dataset_of(params: "Params", name: str) -> str:
    """The data set of a target set, whichever section it is of."""
    from distill.core.errors import UserError
    from distill.core.validation import nearest

    known = params.dataset_by_target_set() | {name: entry.dataset for name, entry in params.ensembles.items()}
    if name not in known:
        raise UserError(f"{PARAMS}: no target set '{name}' in targets, given or ensembles{nearest(name, known)}")
    return known[name]


def teachers(params: "Params", name: str) -> str:
    """Who answers, in words."""
    return " and ".join(dict.fromkeys(f"`{params.teacher(member)}`" for member in params.members(name)))


def provenance(params: "Params", name: str) -> str:
    """The entries of params.yaml that a set comes from, as YAML, those of its teachers among them."""
    from distill.core.settings import to_yaml

    found: dict[str, dict[str, object]] = {}

    def note(section: str, entry: str) -> None:
        settings = getattr(params, section)[entry]
        found.setdefault(section, {})[entry] = settings.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    for member in params.members(name):
        note("given" if member in params.given else "targets", member)
        if member in params.targets:
            note("teachers", params.targets[member].teacher)
    if name in params.ensembles:
        note("ensembles", name)
    note("datasets", params.origin(dataset_of(params, name)))
    return to_yaml(found)
