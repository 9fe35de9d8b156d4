"""Whatever raw rows come as, they become the same tables; what is broken is refused with the file's name."""

import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from distill.core.errors import UserError
from distill.preparation.labels import class_names
from distill.sources.tables import fetch_hub, read_local, write_tables
from tests.command_line import contents

ROWS = {"text": ["a good one", "bad, “really”"], "label": ["pos", "neg"]}
FILES = {
    "rows.csv": 'text,label\na good one,pos\n"bad, “really”",neg\n',
    "rows.tsv": "text\tlabel\na good one\tpos\nbad, “really”\tneg\n",
    "rows.jsonl": '{"text": "a good one", "label": "pos"}\n{"text": "bad, “really”", "label": "neg"}\n',
}


def write(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))
    return path


def write_parquet(path: Path, rows: dict[str, list[Any]]) -> Path:
    pa.parquet.write_table(pa.table(rows), path)
    return path


def read(path: Path, encoding: str = "utf-8") -> dict[str, dict[str, list[Any]]]:
    return {split: table.to_pydict() for split, table in read_local(path, encoding).items()}


def test_a_file_is_the_split_train_and_quoted_line_breaks_stay_in_their_field(tmp_path):
    for name, content in FILES.items():
        assert read(write(tmp_path / name, content)) == {"train": ROWS}
    assert read(write_parquet(tmp_path / "rows.parquet", ROWS)) == {"train": ROWS}
    path = write(tmp_path / "rows.csv", 'text,label\n"two\nlines",pos\n')
    assert read(path) == {"train": {"text": ["two\nlines"], "label": ["pos"]}}


def test_a_folder_of_files_has_a_split_each_of_whatever_kind(tmp_path):
    write(tmp_path / "train.csv", FILES["rows.csv"])
    write(tmp_path / "validation.jsonl", FILES["rows.jsonl"])
    write_parquet(tmp_path / "test.parquet", ROWS)
    write(tmp_path / "README.md", "not a table")
    assert read(tmp_path) == {"train": ROWS, "validation": ROWS, "test": ROWS}


def test_the_shards_of_a_split_are_joined_in_order_and_refused_with_other_columns(tmp_path):
    for shard in (1, 0, 2):
        write_parquet(tmp_path / f"train-0000{shard}-of-00003.parquet", {"text": [f"row {shard}"]})
    write_parquet(tmp_path / "test-00000-of-00001.parquet", {"text": ["other"]})
    assert read(tmp_path) == {"train": {"text": ["row 0", "row 1", "row 2"]}, "test": {"text": ["other"]}}
    write_parquet(tmp_path / "train-1.parquet", {"body": [3]})
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}/train")):
        read_local(tmp_path, "utf-8")


@pytest.mark.parametrize(
    ("files", "tables"),
    [
        (
            {"sport/2.txt": "goal\n", "sport/1.txt": "  match ", "art/1.txt": "paint", ".git/1.md": "hidden"},
            {"train": {"text": ["paint", "match", "goal"], "label": ["art", "sport", "sport"]}},
        ),
        (
            {"train/sport/1.txt": "goal", "test/art/1.txt": "paint"},
            {"train": {"text": ["goal"], "label": ["sport"]}, "test": {"text": ["paint"], "label": ["art"]}},
        ),
        ({"b.txt": "second", "a.txt": "first"}, {"train": {"text": ["first", "second"]}}),
    ],
    ids=["class folders", "split folders of class folders", "text files"],
)
def test_folders_of_text_files_give_texts_and_their_classes(tmp_path, files, tables):
    for name, content in files.items():
        write(tmp_path / name, content)
    assert read(tmp_path) == tables


@pytest.mark.parametrize(
    ("name", "content", "byte"),
    [
        ("rows.csv", "text,label\ncafé crème,pos\n", 14),
        ("rows.tsv", "text\tlabel\ncafé crème\tpos\n", 14),
        ("rows.jsonl", '{"text": "café crème", "label": "pos"}\n', 13),
        ("pos/1.txt", "café crème", 3),
    ],
)
def test_latin_1_files_are_read_with_their_encoding_and_refused_without(tmp_path, name, content, byte):
    path = write(tmp_path / name, content, "latin-1")
    assert read(tmp_path, "latin-1") in ({split: {"text": ["café crème"], "label": ["pos"]}} for split in ("rows", "train"))
    complaint = f"{path}: not utf-8 (byte {byte}); set the source's `encoding`, say latin-1"
    with pytest.raises(UserError, match=f"^{re.escape(complaint)}$"):
        read_local(tmp_path, "utf-8")


