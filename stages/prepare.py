"""data/raw/SOURCE → data/prepared/NAME/"""

from pathlib import Path
from typing import Any

import click

from distill.console import PARAMS, command, say
from distill.files import to_json, whole_folder, write_text
from distill.params.base import load_entry
from distill.params.checkpoints import Checkpoint
from distill.params.datasets import DatasetSettings

PASSED = {"task", "max_length", "near_duplicate", "stride", "maskings", "mask_probability", "seed", "teacher_max_length"}


@command
@click.argument("name")
def main(name: str) -> None:
    """Prepare the data set NAME: map columns, number labels, cut splits, tokenize, report duplicates."""
    settings = load_entry(PARAMS, "datasets", name, DatasetSettings)
    from distill.data import read_raw
    from distill.encoders import checkpoint_place, load_tokenizer
    from distill.preparation import make_rows, write_dataset

    def tokenizer(of: Checkpoint) -> Any:
        return load_tokenizer(checkpoint_place(of.hub, of.path, of.package), of.revision)

    raw = Path("data/raw", settings.source)
    rows, labels = make_rows(
        read_raw(raw),
        str(raw),
        settings.columns.model_dump(),
        settings.labels,
        settings.splits.model_dump(),
        settings.limit.model_dump(),
        settings.seed,
        settings.task,
        settings.drop_empty,
    )
    teacher = settings.teacher_tokenizer
    passed: dict[str, Any] = settings.model_dump(include=PASSED)
    passed |= {"tokenizer": tokenizer(settings.tokenizer), "teacher_tokenizer": teacher and tokenizer(teacher)}
    passed["metric"] = settings.chosen_metric
    with whole_folder(Path("data/prepared", name)) as folder:
        made = write_dataset(folder, rows, labels, **passed)
    write_text(Path("data/runs/datasets", f"{name}.json"), to_json(made))
    for split, part in made["splits"].items():
        lost = f"{part['truncated_rows']} truncated, {part['truncated_tokens']} tokens lost"
        counted = f"{part['rows']} rows ({part['transfer_rows']} without a label)"
        counts = "".join(f", {count} {what.replace('_', ' ')}" for what, count in part["counts"].items())
        say(f"prepare {name}: {split}: {counted}, {part['tokens']} tokens, {lost}{counts}")
    for pair, found in made["duplicates"].items():
        if found["exact"] or found["near"]:
            say(f"prepare {name}: {pair}: {found['exact']} rows stand in both, {found['near']} more nearly (see dataset.json)")


if __name__ == "__main__":
    main()
