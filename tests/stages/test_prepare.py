"""`python -m stages.prepare NAME`: raw rows into data/prepared/NAME/, or one line and everything as it was."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from distill.core.files import read_json
from distill.data.dataset import Dataset
from stages.prepare import main
from tests import tiny
from tests.command_line import contents, invoke, python, refusal

PARAMS = """
defaults:
  datasets: {source: reviews, tokenizer: {path: tokenizer}, max_length: 8}
datasets:
  good: {splits: {validation: 0.2}}
  misspelt_column: {columns: {text: txt}}
  unknown_label: {labels: [cat, dog]}
  no_raw_rows: {source: revews}
  empty_text: {source: gaps}
  unlabelled_test: {source: half}
  no_such_split: {splits: {test: held_out}}
  no_tokenizer: {tokenizer: {path: empty}}
  offline_tokenizer: {tokenizer: {hub: google-bert/bert-base-uncased}}
  wrong_type: {max_length: long}
  tags: {source: slots, task: token-classification, columns: {tokens: words, tags: kinds}}
  scores: {source: marks, task: regression, metric: spearman}
  answers: {source: wiki, task: question-answering, columns: {id: key}, max_length: 20, stride: 3}
  corpus: {source: wiki, task: masked-lm, columns: {text: context}, maskings: 2, tokenizer: {path: masking}}
  dropping: {source: gaps, bad_rows: drop, transfer: [reviews], labelled: 3}
  other: {source: reviews, teacher_tokenizer: {path: masking}, teacher_max_length: 5}
  no_mask: {source: wiki, task: masked-lm, columns: {text: context}}
  misspelt_tags: {source: slots, task: token-classification, columns: {tokens: words, tags: kind}}
  no_number: {source: reviews, task: regression}
  wide_stride: {source: wiki, task: question-answering, stride: 4}
  wrong_metric: {source: wiki, task: question-answering, metric: accuracy}
  foreign_key: {maskings: 2}
  replaced_key: {drop_empty: true}
  no_transfer: {transfer: [wiki/pool]}
  f1_of_three: {metric: f1}
  f1_of_two: {source: gaps, metric: f1, bad_rows: drop}
  own_rows: {transfer: [reviews]}
  own_test: {transfer: [gaps, reviews/test]}
