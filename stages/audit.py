"""data/targets/NAME/logits, data/prepared/DATASET, data/folds/TEACHER → data/audits/NAME.parquet, data/audits/NAME.json"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_file, to_json, write_text
from distill.core.settings import load_entry
from distill.params.targets import TargetSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Find training rows of the target set NAME whose labels its teacher contradicts, and rows that it finds hard."""
    settings = load_entry(PARAMS, "targets", name, TargetSettings)
    import pyarrow.parquet as pq

    from distill.audit.audit import COLUMNS, audit_store, summary
    from distill.audit.certainty import certainty
    from distill.data.dataset import Dataset
    from distill.models.folds import FurtherTeachers
    from distill.store.target_set import TargetStore

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    sure = {}
    if dataset.spec.not_audited:
        table = COLUMNS.empty_table()
        print_result(f"audit {name}: {dataset.spec.not_audited}; the audit is empty")
    else:
        store = TargetStore.open(Path("data/targets", name, "logits"))
        table = audit_store(dataset, store)
        if len(table):
            sure = certainty(dataset, store, FurtherTeachers.open(Path("data/folds", settings.teacher)))
    counts = {**summary(dataset, table), "certainty": sure}
    with atomic_file(Path("data/audits", f"{name}.parquet")) as path:
        pq.write_table(table, path)
    write_text(Path("data/audits", f"{name}.json"), to_json(counts))
    print_result(f"audit {name}: {counts['suspect']} of {counts['rows']} labels contradicted, {counts['hard']} rows hard")


if __name__ == "__main__":
    main()
