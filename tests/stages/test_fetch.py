"""`python -m stages.fetch NAME`: local rows into data/raw/NAME/, or one line and everything as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from distill.sources import streams
from stages.fetch import main
from tests.command_line import contents, invoke, refusal

PARAMS = """
defaults: {sources: {encoding: latin-1}}
sources:
  reviews: {path: reviews}
  unknown_kind: {path: rows.xls}
  broken: {path: broken.csv}
  nowhere: {path: no/such/place}
  uninstalled: {package: no_such_package/data}
  offline: {hub: nyu-mll/glue, config: sst2}
  typo: {pth: reviews}
  odd: {path: reviews, encoding: latin-one}
  long: {path: reviews, delimiter: ";;"}
  sheet: {hub: nyu-mll/glue, sheet: First}
"""


@pytest.fixture
def project(in_project: Callable[[str], Path]) -> Path:
    """A project with rows to fetch, good and bad, and what an earlier run fetched under every name."""
    folder = in_project(PARAMS)
    (folder / "reviews").mkdir()
    (folder / "reviews" / "train.csv").write_bytes("text,label\ncaf\xe9,good\nbad,bad\n".encode("latin-1"))
    (folder / "reviews" / "test.csv").write_bytes(b"text,label\nfine,good\n")
    (folder / "rows.xls").write_bytes(b"PK")
    (folder / "broken.csv").write_bytes(b"text,label\none field\n")
    for name in ("unknown_kind", "broken", "nowhere", "uninstalled", "offline", "typo", "odd", "long", "sheet"):
        (folder / "data" / "raw" / name).mkdir(parents=True)
        (folder / "data" / "raw" / name / "train.parquet").write_bytes(b"earlier")
    return folder


def test_a_local_folder_becomes_a_parquet_file_a_split(project: Path):
    done = invoke(main, "reviews")
    assert (done.returncode, done.stderr) == (0, "fetch reviews: 3 rows in test, train\n")
    raw = project / "data" / "raw" / "reviews"
    assert contents(raw).keys() == {"train.parquet", "test.parquet"}
    train = pyarrow.parquet.read_table(raw / "train.parquet").to_pydict()
    assert train == {"text": ["café", "bad"], "label": ["good", "bad"]}
    before = contents(raw)
    assert invoke(main, "reviews").returncode == 0
    assert contents(raw) == before


def test_an_entry_that_is_edited_meanwhile_leaves_what_was_there(project: Path, monkeypatch: pytest.MonkeyPatch):
    assert invoke(main, "reviews").returncode == 0
    raw, write = project / "data" / "raw" / "reviews", streams.write_splits
    before = contents(raw)

    def edit(*arguments: Any) -> int:
        (project / "params.yaml").write_text(PARAMS.replace("{path: reviews}", "{path: reviews, encoding: cp1252}"))
        return write(*arguments)

    monkeypatch.setattr(streams, "write_splits", edit)
    assert "params.yaml: sources.reviews: was edited while this ran" in refusal(invoke(main, "reviews"))
    assert contents(raw) == before


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("unknown_kind", "rows.xls: cannot tell what '.xls' holds; expected .parquet, .csv"),
        ("broken", "broken.csv: line 2: has 1 field by commas, the header has 2; mend the line"),
        ("nowhere", "no/such/place: no such file or folder (looked from "),
        ("uninstalled", "package 'no_such_package' is not installed; `pip install no-such-package`"),
        ("offline", "hub: data set 'nyu-mll/glue', config 'sst2' is not cached here, and HF_HUB_OFFLINE is set"),
        (
            "odd",
            "params.yaml: sources.odd.encoding: the encoding 'latin-one' is unknown; expected one of Python's, such as utf-8",
        ),
        ("long", "params.yaml: sources.long.delimiter: got ';;', expected one character"),
        ("sheet", "params.yaml: sources.sheet: delimiter, names, format and sheet go with path or package; remove them"),
        ("typo", "params.yaml: sources.typo.pth: unknown key; did you mean 'path'?"),
        ("revews", "params.yaml: sources.revews: no such entry; did you mean 'reviews'?"),
    ],
)
def test_bad_input_is_one_line_and_leaves_what_was_fetched_before(project: Path, name: str, line: str):
    before = contents(project)
    assert refusal(invoke(main, name)).startswith(line)
    assert contents(project) == before
