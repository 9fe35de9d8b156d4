"""Copies of tagged words: one word by one word, each within its tag, and tags where they were."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from distill.augmentation.augment import write_augmented
from distill.augmentation.augmenter import Augmenter
from distill.augmentation.chunks import Chunks
from distill.data.dataset import UNLABELLED, Dataset
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny

COUNT = 40
TASK = "token-classification"


def prepared(folder: Path, table: pa.Table) -> Dataset:
    tables = {"train": table, "validation": tiny.raw(TASK, 12, 1), "test": tiny.raw(TASK, 12, 2)}
    entry = tiny.settings(TASK, max_length=12)
    folder.mkdir()
    write_dataset(folder, *make_rows(tables, "tiny", entry), entry, tiny.masking_tokenizer())
    return Dataset.open(folder)


def augmented(folder: Path, dataset: Dataset, augmenter: Augmenter) -> Dataset:
    folder.mkdir()
    write_augmented(folder, dataset, augmenter, Chunks(folder.with_name(f"{folder.name}-chunks"), ""))
    return Dataset.open(folder)


def tags_of(dataset: Dataset, row: int) -> list[str]:
    rows = dataset.rows("train")
    labels = rows.labels[rows.offsets[row] : rows.offsets[row + 1]]
    return [dataset.labels[tag] for tag in labels if tag != UNLABELLED]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Every fourth row has no tags."""
    table = tiny.raw(TASK, COUNT, 0).to_pylist()
    some = [{**row, "tags": None} if i % 4 == 3 else row for i, row in enumerate(table)]
    return prepared(tmp_path_factory.mktemp("data") / "tags", pa.Table.from_pylist(some))


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, augmenter: Augmenter) -> Dataset:
    return augmented(tmp_path_factory.mktemp("more") / "new", dataset, replace(augmenter, probability=0.7))


def test_rows_stay_as_they_are_and_copies_follow(dataset, more):
    before, after = dataset.rows("train"), more.rows("train")
    count, tokens = len(before), len(before.tokens)
    for part, end in (("ids", count), ("tokens", tokens), ("labels", tokens)):
        np.testing.assert_array_equal(getattr(after, part)[:end], getattr(before, part))
    assert more.texts("train")["words"][:count] == dataset.texts("train")["words"]
    assert 2 * count < len(after) <= 5 * count
    assert len({key.tobytes() for key in after.ids}) == len(after)


def test_each_copy_has_as_many_words_as_a_row_with_the_same_tags_and_each_word_a_tag_that_it_had(dataset, more):
    words, known, shapes = more.texts("train")["words"], {}, Counter()
    for row in range(COUNT):
        tags = tags_of(dataset, row)
        shapes[tuple(tags), len(words[row])] += 1
        for word, tag in zip(words[row], tags, strict=bool(tags)):
            known.setdefault(tag, set()).add(word)
    entities = {word for tag, own in known.items() if tag != "O" for word in own}
    for row in range(COUNT, len(words)):
        tags = tags_of(more, row)
        assert (tuple(tags), len(words[row])) in shapes
        for word, tag in zip(words[row], tags, strict=bool(tags)):
            assert word not in entities if tag == "O" else word in known[tag]


def test_transfer_rows_have_copies_without_tags_and_all_is_counted(dataset, more):
    rows, told = more.rows("train"), more.splits["train"]
    tagged = [bool(tags_of(more, row)) for row in range(len(rows))]
    assert tagged[:COUNT] == [row % 4 < 3 for row in range(COUNT)]
    assert told["transfer_rows"] == len(rows) - sum(tagged) > COUNT // 4
    assert (told["rows"], told["tokens"]) == (len(rows), len(rows.tokens))
    assert told["counts"] == {
        "lost_tags": 0,
        "reworded_rows": COUNT,
        "copies": len(rows) - COUNT,
        "dropped_copies": 5 * COUNT - len(rows),
    }
    found = np.bincount(rows.labels[rows.labels != UNLABELLED], minlength=len(more.labels)).tolist()
    assert told["rows_a_label"] == dict(zip(more.labels, found, strict=True))


def test_two_runs_give_the_same_bytes_and_a_row_its_copies_whatever_stands_before_it(tmp_path, dataset, more, augmenter):
    often = replace(augmenter, probability=0.7)
    again = augmented(tmp_path / "again", dataset, often)
    assert (again.folder / "train.arrow").read_bytes() == (more.folder / "train.arrow").read_bytes()
    other = augmented(tmp_path / "other", dataset, replace(often, seed=2))
    assert (other.folder / "train.arrow").read_bytes() != (more.folder / "train.arrow").read_bytes()


def test_words_that_the_masked_language_model_does_not_find_whole_are_replaced_within_entities_alone(tmp_path, augmenter):
    """`7` and `2nd-w3` are no words of its tokenizer's; outside of entities they stay."""
    rows = [{"tokens": ["w20", "7", "2nd-w3", word], "tags": ["O", "O", "O", "B-plant"]} for word in ("10:30", "w11", "u-w1")]
    rows += [{"tokens": ["w0", "w5"], "tags": ["B-animal", "I-animal"]}]
    dataset = prepared(tmp_path / "odd", pa.Table.from_pylist(rows))
    after = augmented(tmp_path / "new", dataset, replace(augmenter, probability=1.0, copies=30))
    words = [row for row in after.texts("train")["words"][4:] if len(row) == 4]
    assert len(words) > 5
    assert {tuple(row[1:3]) for row in words} == {("7", "2nd-w3")}
    assert {row[3] for row in words} == {"10:30", "w11", "u-w1"}
    assert {row[0] for row in words} <= {*tiny.WORDS} - {"w20", "w11", "w0", "w5"}, (
        "words of the masked language model, none of an entity"
    )
