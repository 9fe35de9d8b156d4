"""`python -m distill publish NAME hf://datasets/USER/NAME`: a target set as a data set on the hub, in one commit, with a card."""

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from distill.commands import check
from distill.commands.publish import main
from distill.data.dataset import Dataset
from distill.store.target_set import TargetStore
from tests import tiny
from tests.command_line import contents, invoke, refusal
from tests.damage import flip
from tests.hub_server import Hub, hub
from tests.stores import materialize
from tests.target_specs import target_spec

__all__ = ["hub"]
PARAMS = """
sources: {tiny: {path: rows}}
datasets: {tiny: {source: tiny, tokenizer: {path: checkpoint}}}
teachers: {strong: {dataset: tiny, checkpoint: {path: checkpoint}}}
targets: {soft: {teacher: strong, dataset: tiny, hidden: [1]}}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Path) -> Path:
    """A project with a target set."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    Path("data/prepared").mkdir(parents=True)
    Path("data/prepared/tiny").symlink_to(prepared)
    materialize(tiny.bert(), Dataset.open(prepared), Path("data/targets/soft"), target_spec(hidden=(1,)), tmp_path / "scratch")
    return tmp_path


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub
def test_tables_and_their_card_are_one_commit_to_a_data_set(hub: Hub) -> None:
    done = invoke(main, "soft", "hf://datasets/me/soft", "--as", "parquet", "--with", "hidden-01", "--private")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "data/targets/soft: published at hf://datasets/me/soft\n"
    assert hub.created == [{"name": "soft", "organization": "me", "type": "dataset", "visibility": "private"}]
    assert set(hub.files) == {"README.md", "train.parquet", "validation.parquet", "test.parquet"}
    table = pq.read_table(BytesIO(hub.files["train.parquet"]))
    assert table.column_names == ["id", "text", "label", "probabilities", "logits", "hidden-01"]
    reader, rows = (
        TargetStore.open(Path("data/targets/soft")).output("logits", "train"),
        Dataset.open(Path("data/prepared/tiny")).rows("train"),
    )
    expected = reader.gather(reader.locate(rows.ids)).numpy()
    np.testing.assert_array_equal(np.array(table["logits"].to_pylist(), np.float32), expected)
    _, header, text = hub.files["README.md"].decode().split("---\n", 2)
    said = YAML(typ="safe", pure=True).load(header)
    assert {entry["split"]: entry["path"] for entry in said["configs"][0]["data_files"]}["test"] == "test.parquet"
    for part in ("load_dataset('me/soft')", "`strong`", "checkpoint", "hidden:", "cat, dog, fish", "| train | "):
        assert part in text


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_a_set_as_it_is_goes_there_too_and_is_read_from_there(hub: Hub, tmp_path: Path) -> None:
    done = invoke(main, "soft", "hf://datasets/me/soft")
    assert done.returncode == 0, done.stderr
    card = hub.files.pop("README.md").decode()
    assert hub.files == contents(Path("data/targets/soft"))
    here = TargetStore.open(Path("data/targets/soft"))
    there = TargetStore.open("hf://datasets/me/soft", cache=tmp_path / "cache")
    rows = np.arange(10)
    assert there.manifests == here.manifests
    both = [store.output("hidden-01", "train").gather(rows).numpy() for store in (here, there)]
    np.testing.assert_array_equal(*both)
    assert "TargetStore.open('hf://datasets/me/soft')" in card


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_outputs_of_an_earlier_set_are_there_no_more(hub: Hub, prepared: Path, tmp_path: Path) -> None:
    for place in ("hf://datasets/me/soft", "out"):
        assert invoke(main, "soft", place).returncode == 0
    shutil.rmtree("data/targets/soft")
    materialize(tiny.bert(seed=1), Dataset.open(prepared), Path("data/targets/soft"), target_spec(), tmp_path / "other")
    for place in ("hf://datasets/me/soft", "out"):
        assert invoke(main, "soft", place).returncode == 0
    assert [name for name in hub.files if name.endswith("manifest.json")] == ["logits/manifest.json", "tokens/manifest.json"]
    assert set(TargetStore.open(Path("out")).manifests) == {"logits", "tokens"}


def test_a_set_that_is_damaged_replaces_nothing() -> None:
    assert invoke(main, "soft", "out").returncode == 0
    before = contents(Path("out"))
    (last,) = Path("data/targets/soft/tokens/train").glob("*.arrow")
    flip(last)
    first = Path("data/targets/soft/logits/train/part-00000.arrow")
    assert first.exists()
    Path("out/logits/train/part-00000.arrow").unlink()
    before.pop("logits/train/part-00000.arrow")
    assert "is missing or damaged" in refusal(invoke(main, "soft", "out"))
    assert contents(Path("out")) == before


def test_the_stage_of_answers_that_were_given_is_named() -> None:
    given = "given: {api: {table: data/raw/answers, dataset: tiny, columns: {text: text, label: label}}}\n"
    sources = "sources: {answers: {path: params.yaml}, tiny: {path: params.yaml}}"
    Path("params.yaml").write_text(PARAMS.replace("sources: {tiny: {path: rows}}", sources) + given, encoding="utf-8")
    tiny.save(tiny.bert(), Path("checkpoint"), tiny.tokenizer())
    assert invoke(check.main, "--jobs", "data/jobs").returncode == 0
    assert "run `dvc repro given@api`" in refusal(invoke(main, "api", "out"))


def test_tables_go_to_any_folder_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    for place in ("one", "other"):
        done = invoke(main, "soft", place, "--as", "parquet")
        assert done.returncode == 0, done.stderr
    place = tmp_path / "whole"
    assert invoke(main, "soft", str(place), "--as", "parquet").returncode == 0
    assert f"load_dataset('{place}')" in (place / "README.md").read_text(encoding="utf-8")  # its beginning stays
    one, other = (contents(Path(place)) for place in ("one", "other"))
    assert {name: one[name] for name in one if name != "README.md"} == {name: other[name] for name in one if name != "README.md"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sot", "out", "--as", "parquet"), "no target set 'sot' in targets, given or ensembles; did you mean 'soft'?"),
        (("soft", "out", "--with", "hidden-01"), "--with: goes with --as parquet"),
        (("soft", "out", "--as", "parquet", "--with", "attention-01"), "--with attention-01: expected a hidden state"),
        (("soft", "out", "--as", "parquet", "--with", "hidden-02"), "has no hidden-02, only hidden-01, logits, tokens"),
        (("sot", "out"), "no target set 'sot' in targets, given or ensembles; did you mean 'soft'?"),
        (("soft", "out", "--private"), "--private: is for the Hugging Face hub"),
        (("soft", "--hub", "me/soft", "--as", "parquet"), "--as parquet: is of target sets, --hub of models"),
        (("strong", "--hub", "me/strong"), "params.yaml: no student 'strong'; there are none; --hub is for the exports of"),
        (("left", "hf://datasets/me/left"), "no target set 'left' in targets, given or ensembles"),
        (("left", "out", "--as", "parquet"), "no target set 'left' in targets, given or ensembles"),
    ],
)
def test_what_cannot_be_published_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    Path("data/targets/left").mkdir()
    assert message in refusal(invoke(main, *arguments))
    assert not Path("out").exists()
