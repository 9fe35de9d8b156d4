"""A data set with reworded copies: what is new in it, and what is not."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from distill.augmentation import dataset as augmentation
from distill.augmentation.chunks import Chunks
from distill.augmentation.dataset import read_texts, write_augmented
from distill.augmentation.model import open_augmenter
from distill.augmentation.rewording import Augmenter
from distill.data import Rows
from distill.errors import UserError
from distill.files import read_json
from distill.preparation import write_dataset
from distill.prepared import UNLABELLED, Dataset
from tests import tiny
from tests.words import masked_lm

SPLITS = {"train": 40, "validation": 12, "test": 12}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked language model of the tiny words."""
    tokenizer = tiny.masking_tokenizer()
    return tiny.save(masked_lm(vocabulary=len(tokenizer)), tmp_path_factory.mktemp("teachers") / "bert", tokenizer)


@pytest.fixture(scope="module")
def augmenter(teacher: Path) -> Augmenter:
    return open_augmenter(teacher, 10, copies=4, candidates=5, probability=0.4, seed=1)


def data(folder: Path, task: str = "sequence-classification") -> Dataset:
    return Dataset.open(tiny.prepare_task(folder / "prepared", task, sizes=tuple(SPLITS.values())))


def augmented(folder: Path, dataset: Dataset, augmenter: Augmenter, limit: int | None = None) -> Dataset:
    folder.mkdir()
    write_augmented(folder, dataset, augmenter, chunks_of(folder), limit)
    return Dataset.open(folder)


def chunks_of(folder: Path) -> Chunks:
    return Chunks(folder.with_name(f"{folder.name}-chunks"), "")


def pairs(folder: Path, **settings: object) -> Dataset:
    """A data set of pairs of texts."""
    rows = {}
    for seed, (split, count) in enumerate(SPLITS.items()):
        texts, labels = tiny.rows(count, seed)
        others, _ = tiny.rows(count, seed + 10)
        rows[split] = replace(tiny.split_rows(texts, labels), texts_pair=others)
    folder.mkdir()
    write_dataset(
        folder,
        rows,
        tiny.LABELS,
        tiny.masking_tokenizer(),
        **{"task": "sequence-classification", "metric": "accuracy", "max_length": 30, "near_duplicate": 0.8, **settings},
    )
    return Dataset.open(folder)


def test_rows_keep_their_place_and_label_and_copies_without_a_label_follow(tmp_path: Path, augmenter: Augmenter):
    dataset = data(tmp_path)
    before, after = dataset.rows("train"), augmented(tmp_path / "new", dataset, augmenter).rows("train")
    assert len(before) < len(after) <= len(before) * 5
    for part in ("ids", "labels"):
        np.testing.assert_array_equal(getattr(after, part)[: len(before)], getattr(before, part))
    np.testing.assert_array_equal(after.tokens[: len(before.tokens)], before.tokens)
    assert (after.labels[len(before) :] == UNLABELLED).all()
    kept = read_texts(Dataset.open(tmp_path / "new"))
    assert kept.texts[: len(before)] == read_texts(dataset).texts


def test_no_copy_is_like_a_row_of_any_split_or_another_copy(tmp_path: Path, augmenter: Augmenter):
    few = replace(augmenter, candidates=1, copies=9)
    dataset = data(tmp_path)
    after = augmented(tmp_path / "new", dataset, few)
    copies = [key.tobytes() for key in after.rows("train").ids[SPLITS["train"] :]]
    given = {key.tobytes() for split in SPLITS for key in dataset.rows(split).ids}
    assert len(set(copies)) == len(copies)
    assert given.isdisjoint(copies)
    counts = after.splits["train"]["counts"]
    assert counts["copies"] == len(copies)
    assert counts["dropped_copies"] == 40 * 9 - len(copies) > 0


