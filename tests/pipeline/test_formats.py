"""The whole pipeline on files as others write them: CoNLL, SQuAD's nested JSON; of real rows where DISTILL_TEST_DATA is set.

Some of the real rows go through a real `dvc repro`, with a small model over their words.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoModelForSequenceClassification, BertConfig

from distill.commands.predict import main
from distill.data.dataset import Dataset
from tests import tiny
from tests.command_line import invoke
from tests.projects import make_origin, make_project, run, run_pipeline

pytestmark = pytest.mark.slow
REAL = os.environ.get("DISTILL_TEST_DATA")
"""A folder with `snips` and `xquad-en`, a Parquet file a split."""
SPLITS = {"train": 120, "validation": 30, "test": 30}
REAL_SPLITS = {"train": 900, "validation": 150, "test": 150}
PARAMS = """\
sources:
  rows: {path: ORIGIN/FILES}
datasets:
  rows: {source: rows, task: TASK, tokenizer: {path: ORIGIN/checkpoint}, max_length: LENGTH}
teachers:
  rows: {dataset: rows, checkpoint: {path: ORIGIN/checkpoint}, epochs: EPOCHS, learning_rate: RATE, precision: fp32}
targets:
  rows: {teacher: rows, dataset: rows}
students:
  half:
    recipe: hinton
    dataset: rows
    targets: rows/logits
    init: {from: data/teachers/rows, depth: 2}
    epochs: EPOCHS
    learning_rate: RATE
    precision: fp32
