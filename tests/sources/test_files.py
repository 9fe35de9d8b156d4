"""Whatever raw rows come as, they become the same tables; which file is which split is never guessed."""

import gzip
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from distill.core.errors import UserError
from distill.sources.files import read_local
from distill.sources.streams import Stream, write_splits
from tests.command_line import contents
from tests.sources.reading import read, write, write_parquet

ROWS = {"text": ["a good one", "bad, “really”"], "label": ["pos", "neg"]}
FILES = {
    "rows.csv": 'text,label\na good one,pos\n"bad, “really”",neg\n',
    "rows.tsv": "text\tlabel\na good one\tpos\nbad, “really”\tneg\n",
    "rows.jsonl": '{"text": "a good one", "label": "pos"}\n{"text": "bad, “really”", "label": "neg"}\n',
    "rows.json": '[{"text": "a good one", "label": "pos"},\n{"text": "bad, “really”", "label": "neg"}]',
}


def pack(path: Path, content: str, member: str = "rows.csv") -> Path:
    """Write a file as its ending says."""
    match path.suffix:
        case ".gz":
            return write(path, gzip.compress(content.encode()))
        case ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(member, content)
                archive.writestr("__MACOSX/._" + member, "of the system")
            return path
        case ".zst":
            return write(
                path,
                pa.compress(content.encode()[:20], "zstd", asbytes=True)
                + pa.compress(content.encode()[20:], "zstd", asbytes=True),
            )
    return write(path, content)


@pytest.mark.parametrize("name", [name + packing for name in FILES for packing in ("", ".gz", ".zst", ".zip")])
def test_a_file_is_the_split_train_compressed_or_not(tmp_path, name):
    plain = name if name in FILES else name.rpartition(".")[0]
    assert read(pack(tmp_path / name, FILES[plain], plain)) == {"train": ROWS}


def test_a_zip_of_another_name_and_endings_in_capitals(tmp_path):
    assert read(pack(tmp_path / "download.zip", FILES["rows.tsv"], "folder/ROWS.TSV")) == {"train": ROWS}
    assert read(write(tmp_path / "ROWS.CSV", FILES["rows.csv"])) == {"train": ROWS}


def test_a_folder_of_files_has_a_split_each_of_whatever_kind(tmp_path):
    write(tmp_path / "train.csv", FILES["rows.csv"])
    pack(tmp_path / "validation.jsonl.gz", FILES["rows.jsonl"])
    write_parquet(tmp_path / "test.parquet", ROWS)
    for name in ("README.md", ".train.csv.swp", "._train.csv", "train-notes", "~$test.xlsx"):
        write(tmp_path / name, "not a table")
    assert read(tmp_path) == {"train": ROWS, "validation": ROWS, "test": ROWS}


def test_the_shards_of_a_split_are_joined_by_number(tmp_path, capsys):
    for shard in (1, 0, 10):
        write_parquet(tmp_path / f"train-{shard}.parquet", {"text": [f"row {shard}"], "id": pa.array([shard], pa.int32())})
    write_parquet(tmp_path / "train-2.parquet", {"id": [2], "text": [None]})
    write(tmp_path / "test-00000-of-00001.jsonl", '{"text": "other"}')
    write(tmp_path / "train-old.csv", FILES["rows.csv"])
    write(tmp_path / "hub-00000-of-00001-0123456789abcdef.csv", FILES["rows.csv"])
    assert read(tmp_path) == {
        "train": {"text": ["row 0", "row 1", None, "row 10"], "id": [0, 1, 2, 10]},
        "test": {"text": ["other"]},
        "train-old": ROWS,
        "hub": ROWS,
    }
    assert capsys.readouterr().err == f"{tmp_path}: 'train' is read from 4 files, such as train-0.parquet\n"


def test_the_files_of_spark_are_one_split(tmp_path):
    for part in (1, 0):
        write_parquet(tmp_path / f"part-0000{part}-b2c1-c000.snappy.parquet", {"text": [f"row {part}"]})
    assert read(tmp_path) == {"train": {"text": ["row 0", "row 1"]}}


