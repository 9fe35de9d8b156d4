"""data/raw/SOURCE → data/prepared/NAME/"""

import json
from pathlib import Path
from typing import Any

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder, to_json, write_text
from distill.core.settings import Checkpoint, load_entry, require_unedited
from distill.params.datasets import DatasetSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Prepare the data set NAME: map columns, number labels, cut splits, tokenize, report duplicates."""
    settings = load_entry(PARAMS, "datasets", name, DatasetSettings)
    from distill.core.errors import UserError
    from distill.core.locations import checkpoint_place
    from distill.data.tokenizers import load_tokenizer
    from distill.preparation.columns import read_raw
    from distill.preparation.prepare import make_rows, write_dataset

    def tokenizer(of: Checkpoint) -> Any:
        return load_tokenizer(checkpoint_place(of.hub, of.path, of.package), of.revision)

    def transferred(named: str) -> Any:
        source, _, split = named.partition("/")
        tables = read_raw(Path("data/raw", source), settings)
        if (split := split or "train") not in tables:
            splits = " or ".join(f"{source}/{each}" for each in tables)
            raise UserError(f"transfer: {source} has no split '{split}'; write {splits}")
        return tables[split]

    raw, teacher = Path("data/raw", settings.source), settings.teacher_tokenizer
    transfer, dropped = {f"data/raw/{named}": transferred(named) for named in settings.transfer}, list[dict[str, Any]]()
    rows, labels = make_rows(read_raw(raw, settings), str(raw), settings, transfer, dropped)
    tokenizers = tokenizer(settings.tokenizer), teacher and tokenizer(teacher)
    with atomic_folder(Path("data/prepared", name)) as folder:
        made = write_dataset(folder, rows, labels, settings, *tokenizers)
        if dropped:
            write_text(folder / "dropped.jsonl", "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in dropped))
        require_unedited(PARAMS, "datasets", name, settings)
    write_text(Path("data/runs/datasets", f"{name}.json"), to_json(made))
    tell(name, made, dropped)


def tell(name: str, made: dict[str, Any], dropped: list[dict[str, Any]]) -> None:
    """Print what was prepared, dropped and lost."""
    from distill.preparation.bad_rows import count_reasons

    for split in dict.fromkeys(row["split"] for row in dropped):
        reasons = [row["reason"] for row in dropped if row["split"] == split]
        print_result(f"prepare {name}: {split}: {len(reasons)} rows dropped: {count_reasons(reasons)} (see dropped.jsonl)")
    for split, part in made["splits"].items():
        lost = f"{part['truncated_rows']} truncated, {part['truncated_tokens']} tokens lost"
        counted = f"{part['rows']} rows ({part['transfer_rows']} without a label)"
        counts = "".join(f", {count} {what.replace('_', ' ')}" for what, count in part["counts"].items())
        print_result(f"prepare {name}: {split}: {counted}, {part['tokens']} tokens, {lost}{counts}")
        if (found := part.get("contradictions")) and found["texts"]:
            pairs = "; ".join(f"{first} and {second}" for first, second in found["examples"])
            more = "; …" if found["texts"] > len(found["examples"]) else ""
            print_result(
                f"prepare {name}: {split}: {found['texts']} texts stand there again with another label: rows {pairs}{more}"
            )
    if (made["task"], made["metric"]) == ("sequence-classification", "f1"):
        print_result(
            f"prepare {name}: f1 is that of {made['labels'][1]}, the second of its classes; `labels` gives another order"
        )
    if "splitter_f1" in made:
        how = f"`predict` splits raw text by {made['splitter']}" if made["splitter"] else "`predict` takes `tokens`, no raw text"
        print_result(f"prepare {name}: {how}: of the training rows' words that finds {made['splitter_f1']:.0%} (F1)")
    for pair, found in made["duplicates"].items():
        if found["exact"] or found["near"]:
            print_result(
                f"prepare {name}: {pair}: {found['exact']} rows stand in both, {found['near']} more nearly (see dataset.json)"
            )


if __name__ == "__main__":
    main()