"""


def make_params(task: str, **how: object) -> str:
    """params.yaml for the files of a task."""
    params = PARAMS.replace("FILES", "files").replace("TASK", task)
    for key, value in {"LENGTH": 32, "EPOCHS": 1, "RATE": "1e-2", **how}.items():
        params = params.replace(key, str(value))
    return params


def real_rows(folder: str, column: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Rows of each split, evenly spaced, and of the training split those that are the first with one of the column's values."""
    found = {}
    for split, count in REAL_SPLITS.items():
        rows = pyarrow.parquet.read_table(Path(str(REAL)) / folder / f"{split}.parquet").to_pylist()
        kept, seen = {*range(0, len(rows), -(-len(rows) // count))}, set[str]()
        for place, row in enumerate(rows if column and split == "train" else ()):
            kept |= {place} if {*row[str(column)]} - seen else set()
            seen |= {*row[str(column)]}
        found[split] = [rows[place] for place in sorted(kept)]
    return found


def make_checkpoint(texts: Iterable[str], folder: Path) -> None:
    """A small random model over the words of texts, in place of what is there."""
    words = {word for text in texts for word, _ in Whitespace().pre_tokenize_str(text)} - {*tiny.SPECIAL}
    tokenizer = tiny.tokenizer(sorted(words))
    shape = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_config(BertConfig(vocab_size=len(tokenizer), pad_token_id=0, **shape))
    shutil.rmtree(folder)
    tiny.save(model, folder, tokenizer)


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


@pytest.mark.parametrize(
    ("task", "write"), [("token-classification", write_conll), ("question-answering", write_squad)], ids=["CoNLL", "SQuAD"]
)
def test_they_go_from_the_file_to_the_report(
    task: str, write: Callable[[Iterable[dict[str, Any]], Path], None], tmp_path: Path
) -> None:
    rows = {split: tiny.raw(task, count, seed).to_pylist() for seed, (split, count) in enumerate(SPLITS.items())}
    project = make_files(rows, write, tmp_path, make_params(task))
    run_pipeline(project)
    require_whole(project, rows, task)


real = pytest.mark.skipif(REAL is None, reason="DISTILL_TEST_DATA names no folder of real rows")


@real
def test_slots_go_from_conll_to_the_report(tmp_path: Path) -> None:
    rows = real_rows("snips", "tags")
    project = make_files(rows, write_conll, tmp_path, make_params("token-classification", EPOCHS=10, RATE="3e-3"))
    run(project, "dvc repro")
    require_whole(project, rows, "token-classification")
    assert json.loads((project / "data/metrics/teachers/rows.json").read_text(encoding="utf-8"))["token_accuracy"] > 0.5


@real
def test_questions_go_from_nested_json_to_the_report(tmp_path: Path) -> None:
    rows = {split: part[::5] for split, part in real_rows("xquad-en").items()}
    project = make_files(rows, write_squad, tmp_path, make_params("question-answering", LENGTH=192, RATE="2e-3"))
    run(project, "dvc repro")
    require_whole(project, rows, "question-answering")
    made = json.loads((project / "data/prepared/rows/dataset.json").read_text(encoding="utf-8"))
    assert all(split["counts"]["lost_answers"] == 0 for split in made["splits"].values())


@real
def test_rows_of_many_labels_go_from_json_lines_to_what_is_shipped(tmp_path: Path) -> None:
    """An intent and the types of its slots are the labels of a row."""
    rows = real_rows("snips", "tags")
    for row in (row for part in rows.values() for row in part):
        row["label"] = [row["intent"], *sorted({tag[2:] for tag in row["tags"] if tag != "O"})]
    names = {label for row in rows["train"] for label in row["label"]}
    project = make_files(rows, write_labels, tmp_path, make_params("multi-label", EPOCHS=10, RATE="3e-3"))
    run(project, "dvc repro")
    require_whole(project, rows, "multi-label")
    dataset = Dataset.open(project / "data/prepared/rows")
    assert set(dataset.labels) == names
    assert len(names) == 46
    config = json.loads((project / "data/exports/students/half/config.json").read_text(encoding="utf-8"))
    scores = json.loads((project / "data/metrics/students/half.json").read_text(encoding="utf-8"))
    assert config["thresholds"] == list(scores["thresholds"].values())
    assert scores["micro_f1"] > 0.4
    shipped = json.loads((project / "data/metrics/exports/students/half.json").read_text(encoding="utf-8"))
    assert shipped["int8"]["agreement_with_fp32"] > 0.9
    (tmp_path / "texts.txt").write_text("".join(f"{row['text']}\n" for row in rows["test"]), encoding="utf-8")
    done = invoke(main, str(project / "data/exports/students/half"), str(tmp_path / "texts.txt"))
    answers = [json.loads(line)["labels"] for line in done.stdout.splitlines()]
    assert len(answers) == len(rows["test"])
    assert sum(len(labels) > 1 for labels in answers) > len(answers) / 2


def write_labels(rows: Iterable[dict[str, Any]], file: Path) -> None:
    """A text and its labels a line."""
    lines = (json.dumps({"text": row["text"], "label": row["label"]}, ensure_ascii=False) for row in rows)
    file.with_suffix(".jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def make_files(
    rows: dict[str, list[dict[str, Any]]], write: Callable[[Iterable[dict[str, Any]], Path], None], folder: Path, params: str
) -> Path:
    """A project of the files that are written of rows; real ones have a checkpoint that knows their words."""
    origin = make_origin(folder / "origin")
    (origin / "files").mkdir()
    for split, part in rows.items():
        write(part, origin / "files" / split)
    if "w1" not in json.dumps(rows["train"]):
        columns = ("text", "question", "context")
        make_checkpoint((row[name] for row in rows["train"] for name in columns if name in row), origin / "checkpoint")
    return make_project(folder / "project", origin, params)


def require_whole(project: Path, rows: dict[str, list[dict[str, Any]]], task: str) -> None:
    """As many rows as were written, all their tags, a score, and a report of it."""
    dataset = Dataset.open(project / "data/prepared/rows")
    for split, part in rows.items():
        made = dataset.examples(split) if task == "question-answering" else dataset.rows(split)
        assert len(made) == len(part)
    if task == "token-classification":
        assert set(dataset.labels) == {tag for row in rows["train"] for tag in row["tags"]}
    scores = json.loads((project / "data/metrics/students/half.json").read_text(encoding="utf-8"))
    assert 0 <= scores[dataset.metric] <= 1
    assert "half" in (project / "data/report/results.md").read_text(encoding="utf-8")