def test_shards_of_json_have_the_types_that_hold_all(tmp_path):
    write(tmp_path / "train-0.jsonl", '{"label": 1, "more": []}')
    write(tmp_path / "train-1.jsonl", '{"label": "one"}\n{"label": null, "more": ["x"]}')
    assert read(tmp_path)["train"] == {"label": ["1", "one", None], "more": [[], None, ["x"]]}


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["train.csv", "train.jsonl"], "'train' is there twice, as train.csv and train.jsonl"),
        (["train.csv", "train.csv.gz"], "'train' is there twice, as train.csv and train.csv.gz"),
        (["train.csv", "train-0.csv"], "'train' is there twice, as"),
        (["train-0.csv", "train-1.jsonl"], "'train' is there twice, as train-0.csv and train-1.jsonl"),
        (["train-0.csv", "train-00.csv"], "'train' is there twice, as"),
        (["train-00000-of-00002.csv"], "number 1 of the 2 files of 'train' is missing"),
        (["train-0-of-2.csv", "train-1-of-3.csv"], "the files of 'train' are of 2 and of 3"),
        (["train.csv", "test.xls"], "test.xls: is called like a split, and cannot be read; expected .bio, .conll, .conllu, .csv"),
        (["train.csv", "test.csv.zip", "images.zip"], "test.csv.zip: cannot be unpacked"),
    ],
)
def test_a_split_that_is_there_twice_or_in_part_is_refused(tmp_path, names, complaint):
    for name in names:
        content = FILES["rows.jsonl" if "jsonl" in name else "rows.csv"]
        (write if name.endswith(".zip") else pack)(tmp_path / name, content)
    with pytest.raises(
        UserError, match=re.escape(f"{tmp_path}/{complaint}" if "test." in complaint else f"{tmp_path}: {complaint}")
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"body": ["x"]}, "its files have different columns: text, and body"),
        ({"text": [3]}, "its files have different types of columns: Unable to merge: Field text has incompatible types"),
    ],
)
def test_shards_of_different_columns_are_refused(tmp_path, other, complaint):
    for shard, rows in enumerate(({"text": ["x"]}, other)):
        write_parquet(tmp_path / f"train-{shard}.parquet", rows)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}/train-0.parquet and 1 more: {complaint}")):
        read(tmp_path)


