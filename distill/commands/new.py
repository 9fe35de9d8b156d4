"""`python -m distill new DATA`: a params.yaml for one's own rows, told from the rows themselves."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import PARAMS, command
from distill.params.task_specs import TASK_SPECS

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from distill.core.settings import Checkpoint
    from distill.pipeline.suggestion import Teacher
    from distill.profiling.columns import Columns
    from distill.profiling.profile import Profile
    from distill.sources.streams import Stream

USUAL = "google-bert/bert-base-uncased"
"""The teacher where the one that `make setup` installs is not here."""
SAMPLE = 5000
"""The most rows that columns are told from."""
WORDS, WORDS_OF = 2 / 3, 300
"""The share of words that have to be tokens for copies to be made; rows that it is told from."""
WIDTH = 140
"""Of a line with a whole section."""


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
    from distill.core.settings import ENTRY_NAME
    from distill.core.validation import nearest

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
    if name is not None and not ENTRY_NAME.fullmatch(name):
        raise UserError(f"--name: got '{name}', expected letters, digits, '-' and '_'")
    pairs = (each.partition("=") for each in more)
    source = source_of(data, {key: value.split(",") if key == "names" else value for key, _, value in pairs})
    checkpoint = checkpoint_of(teacher)
    found, model = profile_source(source, checkpoint, {part: column for part, column in parts.items() if column}, task)
    called = name or re.sub(r"[^A-Za-z0-9_-]+", "-", Path(data).name.partition(".")[0]).strip("-") or "data"
    lines = params_lines(called, source, model, found)
    write_text(path, "".join(f"{line}\n" for line in lines))
    click.echo("\n".join(assumption_lines(found)))
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
    from distill.pipeline.suggestion import INSTALLED

    if teacher is not None:
        return Checkpoint(path=teacher) if Path(teacher).expanduser().exists() else Checkpoint(hub=teacher)
    try:
        package_folder(INSTALLED)
    except UserError:
        return Checkpoint(hub=USUAL)
    return Checkpoint(package=INSTALLED)


def profile_source(
    source: dict[str, Any], checkpoint: "Checkpoint", given: dict[str, str], task: str | None
) -> "tuple[Profile, Teacher]":
    """The rows' profile, and what is known of the teacher."""
    from distill.core.errors import UserError
    from distill.core.files import read_json
    from distill.core.locations import checkpoint_place
    from distill.core.validation import validate
    from distill.data.tokenizers import load_tokenizer
    from distill.models.families import usable_positions
    from distill.params.sources import Source
    from distill.pipeline.shapes import configured_shape, find_config
    from distill.pipeline.suggestion import Teacher
    from distill.profiling.profile import profile
    from distill.profiling.refusals import require_accepted
    from distill.sources.opening import open_source

    splits = open_source(validate(Source, source, "--source"))
    if "train" not in splits:
        raise UserError(f"{next(iter(source.values()))}: has no split `train`, but {', '.join(splits)}; name one so")
    tokenizer = load_tokenizer(checkpoint_place(checkpoint.hub, checkpoint.path, checkpoint.package), checkpoint.revision)
    config = read_json(find_config(checkpoint, Path("data/teachers")), "a config.json that transformers can load")
    positions = usable_positions(config)
    sample = sample_of(splits["train"])
    if len(sample) == 0:
        raise UserError(f"{next(iter(source.values()))}: has no rows")
    columns = detect_columns(sample, given, task)
    require_accepted(splits, columns)
    found = profile(splits, columns, tokenizer, min(tokenizer.model_max_length, positions or tokenizer.model_max_length))
    if columns.task == "sequence-classification" and len(found.splits["train"].labels) < 2:
        alike = ", ".join(found.splits["train"].labels)
        raise UserError(f"column '{columns.parts['label']}' has one class alone ({alike}), expected two or more; see --label")
    return found, Teacher(checkpoint, configured_shape(config).get("layers", 6), reads_words(tokenizer, sample, columns))


def reads_words(tokenizer: "PreTrainedTokenizerBase", sample: "pa.Table", columns: "Columns") -> bool:
    """Whether most words of the sample are tokens of their own, so that copies of a row can have others in their places."""
    from distill.augmentation.words import share_of_words
    from distill.profiling.profile import one_text

    names = [columns.parts[part] for part in ("text", "text_pair", "question", "tokens") if part in columns.parts]
    texts = [one_text(value) for name in names for value in sample[name].slice(0, WORDS_OF).to_pylist() if value is not None]
    return bool(texts) and share_of_words(tokenizer, texts, 256) >= WORDS


def detect_columns(sample: "pa.Table", given: dict[str, str], task: str | None) -> "Columns":
    """The task and its columns; what is too doubtful to be written down is refused."""
    from distill.profiling import refusals
    from distill.profiling.columns import read_columns

    columns = read_columns(sample, given, task)
    refusals.require_names(sample, columns)
    refusals.require_plain(sample, columns)
    if task is None:
        refusals.require_rows_of_texts(sample)
        refusals.require_answers(sample, columns)
        refusals.require_classes(sample, columns)
        refusals.require_labels(sample, columns)
    return columns


def params_lines(name: str, source: dict[str, Any], model: "Teacher", found: "Profile") -> list[str]:
    """The lines of params.yaml: what entries share in `defaults`, then a section an entry, headed by what it rests on."""
    from distill.core.settings import to_yaml
    from distill.pipeline.suggestion import suggestion

    lines = []
    for section, (entries, why) in suggestion(name, source, model, found).items():
        one = f"{section}: {to_yaml(entries, flow=True).strip()}  # {why}"
        if len(entries) == 1 and len(one) <= WIDTH:
            lines.append(one)
        else:
            each = (f"  {key}: {to_yaml(entry, flow=True).strip()}" for key, entry in entries.items())
            lines += [f"{section}:  # {why}", *each]
    return lines


def sample_of(split: "Stream") -> "pa.Table":
    """Up to SAMPLE rows of a split, evenly from all of it: many files are sorted by their labels."""
    import numpy as np
    import pyarrow as pa

    kept, seen, step = pa.Table.from_batches([], split.schema), 0, 1
    for batch in split.batches():
        places = np.arange(-seen % step, batch.num_rows, step)
        kept, seen = pa.concat_tables([kept, pa.Table.from_batches([batch.take(places)])]), seen + batch.num_rows
        while len(kept) > SAMPLE:
            kept, step = kept.take(np.arange(0, len(kept), 2)), 2 * step
    return kept


def assumption_lines(found: "Profile") -> list[str]:
    """What was taken for what, for people to contradict."""
    from distill.pipeline.suggestion import fraction_of, splits_of
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
    cut = f"{' and '.join(missing)}: {fraction_of(found):.0%} of the training rows each, cut by `prepare`"
    lines += [cut] if missing else []
    lines.append(f"max_length {found.max_length}: {found.cut:.1%} of the rows are longer and are cut")
    return lines
