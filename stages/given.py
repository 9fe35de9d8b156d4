"""a table of answers, data/prepared/DATASET → data/targets/NAME/, data/audits/NAME.*, data/runs/given/NAME.json"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder, bytes_of, to_json, write_text
from distill.core.settings import load_entry
from distill.params.given import GivenSettings

if TYPE_CHECKING:
    from distill.data.dataset import Dataset
    from distill.store.target_set import TargetStore
    from distill.targets.given.join import AnsweredSplit

LISTED = 100
"""Rows without an answer that the record names."""


@command
@click.argument("name")
def main(name: str) -> None:
    """Write the answers that a table gives to a prepared data set as the target set NAME, and audit the labels by them."""
    settings = load_entry(PARAMS, "given", name, GivenSettings)
    from distill.audit.audit import write_audit
    from distill.core.errors import UserError
    from distill.data.dataset import Dataset
    from distill.evaluation.teacher_answers import score_answers
    from distill.store.target_set import TargetStore
    from distill.targets.given.doubts import doubts
    from distill.targets.given.write import write_given

    raw, out = Path(settings.table), Path("data/targets", name)
    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    if not raw.exists():
        raise UserError(f"{raw}: no such folder; run the stage that writes it, or put it there with `dvc add`")
    splits, likeliest, count, strangers = join_table(raw, dataset, settings)
    with atomic_folder(out) as folder:
        write_given(folder, dataset, splits, settings, likeliest)
    store = TargetStore.open(out)
    write_audit(dataset, None if dataset.spec.not_audited else store, Path("data/audits", name), {})
    record = describe(out, store, splits, {} if likeliest else score_answers(store, dataset))
    about = {"metric": dataset.metric, "strangers": strangers}
    write_text(Path("data/runs/given", f"{name}.json"), to_json({**record, **about}))
    for doubt in () if likeliest else doubts(dataset, splits, settings):
        print_result(f"given {name}: {doubt}")
    if strangers:
        print_result(f"given {name}: {strangers} of {count} answers are of no row of {settings.dataset}")
    for split, part in record["splits"].items():
        right = f", {dataset.metric} {part['scores'][dataset.metric]:.4f} against its labels" if part["scores"] else ""
        print_result(f"given {name}: {split}: answers for {part['answered']} of {part['rows']} rows{right}")


def join_table(raw: Path, dataset: "Dataset", settings: GivenSettings) -> "tuple[Mapping[str, AnsweredSplit], int, int, int]":
    """The rows with answers by split; how many likeliest tokens, 0 for logits; answers of the table, and those of no row."""
    from distill.sources.files import read_local
    from distill.targets.given.distillkit import join_compressed
    from distill.targets.given.join import join, read_table
    from distill.targets.given.likeliest import SPLIT
    from distill.targets.given.logprobs import join_logprobs, read_logprobs

    tables, where = read_local(raw), str(raw)
    if settings.compression is not None:
        part, count, strangers = join_compressed(tables, dataset, settings, where)
        return {SPLIT: part}, settings.compression.k, count, strangers
    if settings.columns.form == "logprobs":
        said = read_logprobs(tables, where, settings)
        part, likeliest, strangers = join_logprobs(said, dataset, where)
        return {SPLIT: part}, likeliest, len(said), strangers
    answers, by_split = read_table(tables, dataset, settings, where)
    splits, strangers = join(answers, dataset, settings, where, by_split)
    return splits, 0, len(answers), strangers


def describe(
    folder: Path, store: "TargetStore", splits: "Mapping[str, AnsweredSplit]", scores: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """What the record says of a set: rows and answers of each split, tokens, and the bytes of each output."""
    from distill.store.output_names import TOKENS
    from distill.targets.given.join import shown

    return {
        "splits": {
            split: {
                "rows": part.rows,
                "answered": len(part.positions),
                "missing": list(map(shown, part.missing[:LISTED])),
                "scores": scores.get(split, {}),
            }
            for split, part in splits.items()
        },
        "tokens": sum(shard.tokens for part in store.manifest(TOKENS).splits.values() for shard in part.shards),
        "bytes": bytes_of(folder),
    }


if __name__ == "__main__":
    main()