def test_probability_0_gives_nothing_new(tmp_path: Path, augmenter: Augmenter):
    dataset = data(tmp_path)
    after = augmented(tmp_path / "new", dataset, replace(augmenter, probability=0.0))
    assert after.splits["train"]["counts"] == {"reworded_rows": 40, "copies": 0, "dropped_copies": 160}
    assert after.splits["train"]["fingerprint"] == dataset.splits["train"]["fingerprint"]


def test_everything_else_is_the_same_to_the_byte(tmp_path: Path, augmenter: Augmenter):
    dataset = data(tmp_path)
    after = augmented(tmp_path / "new", dataset, augmenter)
    files = [file.relative_to(dataset.folder) for file in dataset.folder.rglob("*") if file.is_file()]
    assert {file.relative_to(after.folder) for file in after.folder.rglob("*") if file.is_file()} == set(files)
    for file in files:
        if file.name not in ("train.arrow", "dataset.json"):
            assert (after.folder / file).read_bytes() == (dataset.folder / file).read_bytes()
            assert (after.folder / file).stat().st_ino != (dataset.folder / file).stat().st_ino
    changed = {
        name for name, value in read_json(after.folder / "dataset.json", "").items() if vars(dataset).get(name, value) != value
    }
    assert changed - {"labels"} == {"splits"}


def test_dataset_json_counts_what_is_there(tmp_path: Path, augmenter: Augmenter):
    after = augmented(tmp_path / "new", data(tmp_path), augmenter)
    rows, told = after.rows("train"), after.splits["train"]
    assert (told["rows"], told["tokens"]) == (len(rows), len(rows.tokens))
    assert told["transfer_rows"] == (rows.labels == UNLABELLED).sum() == told["counts"]["copies"]
    assert sum(told["rows_a_label"].values()) == 40


def test_two_runs_give_the_same_bytes_and_another_seed_gives_others(tmp_path: Path, augmenter: Augmenter):
    dataset = data(tmp_path)
    made = [
        augmented(tmp_path / str(i), dataset, replace(augmenter, seed=seed)).folder / "train.arrow"
        for i, seed in enumerate((1, 1, 2))
    ]
    assert made[0].read_bytes() == made[1].read_bytes() != made[2].read_bytes()