@pytest.mark.parametrize(
    ("files", "tables", "said"),
    [
        (
            {
                "sport/2.txt": "goal\r\nagain\n",
                "sport/1.TXT": "  match ",
                "art/1.txt": "paint",
                ".git/1.txt": "hidden",
                "_no/1.txt": "x",
            },
            {"train": {"text": ["x", "paint", "match", "goal\nagain"], "label": ["_no", "art", "sport", "sport"]}},
            "",
        ),
        (
            {"train/sport/1.txt": "goal", "test/art/1.txt": "paint", "train/sport/more/2.txt": "deeper", "notes.txt": "notes"},
            {"train": {"text": ["goal"], "label": ["sport"]}, "test": {"text": ["paint"], "label": ["art"]}},
            "2 files are not read, such as notes.txt",
        ),
        ({"b.txt": "second", "a.txt": "first"}, {"train": {"text": ["first", "second"]}}, ""),
    ],
    ids=["class folders", "split folders of class folders", "text files"],
)
def test_folders_of_text_files_give_texts_and_their_classes(tmp_path, capsys, files, tables, said):
    for name, content in files.items():
        write(tmp_path / name, content)
    assert read(tmp_path) == tables
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "options", "complaint"),
    [
        ("rows.md", "x", {}, "rows.md: cannot tell what '.md' holds; expected .parquet, .csv"),
        ("rows", "x", {}, "rows: cannot tell what 'files without an ending' holds"),
        ("rows.txt.gz", "x", {}, "rows.txt.gz: cannot tell what '.txt' holds"),
        ("rows.parquet.gz", "x", {}, "rows.parquet.gz: parquet files are compressed within; unpack it"),
        ("rows.csv.gz", b"no gzip", {}, "rows.csv.gz: cannot be unpacked: Not a gzipped file"),
        (
            "rows.csv.gz",
            gzip.compress(b"text,label\n" * 99, mtime=0)[:-9],
            {},
            "rows.csv.gz: cannot be unpacked: Compressed file ended before",
        ),
        ("rows.csv.zst", b"no zstd", {}, "rows.csv.zst: cannot be unpacked: "),
        ("rows.csv.zip", b"no zip", {}, "rows.csv.zip: cannot be unpacked: File is not a zip file"),
        (
            "rows.csv",
            gzip.compress(b"text,label\n", mtime=0),
            {},
            "rows.csv: by its first bytes, it is gzip (.gz); expected the text itself",
        ),
        ("rows.csv", b"PK\x03\x04", {}, "rows.csv: by its first bytes, it is zip or Excel (.zip, .xlsx)"),
        (
            "rows.csv",
            "text\n",
            {"sheet": "First"},
            "rows.csv: `sheet` is for excel files, of which there is none here; remove it",
        ),
        ("rows.jsonl", "{}", {"delimiter": ";"}, "rows.jsonl: `delimiter` is for csv and tsv files, of which there is none here"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line_with_its_name(tmp_path, name, content, options, complaint):
    with pytest.raises(UserError, match=f"^{re.escape(f'{tmp_path}/{complaint}')}.*\\Z"):
        read(write(tmp_path / name, content), **options)


def test_the_format_that_a_source_gives_stands_for_any_ending(tmp_path):
    assert read(write(tmp_path / "rows.data", FILES["rows.csv"]), format="csv") == {"train": ROWS}
    for split in ("train", "test"):
        write(tmp_path / "conll" / f"{split}.txt", "a O\n\nb B-x\n")
    with pytest.raises(UserError, match=r"test.txt: is this one text, or a split\? .* set the source's `format: conll`"):
        read(tmp_path / "conll")
    sentences = {"tokens": [["a"], ["b"]], "tags": [["O"], ["B-x"]]}
    write(tmp_path / "tabs" / "train.csv", FILES["rows.tsv"])
    write(tmp_path / "tabs" / "README.txt", "not a table")
    assert read(tmp_path / "tabs", format="tsv") == {"train": ROWS}
    assert read(tmp_path / "conll", format="conll") == {"test": sentences, "train": sentences}


def test_a_folder_or_a_zip_with_nothing_or_too_much_to_read_is_refused(tmp_path):
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}: nothing to read; expected .parquet, .csv")):
        read(tmp_path)
    pack(tmp_path / "rows.zip", "text\n", "a.csv")
    with zipfile.ZipFile(tmp_path / "rows.zip", "a") as archive:
        archive.writestr("b.csv", "text\n")
    with pytest.raises(UserError, match=r"rows.zip: holds 2 files \(a.csv, b.csv\), expected one; unpack it into a folder"):
        read(tmp_path / "rows.zip")


def test_splits_are_written_to_the_same_bytes_and_read_again(tmp_path):
    write(tmp_path / "in" / "train.csv", FILES["rows.csv"])
    write(tmp_path / "in" / "test.jsonl", '{"text": "z", "label": null, "meta": {}}')
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert write_splits(read_local(tmp_path / "in"), tmp_path / name) == 3
        assert read(tmp_path / name) == {"train": ROWS, "test": {"text": ["z"], "label": [None]}}
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert set(contents(tmp_path / "one")) == {"train.parquet", "test.parquet"}
    assert "empty object in every row" in str(read_local(tmp_path / "one")["test"].table().schema.metadata)
    with pytest.raises(UserError, match="the source has no rows"):
        write_splits(read_local(write(tmp_path / "empty.csv", "text,label\n")), tmp_path)
    assert isinstance(read_local(tmp_path / "one")["train"], Stream)


def test_texts_of_classes_may_be_packed_and_files_that_are_not_read_are_said(tmp_path, capsys):
    for name in ("sport/1.txt", "sport/2.md", "README.md"):
        write(tmp_path / name, "goal")
    (tmp_path / "art").mkdir()
    (tmp_path / "art/1.txt.gz").write_bytes(gzip.compress(b"paint"))
    assert read(tmp_path) == {"train": {"text": ["paint", "goal"], "label": ["art", "sport"]}}
    assert f"{tmp_path}: 1 files are not read, such as sport/2.md" in capsys.readouterr().err
    write(tmp_path / "train.csv", "text,label\na,b\n")
    assert read(tmp_path) == {"train": {"text": ["a"], "label": ["b"]}}
    assert f"{tmp_path}: 2 files are not read, such as art/1.txt.gz" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["", "train/"])
def test_a_class_of_other_files_than_texts_is_refused(tmp_path, split):
    for name in ("sport/1.txt", "tech/1.md"):
        write(tmp_path / f"{split}{name}", "goal")
    with pytest.raises(UserError, match=r"tech: none of its files is a \.txt file, such as 1\.md, and the class would be lost"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["test.csv", "art"])
def test_a_link_to_what_is_not_there_is_refused(tmp_path, name):
    write(tmp_path / "sport/1.txt" if name == "art" else tmp_path / "train.csv", "text,label\na,b\n")
    (tmp_path / name).symlink_to("/nowhere")
    with pytest.raises(UserError, match=f"{name}: is a link to what is not there"):
        read(tmp_path)


def test_folders_that_would_pass_for_parts_of_a_split_are_refused(tmp_path):
    for split in ("fold-1", "fold-2"):
        write(tmp_path / split / "art" / "1.txt", "paint")
    with pytest.raises(UserError, match="fold-1: a split of this name passes for a part of another"):
        read(tmp_path)
