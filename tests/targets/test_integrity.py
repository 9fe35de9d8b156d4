"""A target set is checked byte by byte and row by row, and what is broken of it can be put right."""

import errno
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from distill.core.errors import UserError
from distill.data.dataset import Dataset
from distill.store.manifest import Manifest, SplitShards
from distill.targets.verification.integrity import check
from tests import tiny
from tests.damage import damaged, flip, replace, rewrite, texts
from tests.stores import materialize
from tests.target_specs import target_spec

STORED = target_spec(hidden=(0, 2), cls=(1,), attention=(2,), attention_as="probabilities-u8")


@pytest.fixture(scope="module")
def small(tmp_path_factory, model, tokenizer) -> Path:
    """A set of few rows with an output of each kind: read only."""
    folder = tmp_path_factory.mktemp("small")
    dataset = Dataset.open(tiny.prepare(folder / "prepared", tokenizer, (9, 4, 4)))
    return materialize(model, dataset, folder / "targets" / "small", STORED)


def test_a_set_as_it_was_made_has_no_problem(small, many):
    for folder in (small, many):
        checked = check(folder)
        assert checked.problems == []
        assert {file for _, entry in checked.files for file in [entry.file]} | {"manifest.json"} == {
            path.relative_to(output).as_posix() for output in folder.iterdir() for path in output.rglob("*") if path.is_file()
        }
    assert check(small / "logits").problems == []


@pytest.mark.slow
def test_each_of_a_thousand_flips_and_truncations_is_found(small):
    files = sorted(path for path in small.rglob("*") if path.is_file())
    kinds = [[path for path in files if path.name == "manifest.json"], [path for path in files if path.suffix == ".safetensors"]]
    kinds += [[p for p in files if p.suffix == ".arrow" and kind in p.parts[-3]] for kind in ("log", "tok", "hid", "cls", "att")]
    assert all(kinds)
    rng = random.Random(0)
    for number in range(1000):
        path = rng.choice(kinds[number % len(kinds)])
        content = path.read_bytes()
        replace(path, damaged(content, rng))
        found = texts(small if number % 100 == 0 else small / path.relative_to(small).parts[0])  # one output is checked sooner
        assert any(text.startswith(f"{path}: ") for text in found), (path, found)
        replace(path, content)
    assert texts(small) == []


def test_all_problems_are_listed_each_in_one_line(copy):
    flip(copy / "hidden-02/train/part-00001.arrow")
    (copy / "logits/test/part-00000.arrow").unlink()
    (copy / "tokens/train/notes.txt").write_text("x")
    (copy / "readme").write_text("x")
    flip(copy / "attention-03/heads.safetensors")
    flip(copy / "cls-01/manifest.json")
    (copy / "attention-01/manifest.json").unlink()
    found = texts(copy)
    for file, what in {
        "hidden-02/train/part-00001.arrow": "not that of its checksum",
        "logits/test/part-00000.arrow": "is missing",
        "tokens/train/notes.txt": "the manifest does not name it",
        "readme": "no manifest names it",
        "attention-03/heads.safetensors": "not that of its checksum",
        "cls-01/manifest.json": "damaged",
        "attention-01/manifest.json": "is missing",
    }.items():
        assert [text for text in found if text.startswith(f"{copy / file}: ") and what in text], (file, found)
    assert len(found) == 7
    assert not any("\n" in text or "run `" in text for text in found)


def test_a_file_that_cannot_be_read_is_a_problem_as_well(copy, monkeypatch):
    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("distill.store.target_set.sha256", refuse)
    assert all("cannot be read (Permission denied)" in text for text in texts(copy))
    assert len(texts(copy)) == len(check(copy).files)


def test_a_shard_in_the_place_of_another_is_found_even_with_the_checksum_of_its_own(copy):
    manifest = Manifest.read(copy / "hidden-02")
    train = manifest.splits["train"]
    other = copy / "hidden-04" / train.shards[0].file
    replace(copy / "hidden-02" / train.shards[0].file, other.read_bytes())
    own = Manifest.read(copy / "hidden-04").splits["train"].shards[0]
    rewrite(copy / "hidden-02", splits={"train": train.model_copy(update={"shards": (own, *train.shards[1:])})})
    (text,) = texts(copy)
    assert text.startswith(f"{copy}/hidden-02/train/part-00000.arrow: holds 'hidden-04', expected hidden-02")


def test_other_counts_than_the_manifest_says_are_found(copy):
    for output in ("hidden-02", "logits"):
        train = Manifest.read(copy / output).splits["train"]
        wrong = train.shards[0].model_copy(update={"tokens": train.shards[0].tokens + 1})
        rest = {split: part for split, part in Manifest.read(copy / output).splits.items() if split != "train"}
        rewrite(copy / output, splits={**rest, "train": train.model_copy(update={"shards": (wrong, *train.shards[1:])})})
    found = texts(copy)
    assert len(found) == 2
    assert all("part-00000.arrow" in text and "its manifest says" in text for text in found)


def test_outputs_of_different_rows_or_teachers_are_found(copy):
    shards = Manifest.read(copy / "hidden-02").splits["train"].shards
    less = {"train": SplitShards(dataset=Manifest.read(copy / "logits").splits["train"].dataset, shards=shards[:-1])}
    rewrite(copy / "hidden-02", splits=less)
    (copy / "hidden-02" / shards[-1].file).unlink()
    prints = Manifest.read(copy / "cls-01").fingerprints.model_copy(update={"teacher": "x" * 64})
    rewrite(copy / "cls-01", fingerprints=prints)
    rows, teacher = sorted(texts(copy), key=lambda text: "cls-01" in text)
    assert f"train lacks {shards[-1].rows} rows that tokens has" in rows
    differs = "cls-01/manifest.json: differs from the other outputs': teacher is tttttttttttt, here it is xxxxxxxxxxxx"
    assert f"{copy}/{differs}" in teacher


def test_rows_that_the_data_set_had_once_are_no_problem_if_it_is_here(copy, dataset):
    train = dataset.rows("train").ids
    fingerprint = dataset.splits["train"]["fingerprint"]
    assert texts(copy, wanted={fingerprint: train[:-5]}) == []
    more = np.concatenate([train, np.zeros((1, 16), np.uint8)])
    assert all("train lacks 1 rows that the data set has" in text for text in texts(copy, wanted={fingerprint: more}))


def test_an_output_without_what_it_is_replayed_from_is_found(copy):
    shutil.rmtree(copy / "hidden-02")
    (text,) = texts(copy)
    assert text.startswith(f"{copy}/attention-03/manifest.json: train are replayed from hidden-02, it is not there")


def test_no_set_at_all_is_refused(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="no target set; run `dvc repro"):
            check(folder)