def test_an_unknown_encoding_is_refused_with_its_name(tmp_path):
    for path in (write(tmp_path / "a.csv", FILES["rows.csv"]), write(tmp_path / "texts" / "a.txt", "x").parent):
        with pytest.raises(UserError, match="latin-one"):
            read_local(path, "latin-one")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", b"text,label\nonly one field\n"),
        ("train.csv", b""),
        ("train.tsv", b"text\tlabel\na\tb\tc\n"),
        ("train.jsonl", b'{"text": "a"}\n{"text": \n'),
        ("train.jsonl", b""),
        ("train.parquet", b"PAR1 and nothing more"),
        ("train.parquet", b""),
    ],
)
def test_a_broken_file_is_refused_in_one_line_with_its_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    for place in (path, tmp_path):
        with pytest.raises(UserError, match=f"^{re.escape(f'{path}: broken {path.suffix[1:]} file: ')}.*\\Z"):
            read_local(place, "utf-8")


@pytest.mark.parametrize("name", [None, "notes.md", "rows.xlsx"])
def test_files_of_another_kind_and_folders_with_nothing_to_read_are_refused(tmp_path, name):
    if name:
        path = write(tmp_path / name, "x")
        complaint = f"{path}: cannot read '{path.suffix}' files; expected .parquet, .csv, .tsv, .jsonl, .json"
        with pytest.raises(UserError, match=re.escape(complaint)):
            read_local(path, "utf-8")
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}: nothing to read; expected")):
        read_local(tmp_path, "utf-8")


def test_tables_are_written_to_the_same_bytes_and_read_again(tmp_path):
    tables = {"train": pa.table(ROWS), "test": pa.table({"text": ["z"], "label": [None]})}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert write_tables(tables, tmp_path / name) == 3
        assert read(tmp_path / name) == {"train": ROWS, "test": {"text": ["z"], "label": [None]}}
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(contents(tmp_path / "one")) == {"train.parquet", "test.parquet"}
    with pytest.raises(UserError, match="the source has no rows"):
        write_tables({"train": pa.table({"text": []})}, tmp_path)


def hub_data(names: list[str]) -> datasets.DatasetDict:
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict({"sentence": [f"{split} a", f"{split} b"], "label": labels}, features=features)
            for split, labels in (("train", [0, 1]), ("test", [-1, -1]))
        }
    )


def test_the_class_names_of_a_hub_data_set_survive_in_parquet_and_filtered_rows_are_gone(tmp_path, monkeypatch):
    asked: list[Any] = []
    given = hub_data(["worse", "better"])
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, revision: asked.append((*names, revision)) or given)
    assert write_tables(fetch_hub("org/data", "small", "abc123"), tmp_path) == 4
    assert asked == [("org/data", "small", "abc123")]
    tables = read_local(tmp_path, "utf-8")
    assert tables["train"].to_pydict() == {"sentence": ["train a", "train b"], "label": [0, 1]}
    assert class_names(tables["train"], "label") == ("worse", "better")
    assert class_names(tables["train"], "sentence") is None
    given["train"] = given["train"].select([1])
    assert fetch_hub("org/data", None, None)["train"].to_pydict() == {"sentence": ["train b"], "label": [1]}


def generation_error() -> DatasetGenerationError:
    error = DatasetGenerationError("An error occurred while generating the dataset")
    error.__cause__ = ValueError("row 3 is no JSON")
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DatasetNotFoundError("Dataset 'org/none' doesn't exist on the Hub or cannot be accessed."), "doesn't exist on the Hub"),
        (ValueError("BuilderConfig 'tiny' not found. Available: ['big']\nmore"), r"BuilderConfig 'tiny' not found. Available"),
        (RuntimeError("Dataset scripts are no longer supported, but found none.py"), "scripts are no longer supported"),
        (generation_error(), "row 3 is no JSON"),
    ],
)
def test_a_hub_data_set_that_cannot_be_used_is_refused_in_one_line(monkeypatch, error, reason):
    monkeypatch.setattr(datasets, "load_dataset", Mock(side_effect=error))
    with pytest.raises(UserError, match=f"^hub: data set 'org/none', config 'tiny' cannot be used: .*{reason}.*\\Z"):
        fetch_hub("org/none", "tiny", None)
