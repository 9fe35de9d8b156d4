"""The whole pipeline on files as others write them: CoNLL, SQuAD's nested JSON; of real rows where DISTILL_TEST_DATA is set."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from distill.data.dataset import Dataset
from tests import tiny
from tests.projects import make_origin, make_project, run_pipeline

pytestmark = pytest.mark.slow
REAL = os.environ.get("DISTILL_TEST_DATA")
"""A folder with `snips` and `xquad-en`, a Parquet file a split."""
SPLITS = {"train": 120, "validation": 30, "test": 30}
PARAMS = """\
sources:
  rows: {path: ORIGIN/FILES}
datasets:
  rows: {source: rows, task: TASK, tokenizer: {path: ORIGIN/checkpoint}, max_length: 32}
teachers:
  rows: {dataset: rows, checkpoint: {path: ORIGIN/checkpoint}, epochs: 1, learning_rate: 1e-2, precision: fp32}
targets:
  rows: {teacher: rows, dataset: rows}
students:
  half: {recipe: hinton, dataset: rows, targets: rows/logits, init: {from: data/teachers/rows, depth: 2}, epochs: 1}
"""


def write_conll(rows: Iterable[dict[str, Any]], file: Path) -> None:
    """A token a line, its tag behind a tab, a blank line behind each sentence."""
    sentences = ("".join(f"{word}\t{tag}\n" for word, tag in zip(row["tokens"], row["tags"], strict=True)) for row in rows)
    file.with_suffix(".conll").write_text("-DOCSTART-\tO\n\n" + "\n".join(sentences), encoding="utf-8")


def write_squad(rows: Iterable[dict[str, Any]], file: Path) -> None:
    """Articles of paragraphs of questions."""
    paragraphs: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        answers = [{"text": text, "answer_start": start} for text, start in pairs]
        paragraphs.setdefault(row["context"], []).append({"id": f"q{number}", "question": row["question"], "answers": answers})
    data = [{"title": "t", "paragraphs": [{"context": context, "qas": asked} for context, asked in paragraphs.items()]}]
    file.with_suffix(".json").write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")


def rows_of(task: str, folder: str, split: str, count: int, seed: int) -> pa.Table:
    """The rows of a split: real ones of `folder`, or a few tiny ones."""
    return tiny.raw(task, count, seed) if REAL is None else pyarrow.parquet.read_table(Path(REAL) / folder / f"{split}.parquet")


@pytest.mark.parametrize(
    ("task", "folder", "write"),
    [("token-classification", "snips", write_conll), ("question-answering", "xquad-en", write_squad)],
)
def test_they_go_from_the_file_to_the_report(
    task: str, folder: str, write: Callable[[Iterable[dict[str, Any]], Path], None], tmp_path: Path
) -> None:
    origin = make_origin(tmp_path / "origin")
    (origin / "files").mkdir()
    tables = {split: rows_of(task, folder, split, count, seed) for seed, (split, count) in enumerate(SPLITS.items())}
    for split, table in tables.items():
        write(table.to_pylist(), origin / "files" / split)
    project = make_project(tmp_path / "project", origin, PARAMS.replace("FILES", "files").replace("TASK", task))
    run_pipeline(project)
    dataset = Dataset.open(project / "data/prepared/rows")
    for split, table in tables.items():
        made = dataset.examples(split) if task == "question-answering" else dataset.rows(split)
        assert len(made) == len(table)
    if task == "token-classification":
        assert set(dataset.labels) == {tag for row in tables["train"].to_pylist() for tag in row["tags"]}
    scores = json.loads((project / "data/metrics/students/half.json").read_text(encoding="utf-8"))
    assert 0 <= scores[dataset.metric] <= 1
    assert "half" in (project / "data/report/results.md").read_text(encoding="utf-8")
