"""data/targets/NAME/logits, data/prepared/DATASET, data/folds/TEACHER → data/audits/NAME.parquet, data/audits/NAME.json"""

from pathlib import Path
from typing import Any

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.settings import load_entry
from distill.params.targets import TargetSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Find training rows of the target set NAME whose labels its teacher contradicts, and rows that it finds hard."""
    settings = load_entry(PARAMS, "targets", name, TargetSettings)
    from distill.audit.audit import write_audit
    from distill.audit.certainty import certainty
    from distill.data.averaging import labels_a_row
    from distill.data.dataset import Dataset
    from distill.models.folds import FurtherTeachers
    from distill.store.target_set import TargetStore

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    store, sure = None, dict[str, Any]()
    if dataset.spec.not_audited:
        print_result(f"audit {name}: {dataset.spec.not_audited}; the audit is empty")
    else:
        store = TargetStore.open(Path("data/targets", name, "logits"))
        if labels_a_row(dataset.rows("train")).any():
            sure = certainty(dataset, store, FurtherTeachers.open(Path("data/folds", settings.teacher)))
    write_audit(dataset, store, Path("data/audits", name), sure)


if __name__ == "__main__":
    main()
