"""a table of answers, data/prepared/DATASET → data/targets/NAME/, data/audits/NAME.*, data/runs/given/NAME.json"""

from pathlib import Path

import click

from distill.core.console import PARAMS, command, print_result
from distill.core.files import atomic_folder, to_json, write_text
from distill.core.settings import load_entry, require_unedited
from distill.params.given import GivenSettings


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
    from distill.targets.given.read import describe, join_table
    from distill.targets.given.write import write_given

    raw, out = Path(settings.table), Path("data/targets", name)
    dataset = Dataset.open(Path("data/prepared", settings.dataset))
    if not raw.exists():
        raise UserError(f"{raw}: no such folder; run the stage that writes it, or put it there with `dvc add`")
    splits, likeliest, count, strangers = join_table(raw, dataset, settings)
    with atomic_folder(out) as folder:
        write_given(folder, dataset, splits, settings, likeliest)
        require_unedited(PARAMS, "given", name, settings)
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


if __name__ == "__main__":
    main()
