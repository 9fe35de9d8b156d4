"""Whatever raw rows come as, they become the same tables; what is broken is refused with the file's name."""

from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets.exceptions import DatasetGenerationError, DatasetNotFoundError

from distill.errors import UserError
from distill.labels import class_names
from distill.sources import fetch_hub, read_local, read_table, write_tables

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


@pytest.mark.parametrize("name", FILES)
def test_a_text_table_is_the_split_train(tmp_path: Path, name: str):
    assert read(write(tmp_path / name, FILES[name])) == {"train": ROWS}


def test_a_parquet_file_is_the_split_train(tmp_path: Path):
    assert read(write_parquet(tmp_path / "rows.parquet", ROWS)) == {"train": ROWS}


def test_quoted_line_breaks_stay_in_their_field(tmp_path: Path):
    path = write(tmp_path / "rows.csv", 'text,label\n"two\nlines",pos\n')
    assert read(path) == {"train": {"text": ["two\nlines"], "label": ["pos"]}}


def test_a_folder_of_files_has_a_split_each_of_whatever_kind(tmp_path: Path):
    write(tmp_path / "train.csv", FILES["rows.csv"])
    write(tmp_path / "validation.jsonl", FILES["rows.jsonl"])
    write_parquet(tmp_path / "test.parquet", ROWS)
    write(tmp_path / "README.md", "not a table")
    assert read(tmp_path) == {"train": ROWS, "validation": ROWS, "test": ROWS}


def test_the_shards_of_a_split_are_joined_in_order(tmp_path: Path):
    for shard in (1, 0, 2):
        write_parquet(tmp_path / f"train-0000{shard}-of-00003.parquet", {"text": [f"row {shard}"]})
    write_parquet(tmp_path / "test-00000-of-00001.parquet", {"text": ["other"]})
    assert read(tmp_path) == {"train": {"text": ["row 0", "row 1", "row 2"]}, "test": {"text": ["other"]}}


def test_shards_of_one_split_with_other_columns_are_refused_with_the_split(tmp_path: Path):
    write_parquet(tmp_path / "train-0.parquet", {"text": ["a"]})
    write_parquet(tmp_path / "train-1.parquet", {"body": [3]})
    with pytest.raises(UserError, match="train") as caught:
        read_local(tmp_path, "utf-8")
    assert str(tmp_path) in str(caught.value)


def test_class_folders_give_text_and_label(tmp_path: Path):
    write(tmp_path / "sport" / "2.txt", "goal\n")
    write(tmp_path / "sport" / "1.txt", "  match ")
    write(tmp_path / "art" / "1.txt", "paint")
    write(tmp_path / ".git" / "1.md", "hidden")
    assert read(tmp_path) == {"train": {"text": ["paint", "match", "goal"], "label": ["art", "sport", "sport"]}}


def test_split_folders_of_class_folders_give_a_split_each(tmp_path: Path):
    write(tmp_path / "train" / "sport" / "1.txt", "goal")
    write(tmp_path / "test" / "art" / "1.txt", "paint")
    assert read(tmp_path) == {"train": {"text": ["goal"], "label": ["sport"]}, "test": {"text": ["paint"], "label": ["art"]}}


def test_a_folder_of_text_files_gives_texts_without_labels(tmp_path: Path):
    write(tmp_path / "b.txt", "second")
    write(tmp_path / "a.txt", "first")
    assert read(tmp_path) == {"train": {"text": ["first", "second"]}}


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_latin_1_tables_are_read_with_their_encoding_and_refused_without(tmp_path: Path, name: str):
    separator = "," if name.endswith("csv") else "\t"
    path = write(tmp_path / name, f"text{separator}label\ncafé crème{separator}pos\n", "latin-1")
    assert read(path, "latin-1") == {"train": {"text": ["café crème"], "label": ["pos"]}}
    with pytest.raises(UserError) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "encoding" in str(caught.value)


