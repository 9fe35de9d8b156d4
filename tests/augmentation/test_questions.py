"""Copies of questions: other questions of the same contexts, of which nobody says what is right."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from distill.augmentation.augment import write_augmented
from distill.augmentation.augmenter import Augmenter
from distill.augmentation.chunks import Chunks
from distill.augmentation.questions import AROUND, LONGEST_BLANK, cloze
from distill.data.columns import Column
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.rows import Rows
from distill.preparation.prepare import make_rows, write_dataset
from distill.preparation.windows import encode_questions
from tests import tiny

TASK = "question-answering"
COUNT = 30


def prepared(folder: Path, **how: object) -> Dataset:
    return Dataset.open(tiny.prepare_task(folder, TASK, sizes=(COUNT, 8, 8), **how))


def augmented(folder: Path, dataset: Dataset, augmenter: Augmenter, limit: int | None = None) -> Dataset:
    folder.mkdir()
    write_augmented(folder, dataset, augmenter, Chunks(folder.with_name(f"{folder.name}-chunks"), ""), limit)
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Contexts of several windows."""
    return prepared(tmp_path_factory.mktemp("data") / "asked", max_length=14, stride=2)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, augmenter: Augmenter) -> Dataset:
    return augmented(tmp_path_factory.mktemp("more") / "new", dataset, replace(augmenter, copies=6, probability=1.0))


def test_questions_and_windows_stay_and_those_of_copies_follow_without_a_label(dataset, more):
    before, after = dataset.rows("train"), more.rows("train")
    count, tokens = len(before), len(before.tokens)
    for part, end in (("ids", count), ("labels", count), ("examples", count), ("tokens", tokens), ("spans", tokens)):
        np.testing.assert_array_equal(getattr(after, part)[:end], getattr(before, part))
    assert more.examples("train").slice(0, COUNT).equals(dataset.examples("train"))
    assert (after.labels[count:] == UNLABELLED).all()
    assert after.examples[count:].min() == COUNT
    assert (np.diff(after.examples) >= 0).all()
    assert set(np.diff(after.examples)) == {0, 1}


def test_a_copy_asks_something_else_of_its_context(dataset, more):
    old, new = (each.examples("train").to_pylist() for each in (dataset, more))
    contexts, asked, kinds = {row["id"]: row["context"] for row in old}, {row["question"] for row in old}, set()
    assert len(new) > 3 * COUNT
    for row in new[COUNT:]:
        origin, _, copy = row["id"].rpartition("-")
        assert row["context"] == contexts[origin]
        assert row["answers"] == []
        kinds.add(kind := (int(copy) - 1) % 3)
        if kind == 2:
            assert "[MASK]" in row["question"]
            before, after = row["question"].split("[MASK]")
            assert re.search(rf"{re.escape(before)}\w+( \w+){{0,2}}{re.escape(after)}", row["context"])
        else:
            assert "[MASK]" not in row["question"]
            assert kind == 0 or row["question"] in asked
    assert kinds == {0, 1, 2}
    assert len({row["id"] for row in new}) == len(new)


def test_windows_are_those_that_prepare_makes_and_all_is_counted(dataset, more):
    table, rows, told = more.examples("train"), more.rows("train"), more.splits["train"]
    assert dataset.stride == more.stride == 2
    asked = table.select(["question", "context"]).to_pydict()
    made = Rows(asked["question"], asked["context"], Column.nothing(len(table)), np.arange(len(table)))
    expected = encode_questions(tiny.masking_tokenizer(), made, 14, 2)
    np.testing.assert_array_equal(np.concatenate(expected.columns["input_ids"]), rows.tokens)
    np.testing.assert_array_equal(np.concatenate(expected.columns["spans"]), rows.spans)
    assert expected.columns["example"] == rows.examples.tolist()
    assert (told["rows"], told["tokens"]) == (len(rows), len(rows.tokens))
    assert told["transfer_rows"] == len(rows) - len(dataset.rows("train"))
    counts, before = told["counts"], dataset.splits["train"]["counts"]
    assert counts["questions"] == len(table) == COUNT + counts["copies"]
    assert counts["copies"] + counts["dropped_copies"] == 6 * COUNT
    assert (counts["unanswerable"], counts["lost_answers"]) == (before["unanswerable"], before["lost_answers"])
    assert told["rows_a_label"] == dataset.splits["train"]["rows_a_label"]


def test_no_copy_is_a_question_of_any_split_and_a_limit_counts_questions(tmp_path, dataset, augmenter):
    after = augmented(tmp_path / "new", dataset, replace(augmenter, copies=9), limit=7)
    asked = [(row["question"], row["context"]) for row in after.examples("train").to_pylist()]
    assert len(set(asked)) == len(asked)
    counts = after.splits["train"]["counts"]
    assert counts["reworded_rows"] == 7
    assert counts["copies"] == len(asked) - COUNT
    assert counts["copies"] + counts["dropped_copies"] == 63


def test_two_runs_give_the_same_bytes_and_another_seed_gives_others(tmp_path, dataset, more, augmenter):
    often = replace(augmenter, copies=6, probability=1.0)
    again, other = (augmented(tmp_path / str(seed), dataset, replace(often, seed=seed)) for seed in (often.seed, often.seed + 1))
    for name in ("train.arrow", "train.examples.arrow"):
        assert (again.folder / name).read_bytes() == (more.folder / name).read_bytes()
        assert (other.folder / name).read_bytes() != (more.folder / name).read_bytes()
    assert (again.folder / "test.examples.arrow").read_bytes() == (dataset.folder / "test.examples.arrow").read_bytes()


def test_where_there_is_one_context_there_are_no_questions_of_others(tmp_path, augmenter):
    context = " ".join(tiny.WORDS[:20])
    rows = [{"question": word, "context": context, "answers": {"text": ["w3"], "answer_start": [9]}} for word in ("w30", "w31")]
    tables = {"train": pa.Table.from_pylist(rows), "validation": tiny.raw(TASK, 4, 1), "test": tiny.raw(TASK, 4, 2)}
    entry = tiny.settings(TASK, max_length=30)
    (tmp_path / "one").mkdir()
    write_dataset(tmp_path / "one", *make_rows(tables, "tiny", entry), entry, tiny.masking_tokenizer())
    dataset = Dataset.open(tmp_path / "one")
    after = augmented(tmp_path / "new", dataset, replace(augmenter, max_length=30, copies=3, probability=0.0))
    (made,) = [[row["question"] for row in after.examples("train").to_pylist()][2:]]
    assert len(made) == 2
    assert all("[MASK]" in question for question in made)


@pytest.mark.parametrize("seed", range(20))
def test_a_cloze_is_a_sentence_with_a_blank(seed):
    long, short = " ".join(f"w{i}" for i in range(60)), "It rained all day long in spring!"
    found = cloze(f"Too short. {short} {long}.\nNo.", "_", np.random.default_rng(seed))
    before, after = (part.split() for part in found.split("_"))
    assert max(len(before), len(after)) <= AROUND
    words = (short if "rained" in found or "spring" in found else f"{long}.").split()
    start = words.index(before[0]) if before else 0
    assert words[start : start + len(before)] == before
    end = words.index(after[0]) if after else len(words)
    assert words[end : end + len(after)] == after
    assert 1 <= end - start - len(before) <= LONGEST_BLANK
    assert cloze("Too short. No.", "_", np.random.default_rng(seed)) is None
