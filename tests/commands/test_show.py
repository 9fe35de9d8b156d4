"""What a target set holds is shown to people as a table, and to programs as JSON."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from distill.commands import show
from distill.commands.show import describe, format_table
from distill.core.files import to_json, write_text
from distill.data.dataset import Dataset
from distill.store.target_set import TargetStore
from tests import tiny
from tests.stores import materialize
from tests.target_specs import target_spec


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A target set: read only."""
    base = tmp_path_factory.mktemp("show")
    job = target_spec(hidden=(0, 2), cls=(-1,), attention=(2,), shard_bytes=3000, codec="int8")
    return materialize(tiny.bert(layers=4), dataset, base / "tiny", job, base / "scratch")


@pytest.fixture
def folder(in_project: Callable[[str], Path], made: Path) -> Path:
    in_project("defaults: {}\n")
    return Path(shutil.copytree(made, "data/targets/tiny"))


def test_the_description_is_what_lies_there(folder, dataset):
    found = describe(folder)
    assert (found["labels"], found["max_length"]) == (list(tiny.LABELS), 10)
    assert found["fingerprints"] == {"teacher": "t" * 64, "config": "c" * 64, "tokenizer": dataset.tokenizer}
    assert found["bytes"] == sum(path.stat().st_size for path in folder.rglob("*.*") if path.suffix != ".json")
    assert sorted(found["outputs"]) == sorted(path.name for path in folder.iterdir())
    logits = TargetStore.open(folder).output("logits", "train")
    tokens = TargetStore.open(folder).output("tokens", "train")
    part = found["outputs"]["logits"]["splits"]["train"]
    assert (part["rows"], part["tokens"]) == (len(logits), int(tokens.lengths.sum()))
    hidden = found["outputs"]["hidden-02"]
    assert (hidden["codec"], hidden["width"], hidden["source"]) == ("int8", 16, None)
    assert hidden["splits"]["train"]["shards"] == len(list(folder.glob("hidden-02/train/*")))
    assert hidden["bytes"] == sum(path.stat().st_size for path in folder.glob("hidden-02/train/*"))
    assert {output: entry["source"] for output, entry in found["outputs"].items() if entry["source"]} == {
        "attention-02": "hidden-01",
        "hidden-00": "tokens",
    }


def test_the_table_has_a_line_for_each_split_of_each_output(folder):
    write_text(Path("data/metrics/targets/tiny.json"), to_json({"hidden-02": {"relative_error": 6e-5}}))
    text = format_table(describe(folder))
    lines = [line.split() for line in text.splitlines()]
    assert ["attention-02", "replayed", "from", "hidden-01", "2", "train"] in [line[:6] for line in lines]
    hidden = describe(folder)["outputs"]["hidden-02"]["splits"]["train"]
    row = next(line for line in lines if line[:2] == ["hidden-02", "int8"])
    assert row[2:] == [
        "16",
        "train",
        *(f"{hidden[key]:,}" for key in ("rows", "tokens", "shards", "bytes")),
        f"{hidden['bytes'] / hidden['tokens']:.1f}",
    ]
    assert "teacher tttttttttttt" in text
    assert "  hidden-02: relative_error 6e-05" in text.splitlines()
    assert f"torch {describe(folder)['libraries']['torch']}" in text


def test_a_set_that_lies_elsewhere_has_none_of_the_figures_of_this_projects_set_of_its_name(folder, made):
    write_text(Path("data/metrics/targets/tiny.json"), to_json({"hidden-02": {"relative_error": 6e-5}}))
    assert (describe(made)["fidelity"], len(describe(folder)["fidelity"])) == ({}, 1)


def test_the_command_takes_names_and_paths(folder):
    run = CliRunner().invoke
    by_name = run(show.main, ["tiny", "--json"])
    assert by_name.exit_code == 0, by_name.output
    assert json.loads(by_name.stdout) == json.loads(to_json([describe(folder)]))
    assert run(show.main, ["data/targets/tiny", "--json"]).stdout == by_name.stdout == run(show.main, ["--json"]).stdout
    (alone,) = json.loads(run(show.main, ["tiny/logits", "--json"]).stdout)
    assert list(alone["outputs"]) == ["logits"]
    assert run(show.main, []).stdout == format_table(describe(folder)) + "\n"


def test_what_cannot_be_shown_is_said_in_a_line(folder):
    for name, message in {"typo": "no such target set or folder", "tiny": "damaged"}.items():
        (folder / "logits/manifest.json").write_text("{")
        done = CliRunner().invoke(show.main, [name])
        assert done.exit_code == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1
    (folder / "logits/manifest.json").unlink()
    write_text(Path("data/metrics/targets/tiny.json"), "[]")
    assert "is no mapping of outputs to figures" in CliRunner().invoke(show.main, ["tiny"]).stderr