def test_what_was_reworded_before_a_stop_is_not_reworded_again(
    tmp_path: Path, augmenter: Augmenter, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(augmentation, "CHUNK", 16)
    dataset = data(tmp_path)
    whole = augmented(tmp_path / "whole", dataset, augmenter)
    asked: list[int] = []
    reword = Augmenter.reword

    def counted(own: Augmenter, texts: Sequence[str], *others: Any) -> list[list[str]]:
        asked.append(len(texts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return reword(own, texts, *others)

    monkeypatch.setattr(Augmenter, "reword", counted)
    (tmp_path / "new").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_augmented(tmp_path / "new", dataset, augmenter, chunks_of(tmp_path / "new"))
    shutil.rmtree(tmp_path / "new")
    after = augmented(tmp_path / "new", dataset, augmenter)
    assert asked == [16, 16, 16, 8]
    assert (after.folder / "train.arrow").read_bytes() == (whole.folder / "train.arrow").read_bytes()


def test_copies_stay_when_rows_are_added(tmp_path: Path, augmenter: Augmenter):
    texts, labels = tiny.rows(60, 5)
    ids = []
    for count in (60, 30):
        folder = tiny.prepare_rows(tmp_path / f"rows-{count}", tiny.masking_tokenizer(), texts[-count:], labels[-count:])
        ids.append({key.tobytes() for key in augmented(tmp_path / str(count), Dataset.open(folder), augmenter).rows("train").ids})
    assert len(ids[1] & ids[0]) > 0.9 * len(ids[1])


def test_a_limit_rewords_a_sample_and_keeps_all_rows(tmp_path: Path, augmenter: Augmenter):
    after = augmented(tmp_path / "new", data(tmp_path), augmenter, limit=7)
    counts = after.splits["train"]["counts"]
    assert counts["reworded_rows"] == 7
    assert counts["copies"] + counts["dropped_copies"] == 28
    assert after.splits["train"]["rows"] == 40 + counts["copies"]


def test_scores_are_missing_from_copies(tmp_path: Path, augmenter: Augmenter):
    labels = augmented(tmp_path / "new", data(tmp_path, "regression"), augmenter).rows("train").labels
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(labels), np.arange(len(labels)) >= 40)


def test_both_texts_of_a_pair_are_reworded(tmp_path: Path, augmenter: Augmenter):
    dataset = pairs(tmp_path / "pairs")
    after = augmented(tmp_path / "new", dataset, augmenter)
    given, made = read_texts(dataset), read_texts(after)
    assert made.texts_pair is not None
    assert given.texts_pair is not None
    for own, old in ((made.texts, given.texts), (made.texts_pair, given.texts_pair)):
        assert own[:40] == old
        assert set(own[40:]) - set(old)
    types = after.rows("train").token_types
    assert types is not None
    assert set(types[-3:].tolist()) == {1}


def test_ids_are_those_of_the_tokenizer_that_the_teacher_has(tmp_path: Path, augmenter: Augmenter):
    """Two data sets of the same rows, one for a student with other tokens: their copies have the same ids, by the same order."""
    words = tiny.tokenizer([*tiny.WORDS[::-1], "more"], mask_token="[MASK]")
    own = pairs(tmp_path / "own")
    other = pairs(tmp_path / "other", teacher_tokenizer=tiny.masking_tokenizer(), teacher_max_length=30)
    rows = {split: read_pairs(own, split) for split in SPLITS}
    folder = tmp_path / "foreign"
    folder.mkdir()
    settings = {"task": "sequence-classification", "metric": "accuracy", "max_length": 30, "near_duplicate": 0.8}
    write_dataset(folder, rows, tiny.LABELS, words, teacher_tokenizer=tiny.masking_tokenizer(), teacher_max_length=30, **settings)
    made = [augmented(tmp_path / f"new-{d.folder.name}", d, augmenter).rows("train") for d in (own, other, Dataset.open(folder))]
    for rows_made in made[1:]:
        np.testing.assert_array_equal(rows_made.ids, made[0].ids)
    assert (made[2].tokens != made[0].tokens).any()


def read_pairs(dataset: Dataset, split: str) -> Rows:
    table = pa.ipc.open_file(str(dataset.folder / f"{split}.arrow")).read_all()
    texts, others = (table.column(name).to_pylist() for name in ("text", "text_pair"))
    return Rows(texts, others, dataset.rows(split).labels, np.arange(len(texts)))


@pytest.mark.parametrize("task", ["token-classification", "question-answering", "masked-lm"])
def test_other_tasks_are_refused_by_name(tmp_path: Path, augmenter: Augmenter, task: str):
    with pytest.raises(UserError, match=f"is for {task}, expected sequence-classification or regression"):
        augmented(tmp_path / "new", data(tmp_path, task), augmenter)


def test_a_model_without_a_masked_lm_head_or_positions_enough_is_refused(tmp_path: Path, teacher: Path):
    how = {"copies": 1, "candidates": 1, "probability": 0.4, "seed": 1}
    with pytest.raises(UserError, match="takes 40 tokens, the data set's max_length is 64"):
        open_augmenter(teacher, 64, **how)
    headless = tiny.save(tiny.bert(), tmp_path / "headless", tiny.masking_tokenizer())
    with pytest.raises(UserError, match="has no masked-lm head"):
        open_augmenter(headless, 10, **how)


def test_vectors_of_a_file_take_the_place_of_the_models(tmp_path: Path, teacher: Path):
    (tmp_path / "vectors.txt").write_text("w1 1 0\nw2 1 1\n", encoding="utf-8")
    found = open_augmenter(teacher, 10, copies=1, candidates=1, probability=0.4, seed=1, vectors=tmp_path / "vectors.txt")
    assert found.neighbours.words == ("w1", "w2")