"""
BAD = {
    "misspelt_column": "data/raw/reviews: test: no column 'txt' for columns.text; did you mean 'text'?",
    "unknown_label": "data/raw/reviews: test: row 2: label 'fish' is unknown; expected one of cat, dog",
    "no_raw_rows": "data/raw/revews: no such folder; add 'revews' to `sources`, or put it there with `dvc add`",
    "empty_text": "data/raw/gaps: train: row 1: column 'text' is empty; mend or drop the row",
    "unlabelled_test": "data/raw/half: test: row 0: has no label (1 rows have none), and this split is scored",
    "no_such_split": "splits.test: the source has no 'held_out'; it has test, train",
    "no_tokenizer": "empty: no usable tokenizer: ",
    "offline_tokenizer": "hub: tokenizer 'google-bert/bert-base-uncased' is not cached here, and HF_HUB_OFFLINE is set",
    "no_mask": "tokenizer: has no mask token, which masked-lm needs",
    "misspelt_tags": "data/raw/slots: train: no column 'kind' for columns.tags; did you mean 'kinds'?",
    "no_number": "data/raw/reviews: test: row 0: label 'cat', expected a finite number",
    "wide_stride": "stride: 4 tokens of windows of 8, a question may take 2, special tokens 3; expected less than 3: lower",
    "wrong_metric": "params.yaml: datasets.wrong_metric: metric: question-answering has f1, exact_match, got 'accuracy'",
    "foreign_key": "params.yaml: datasets.foreign_key: maskings: belongs to masked-lm, the task is sequence-classification;",
    "replaced_key": "params.yaml: datasets.replaced_key.drop_empty: is gone; write `bad_rows: drop`",
    "no_transfer": "transfer: wiki has no split 'pool'; write wiki/train",
    "own_rows": "transfer: reviews has the rows of splits.train, which would be learnt from twice, or scored too; remove it",
    "own_test": "transfer: reviews/test has the rows of splits.test, which would be learnt from twice, or scored too; remove it",
    "f1_of_three": "metric: f1 is not for the labels cat, dog, fish; these have accuracy, macro_f1, mcc: take one",
    "wrong_type": "params.yaml: datasets.wrong_type.max_length: expected valid integer, got 'long'",
}


def write_csv(path: Path, texts: list[str], labels: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{text},{label}" for text, label in zip(texts, labels, strict=True)]
    path.write_text("\n".join(["text,label", *lines, ""]), encoding="utf-8")


def write_tables(folder: Path, task: str, **renamed: str) -> None:
    """One Parquet file, of rows with a column `key`."""
    folder.mkdir(parents=True)
    table = tiny.raw(task, 60, 0)
    table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    pq.write_table(table.append_column("key", pa.array(range(100, 160))), folder / "train.parquet")


@pytest.fixture
def project(in_project: Callable[[str], Path], tokenizer: PreTrainedTokenizerFast) -> Path:
    """A project with raw rows, good and bad, and what an earlier run prepared under every bad name."""
    folder = in_project(PARAMS)
    raw = folder / "data" / "raw"
    write_csv(raw / "reviews" / "train.csv", *tiny.rows(50, 0))
    write_csv(raw / "reviews" / "test.csv", ["w0 w1", "w1", "w2 w2"], ["cat", "dog", "fish"])
    write_csv(raw / "gaps" / "train.csv", ["w0", "   ", *[f"w{i}" for i in range(1, 21)]], ["cat", "dog"] * 11)
    write_csv(raw / "half" / "train.csv", *tiny.rows(50, 0))
    write_csv(raw / "half" / "test.csv", ["w0", "w1"], ["", "dog"])
    write_tables(raw / "slots", "token-classification", tokens="words", tags="kinds")
    write_tables(raw / "marks", "regression")
    write_tables(raw / "wiki", "question-answering")
    tokenizer.save_pretrained(folder / "tokenizer")
    tiny.masking_tokenizer().save_pretrained(folder / "masking")
    (folder / "empty").mkdir()
    for name in BAD:
        for path in (folder / "data/prepared" / name / "dataset.json", folder / "data/runs/datasets" / f"{name}.json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("earlier", encoding="utf-8")
    return folder


def test_raw_rows_become_a_prepared_data_set_and_a_second_run_gives_the_same_bytes(
    project: Path, tokenizer: PreTrainedTokenizerFast
):
    done = invoke(main, "good")
    assert done.returncode == 0, done.stderr
    assert "prepare good: train: 40 rows (0 without a label)" in done.stderr
    folder = project / "data" / "prepared" / "good"
    dataset = Dataset.open(folder)
    assert dataset.labels == tuple(sorted(tiny.LABELS))
    assert {split: len(dataset.rows(split)) for split in dataset.splits} == {"train": 40, "validation": 10, "test": 3}
    assert dataset.rows("test").tokens.tolist() == [2, 4, 5, 3, 2, 5, 3, 2, 6, 6, 3]
    assert dataset.rows("test").labels.tolist() == [0, 1, 2]
    assert AutoTokenizer.from_pretrained(folder / "tokenizer").get_vocab() == tokenizer.get_vocab()
    report = read_json(project / "data" / "runs" / "datasets" / "good.json", "a report")
    assert report["splits"]["train"]["rows"] == 40
    before = contents(project)
    assert invoke(main, "good").returncode == 0
    assert contents(project) == before


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_what_was_prepared_before(project: Path, name: str):
    before = contents(project)
    done = invoke(main, name)
    assert done.stderr.count("\n") == 1
    assert refusal(done).startswith(BAD[name])
    assert contents(project) == before


def test_bad_input_shows_no_traceback_in_a_process_of_its_own(project: Path):
    assert refusal(python(project, "-m", "stages.prepare", "empty_text")).startswith(BAD["empty_text"])


def test_rows_that_are_dropped_are_counted_and_listed(project: Path):
    done = invoke(main, "dropping")
    assert "prepare dropping: train: 1 rows dropped: 1 empty text (see dropped.jsonl)" in done.stderr
    folder = project / "data" / "prepared" / "dropping"
    reason = "empty text: column 'text' is empty; mend or drop the row"
    assert json.loads((folder / "dropped.jsonl").read_text()) == {"split": "train", "row": 1, "reason": reason}
    told = Dataset.open(folder).splits["train"]
    assert (told["rows"], told["transfer_rows"]) == (17 + 50, 14 + 50)


def test_texts_with_another_label_elsewhere_in_their_split_are_said(project: Path):
    path = project / "data/raw/reviews/test.csv"
    for texts, told in ((["w0 w1", "w1", "W0 w1!"], "rows 0 and 2"), (["w0 w1", "w1", "w2 w2"], None)):
        write_csv(path, texts, ["cat", "dog", "fish"])
        lines = [line for line in invoke(main, "good").stderr.splitlines() if "another label" in line]
        assert lines == ([f"prepare good: test: 1 texts stand there again with another label: {told}"] if told else [])


def test_every_task_is_prepared_from_params_yaml(project: Path):
    made, output = {}, {}
    for name in ("tags", "scores", "answers", "corpus", "other", "f1_of_two"):
        result = invoke(main, name)
        assert result.returncode == 0, result.stderr
        made[name] = Dataset.open(project / "data" / "prepared" / name)
        assert f"prepare {name}: train: {len(made[name].rows('train'))} rows (0 without a label)" in result.stderr
        output[name] = result.stderr
    assert {name: (dataset.task, dataset.metric) for name, dataset in made.items()} == {
        "tags": ("token-classification", "entity_f1"),
        "scores": ("regression", "spearman"),
        "answers": ("question-answering", "f1"),
        "corpus": ("masked-lm", "accuracy"),
        "other": ("sequence-classification", "accuracy"),
        "f1_of_two": ("sequence-classification", "f1"),
    }
    told = "prepare f1_of_two: f1 is that of dog, the second of its classes; `labels` gives another order"
    assert [line for text in output.values() for line in text.splitlines() if "f1 is that of" in line] == [told]
    assert made["answers"].examples("train").column("id").to_pylist()[0].startswith("1")
    assert made["corpus"].splits["train"]["rows"] == 2 * made["corpus"].splits["train"]["counts"]["chunks"]
    assert (made["other"].seen_max_length, made["other"].max_length) == (5, 8)
    assert re.search(r"prepare answers: test: \d+ rows .*, \d+ questions, \d+ unanswerable, 0 lost answers", output["answers"])
