"""Test rows that a model has learnt from, as training rows of a data set that was cut in another way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from distill.core.errors import UserError
from distill.core.settings import read_sections
from distill.data.dataset import Dataset
from distill.data.seen import require_unseen
from distill.preparation.prepare import write_dataset
from stages import init, targets
from tests import tiny
from tests.command_line import invoke

PARAMS = """
defaults:
  datasets: {source: rows, tokenizer: {path: tokenizer}}
  students: {epochs: 1}
datasets:
  own: {}
  few: {labelled: 5}
  other: {seed: 2}
teachers:
  tuned: {dataset: own, checkpoint: {path: checkpoint}}
  untouched: {dataset: own, checkpoint: {path: checkpoint}, epochs: 0}
targets:
  other: {teacher: tuned, dataset: other}
students:
  copied: {recipe: hinton, dataset: own, targets: own, init: {from: data/teachers/untouched}}
  twin: {recipe: hinton, dataset: own, targets: own, init: {from: data/inits/copied}}
  second: {recipe: hinton, dataset: few, targets: own, init: {from: data/students/copied, depth: 1}}
  random: {recipe: hinton, dataset: few, targets: own, init: {from: data/teachers/tuned, architecture: bert-tiny}}
  leaking: {recipe: hinton, dataset: other, targets: other, init: {from: data/students/second}}
"""


@pytest.fixture
def project(in_project: Callable[[str], Path], tokenizer: PreTrainedTokenizerFast) -> Path:
    """100 rows, cut in two ways, and twice the rows of which some stand in both parts."""
    folder = in_project(PARAMS)
    texts, labels = tiny.rows(100, 0)
    texts = [f"{text} w{row % 40} w{row // 40}" for row, text in enumerate(texts)]
    parts = {"train": slice(20, 100), "validation": slice(0, 10), "test": slice(10, 20)}
    turned = {"train": slice(0, 80), "validation": slice(80, 90), "test": slice(90, 100)}
    for name, cut in {"own": parts, "few": parts, "other": turned}.items():
        (folder / "data/prepared" / name).mkdir(parents=True)
        rows: dict[str, Any] = {
            split: tiny.split_rows(
                texts[part], labels[part] if name != "few" or split != "train" else [*labels[part]][:5] + [""] * 75
            )
            for split, part in cut.items()
        }
        write_dataset(folder / "data/prepared" / name, rows, tiny.LABELS, tiny.settings(max_length=16), tokenizer)
    return folder


def seen(project: Path, place: str, name: str) -> str:
    """What is said of a model in data/KIND/NAME that begins a student of the data set, or answers it."""
    dataset = Dataset.open(Path("data/prepared", name))
    try:
        require_unseen(read_sections(project / "params.yaml"), place, dataset, "here")
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("place", ["data/teachers/tuned", "data/students/copied", "data/students/second"])
def test_test_rows_that_a_model_has_learnt_are_refused(project: Path, place: str):
    assert seen(project, place, "other") == (
        f"here: {place} has learnt from 'own', among whose training rows are 100% of the test rows of 'other': scores there "
        "would mean nothing; give both data sets the same `splits` and `seed` (`labelled` and `limit` may differ)"
    )


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("data/teachers/tuned", "own"),
        ("data/teachers/tuned", "few"),
        ("data/teachers/untouched", "other"),
        ("data/inits/copied", "other"),
        ("data/inits/twin", "other"),
        ("data/inits/random", "other"),
        ("data/prepared/own", "other"),
    ],
)
def test_models_that_have_not_learnt_them_are_not(project: Path, place: str, name: str):
    assert seen(project, place, name) == ""


def test_rows_without_a_label_are_not_learnt_and_what_is_not_here_is_not_looked_at(project: Path):
    assert seen(project, "data/students/random", "other") == ""
    (project / "data/prepared/own/dataset.json").unlink()
    assert seen(project, "data/teachers/tuned", "other") == ""


def test_vectors_are_learnt_without_labels(project: Path):
    place = project / "data/prepared/own/dataset.json"
    place.write_text(place.read_text(encoding="utf-8").replace("sequence-classification", "sentence-embedding"), encoding="utf-8")
    assert Dataset.open(place.parent).spec.embeds
    assert seen(project, "data/teachers/tuned", "other") == ""


def test_duplicates_of_the_data_set_itself_are_no_sign(project: Path, tokenizer: PreTrainedTokenizerFast):
    texts, labels = tiny.rows(20, 0)
    for name in ("doubled", "again"):
        (project / "data/prepared" / name).mkdir()
        rows: dict[str, Any] = {split: tiny.split_rows(texts, labels) for split in ("train", "validation", "test")}
        write_dataset(project / "data/prepared" / name, rows, tiny.LABELS, tiny.settings(), tokenizer)
    sections = read_sections(project / "params.yaml")
    sections["teachers"]["tuned"]["dataset"] = "doubled"
    require_unseen(sections, "data/teachers/tuned", Dataset.open(Path("data/prepared/again")), "here")


def test_the_stages_ask(project: Path):
    for stage, name, key in ((targets, "other", "targets.other.teacher"), (init, "leaking", "students.leaking.init.from")):
        done = invoke(stage.main, name)
        assert done.returncode == 1
        assert f"params.yaml: {key}: data/" in done.stderr
        assert "has learnt from 'own'" in done.stderr
    assert not (project / "data/targets").exists()
