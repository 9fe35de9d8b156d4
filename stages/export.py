"""data/KIND/NAME → data/exports/KIND/NAME/, data/metrics/exports/KIND/NAME.json"""

from pathlib import Path

import click

from distill.core.console import command, print_result
from distill.core.errors import UserError
from distill.core.files import atomic_folder, read_json, to_json, write_text
from distill.core.quantities import millions
from distill.core.validation import validate
from distill.params.exports import ExportSettings


@command
@click.argument("kind", type=click.Choice(["teachers", "students"]))
@click.argument("name")
def main(kind: str, name: str) -> None:
    """Write the teacher or student NAME as ONNX, fp32 and INT8, score both files, and write the model card."""
    job = read_json(Path("data/jobs/exports", kind, f"{name}.json"), "what `dvc repro check` writes")
    settings = validate(ExportSettings, job["export"], f"params.yaml: exports.{name}")
    from distill.data.dataset import Dataset
    from distill.export.export import write_export
    from distill.export.guard import record
    from distill.export.model_card import card
    from distill.export.scores import measure_exports
    from distill.models.loading import load_for
    from distill.tasks.judged import TEACHER, read_judged

    dataset = Dataset.open(Path("data/prepared", job["entry"]["dataset"]))
    scores = read_json(Path("data/metrics", kind, f"{name}.json"), "what the evaluate stage writes")
    judged = Path("data/evaluations", kind, name)
    splits = ("validation", "test") if kind == "students" else ()
    found = {split: read_judged(judged, split, f"evaluate@{name}").get(TEACHER) for split in splits}
    teacher = {split: rows for split, rows in found.items() if rows is not None} if all(found.values()) and found else None
    with atomic_folder(Path("data/exports", kind, name)) as folder:
        model, tokenizer = load_for(Path("data", kind, name), dataset)
        try:
            guarded = write_export(folder, model, tokenizer, dataset, settings)
        except UserError as error:
            raise UserError(f"params.yaml: exports.{name}.{error}") from None
        quantization = record(guarded.attempts, dataset.task, dataset.metric)
        measured = {**measure_exports(folder, dataset, guarded.validation, teacher), "quantization": quantization}
        text = to_json(measured)
        (folder / "README.md").write_text(card(kind, name, job, dataset, scores, measured, text), encoding="utf-8")
    write_text(Path("data/metrics/exports", kind, f"{name}.json"), text)
    files = ", ".join(
        f"{form} {millions(measured[form]['bytes'])} MB, {dataset.metric} {measured[form][dataset.metric]:.4f}"
        for form in ("fp32", "int8")
    )
    print_result("; ".join(filter(None, (f"export {name}: {files}", measured["quantization"]["told"]))))


if __name__ == "__main__":
    main()