def test_latin_1_json_lines_are_read_with_their_encoding_and_refused_without(tmp_path: Path):
    path = write(tmp_path / "rows.jsonl", '{"text": "café"}\n', "latin-1")
    assert read(path, "latin-1") == {"train": {"text": ["café"]}}
    with pytest.raises(UserError, match="encoding"):
        read_table(path)


def test_latin_1_text_files_are_read_with_their_encoding_and_refused_without(tmp_path: Path):
    path = write(tmp_path / "art" / "1.txt", "café", "latin-1")
    assert read(tmp_path, "latin-1") == {"train": {"text": ["café"], "label": ["art"]}}
    with pytest.raises(UserError) as caught:
        read_local(tmp_path, "utf-8")
    assert str(caught.value) == f"{path}: not utf-8 (byte 3); set the source's `encoding`, say latin-1"


def test_an_unknown_encoding_is_refused_with_its_name(tmp_path: Path):
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
def test_a_broken_file_is_refused_in_one_line_with_its_name(tmp_path: Path, name: str, content: bytes):
    path = tmp_path / name
    path.write_bytes(content)
    for place in (path, tmp_path):
        with pytest.raises(UserError) as caught:
            read_local(place, "utf-8")
        assert str(caught.value).startswith(f"{path}: broken {path.suffix[1:]} file: ")
        assert len(str(caught.value).splitlines()) == 1


def test_a_file_of_another_kind_is_refused_with_what_can_be_read(tmp_path: Path):
    with pytest.raises(UserError, match=r"rows.xlsx: cannot read '.xlsx' files; expected .parquet, .csv, .tsv, .jsonl, .json"):
        read_local(write(tmp_path / "rows.xlsx", "x"), "utf-8")


@pytest.mark.parametrize("litter", [None, "notes.md"])
def test_a_folder_with_nothing_to_read_is_refused(tmp_path: Path, litter: str | None):
    if litter:
        write(tmp_path / litter, "x")
    with pytest.raises(UserError, match="nothing to read; expected") as caught:
        read_local(tmp_path, "utf-8")
    assert str(tmp_path) in str(caught.value)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path):
    written = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        assert write_tables({"train": pa.table(ROWS), "test": pa.table(ROWS)}, folder) == 4
        written.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {"train.parquet", "test.parquet"}


def test_what_was_fetched_is_read_again_as_it_was(tmp_path: Path):
    write_tables({"train": pa.table(ROWS), "test": pa.table({"text": ["z"], "label": [None]})}, tmp_path)
    assert read(tmp_path) == {"train": ROWS, "test": {"text": ["z"], "label": [None]}}


def test_a_source_without_rows_is_refused(tmp_path: Path):
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


def test_the_class_names_of_a_hub_data_set_survive_in_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def load_dataset(name: str, config: str | None, revision: str | None) -> datasets.DatasetDict:
        asked.append((name, config, revision))
        return hub_data(["worse", "better"])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert write_tables(fetch_hub("org/data", "small", "abc123"), tmp_path) == 4
    assert asked == [("org/data", "small", "abc123")]
    tables = read_local(tmp_path, "utf-8")
    assert tables["train"].to_pydict() == {"sentence": ["train a", "train b"], "label": [0, 1]}
    assert class_names(tables["train"], "label") == ("worse", "better")
    assert class_names(tables["train"], "sentence") is None


def test_a_filtered_hub_data_set_gives_only_the_rows_left(monkeypatch: pytest.MonkeyPatch):
    kept = datasets.DatasetDict({"train": hub_data(["a", "b"])["train"].select([1])})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: kept)
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
def test_a_hub_data_set_that_cannot_be_used_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
):
    def load_dataset(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UserError, match=reason) as caught:
        fetch_hub("org/none", "tiny", None)
    assert str(caught.value).startswith("hub: data set 'org/none', config 'tiny' cannot be used: ")
    assert len(str(caught.value).splitlines()) == 1
