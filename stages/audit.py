"""data/targets/NAME/logits, data/prepared/DATASET → data/audits/NAME.parquet, data/audits/NAME.json"""

from pathlib import Path

import click

from distill.console import PARAMS, command, say
from distill.files import to_json, whole_file, write_text
from distill.params.base import load_entry
from distill.params.targets import TargetSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Find training rows of the target set NAME whose labels its teacher contradicts, and rows that it finds hard."""
    settings = load_entry(PARAMS, "targets", name, TargetSettings)
    import pyarrow.parquet as pq

    from distill.auditing import COLUMNS, NOT_AUDITED, audit_store, summary
    from distill.prepared import Dataset
    from distill.targets.reader import TargetStore

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    if dataset.task in NOT_AUDITED:
        table = COLUMNS.empty_table()
        say(f"audit {name}: {NOT_AUDITED[dataset.task]}; the audit is empty")
    else:
        table = audit_store(dataset, TargetStore.open(Path("data/targets", name, "logits")))
    counts = summary(dataset, table)
    with whole_file(Path("data/audits", f"{name}.parquet")) as path:
        pq.write_table(table, path)
    write_text(Path("data/audits", f"{name}.json"), to_json(counts))
    say(f"audit {name}: {counts['suspect']} of {counts['rows']} labels contradicted, {counts['hard']} rows hard")


if __name__ == "__main__":
    main()
