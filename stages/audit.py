"""data/targets/NAME/logits, data/prepared/DATASET → data/audits/NAME.parquet, data/audits/NAME.json"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command
from distill.core.settings import load_entry
from distill.params.targets import TargetSettings


@command
@click.argument("name")
def main(name: str) -> None:
    """Find training rows of the target set NAME whose labels its teacher contradicts, and rows that it finds hard."""
    settings = load_entry(PARAMS, "targets", name, TargetSettings)
    from distill.audit.audit import write_audit
    from distill.data.dataset import Dataset
    from distill.store.target_set import TargetStore

    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    store = None if dataset.spec.not_audited else TargetStore.open(Path("data/targets", name, "logits"))
    write_audit(dataset, store, Path("data/audits", name))


if __name__ == "__main__":
    main()
