"""data/KIND/NAME → data/exports/KIND/NAME/, data/metrics/exports/KIND/NAME.json"""

from pathlib import Path

import click

from distill.console import command, say
from distill.errors import UserError
from distill.files import read_json, to_json, whole_folder, write_text
from distill.params.base import validate
from distill.params.exports import ExportSettings


@command
@click.argument("kind", type=click.Choice(["teachers", "students"]))
@click.argument("name")
def main(kind: str, name: str) -> None:
    """Write the teacher or student NAME as ONNX, fp32 and INT8, score both files, and write the model card."""
    job = read_json(Path("data/export-jobs", kind, f"{name}.json"), "what `dvc repro check` writes")
    settings = validate(ExportSettings, job["export"], f"params.yaml: exports.{name}")
    from distill.exports.card import card
    from distill.exports.export import write_export
    from distill.exports.measuring import measure_exports
    from distill.models import load_for
    from distill.prepared import Dataset

    dataset = Dataset.open(Path("data/prepared", job["entry"]["dataset"]))
    scores = read_json(Path("data/metrics", kind, f"{name}.json"), "what the evaluate stage writes")
    with whole_folder(Path("data/exports", kind, name)) as folder:
        model, tokenizer = load_for(Path("data", kind, name), dataset)
        try:
            write_export(folder, model, tokenizer, dataset, settings)
        except UserError as error:
            raise UserError(f"params.yaml: exports.{name}.{error}") from None
        measured = measure_exports(folder, dataset)
        text = to_json(measured)
        (folder / "README.md").write_text(card(kind, name, job, dataset, scores, measured, text), encoding="utf-8")
    write_text(Path("data/metrics/exports", kind, f"{name}.json"), text)
    files = ", ".join(
        f"{form} {measured[form]['bytes'] / 1e6:.1f} MB, {dataset.metric} {measured[form][dataset.metric]:.4f}"
        for form in ("fp32", "int8")
    )
    say(f"export {name}: {files}")


if __name__ == "__main__":
    main()
