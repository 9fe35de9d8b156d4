"""A data set with reworded copies: what is new in it, and what is not."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from distill.augmentation import texts as augmentation
from distill.augmentation.augment import write_augmented
from distill.augmentation.augmenter import Augmenter, open_augmenter
from distill.augmentation.chunks import Chunks, chunks_key
from distill.augmentation.words import locate, whole_words
from distill.core.errors import UserError
from distill.data.dataset import UNLABELLED, Dataset
from distill.data.rows import Rows
from distill.models.sentence_encoder import SentenceEncoder
from distill.params.task_specs import NOT_REWORDED
from distill.preparation.prepare import make_rows, write_dataset
from tests import tiny
from tests.augmentation.conftest import SETTINGS
from tests.command_line import contents

SPLITS = {"train": 40, "validation": 12, "test": 12}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Single texts with classes: read only."""
    return data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, augmenter: Augmenter) -> Dataset:
    """The same with copies: read only."""
    return augmented(tmp_path_factory.mktemp("more") / "new", dataset, augmenter)


def data(folder: Path, task: str = "sequence-classification") -> Dataset:
    return Dataset.open(tiny.prepare_task(folder / "prepared", task, sizes=tuple(SPLITS.values())))


def augmented(folder: Path, dataset: Dataset, augmenter: Augmenter, limit: int | None = None) -> Dataset:
    folder.mkdir()
    write_augmented(folder, dataset, augmenter, chunks_of(folder), limit)
    return Dataset.open(folder)


def chunks_of(folder: Path) -> Chunks:
    return Chunks(folder.with_name(f"{folder.name}-chunks"), "")


def pairs(folder: Path, *tokenizers: PreTrainedTokenizerFast) -> Dataset:
    """A data set of pairs of texts."""
    rows = {}
    for seed, (split, count) in enumerate(SPLITS.items()):
        texts, labels = tiny.rows(count, seed)
        rows[split] = replace(tiny.split_rows(texts, labels), texts_pair=tiny.rows(count, seed + 10)[0])
    folder.mkdir()
    write_dataset(folder, rows, tiny.LABELS, tiny.settings(max_length=30), *tokenizers)
    return Dataset.open(folder)


def test_rows_keep_their_place_and_label_copies_without_a_label_follow_and_all_is_counted(dataset, more):
    before, after, told = dataset.rows("train"), more.rows("train"), more.splits["train"]
    assert len(before) < len(after) <= len(before) * 5
    for part in ("ids", "labels"):
        np.testing.assert_array_equal(getattr(after, part)[: len(before)], getattr(before, part))
    np.testing.assert_array_equal(after.tokens[: len(before.tokens)], before.tokens)
    assert (after.labels[len(before) :] == UNLABELLED).all()
    assert more.texts("train")["text"][: len(before)] == dataset.texts("train")["text"]
    assert (told["rows"], told["tokens"]) == (len(after), len(after.tokens))
    assert told["transfer_rows"] == (after.labels == UNLABELLED).sum() == told["counts"]["copies"]
    assert sum(told["rows_a_label"].values()) == 40


def test_no_copy_is_like_a_row_of_any_split_or_another_copy(tmp_path, dataset, augmenter):
    after = augmented(tmp_path / "new", dataset, replace(augmenter, candidates=1, copies=9))
    copies = [key.tobytes() for key in after.rows("train").ids[SPLITS["train"] :]]
    given = {key.tobytes() for split in SPLITS for key in dataset.rows(split).ids}
    assert len(set(copies)) == len(copies)
    assert given.isdisjoint(copies)
    counts = after.splits["train"]["counts"]
    assert counts["copies"] == len(copies)
    assert counts["dropped_copies"] == 40 * 9 - len(copies) > 0


def test_probability_0_gives_nothing_new_and_a_limit_rewords_a_sample_and_keeps_all_rows(tmp_path, dataset, augmenter):
    after = augmented(tmp_path / "new", dataset, replace(augmenter, probability=0.0))
    assert after.splits["train"]["counts"] == {"reworded_rows": 40, "copies": 0, "dropped_copies": 160}
    assert after.splits["train"]["fingerprint"] == dataset.splits["train"]["fingerprint"]
    train = augmented(tmp_path / "limited", dataset, augmenter, limit=7).splits["train"]
    counts = train["counts"]
    assert (counts["reworded_rows"], counts["copies"] + counts["dropped_copies"]) == (7, 28)
    assert train["rows"] == 40 + counts["copies"]


def test_everything_else_is_the_same_to_the_byte_and_no_link(dataset, more):
    before, after = contents(dataset.folder), contents(more.folder)
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} == {"train.arrow", "dataset.json"}
    assert all((more.folder / name).stat().st_ino != (dataset.folder / name).stat().st_ino for name in before)
    old, new = (json.loads(found["dataset.json"]) for found in (before, after))
    assert {name for name in new if new[name] != old.get(name)} == {"splits"}


def test_two_runs_give_the_same_bytes_and_another_seed_gives_others(tmp_path, dataset, more, augmenter):
    again, other = (augmented(tmp_path / str(seed), dataset, replace(augmenter, seed=seed)) for seed in (1, 2))
    assert contents(again.folder) == contents(more.folder)
    assert (other.folder / "train.arrow").read_bytes() != (more.folder / "train.arrow").read_bytes()


def test_what_was_reworded_before_a_stop_is_not_reworded_again(tmp_path, dataset, augmenter, monkeypatch):
    monkeypatch.setattr(augmentation, "CHUNK", 16)
    whole = augmented(tmp_path / "whole", dataset, augmenter)
    asked: list[int] = []
    reword = Augmenter.reword

    def counted(self: Augmenter, texts: Sequence[str], *others: Any) -> list[list[str]]:
        asked.append(len(texts))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return reword(self, texts, *others)

    monkeypatch.setattr(Augmenter, "reword", counted)
    (tmp_path / "new").mkdir()
    with pytest.raises(KeyboardInterrupt):
        write_augmented(tmp_path / "new", dataset, augmenter, chunks_of(tmp_path / "new"))
    shutil.rmtree(tmp_path / "new")
    after = augmented(tmp_path / "new", dataset, augmenter)
    assert asked == [16, 16, 16, 8]
    assert (after.folder / "train.arrow").read_bytes() == (whole.folder / "train.arrow").read_bytes()


def test_copies_stay_when_rows_are_added(tmp_path, augmenter):
    texts, labels = tiny.rows(60, 5)
    ids = []
    for count in (60, 30):
        folder = tiny.prepare_rows(tmp_path / f"rows-{count}", tiny.masking_tokenizer(), texts[-count:], labels[-count:])
        ids.append({key.tobytes() for key in augmented(tmp_path / str(count), Dataset.open(folder), augmenter).rows("train").ids})
    assert len(ids[1] & ids[0]) > 0.9 * len(ids[1])


def test_sentences_are_reworded_each_by_itself(tmp_path, augmenter):
    before = data(tmp_path, tiny.EMBEDDING)
    after = augmented(tmp_path / "new", before, augmenter)
    assert len(after.rows("train")) > len(before.rows("train")) > 0
    assert after.rows("test").examples.tolist() == before.rows("test").examples.tolist()


@pytest.mark.parametrize(
    "task", ["sequence-classification", "multi-label", "regression", "token-classification", "sentence-embedding"]
)
def test_rows_keep_their_own_ids_and_copies_have_these_with_a_number(tmp_path, augmenter, task):
    tables = {
        split: tiny.raw(task, count, seed).append_column("name", pa.array([f"{split}-{i}" for i in range(count)]))
        for seed, (split, count) in enumerate(SPLITS.items())
    }
    entry = tiny.settings(task, columns={"id": "name", **({"text_pair": "text_pair"} if task == "sentence-embedding" else {})})
    (tmp_path / "prepared").mkdir()
    write_dataset(tmp_path / "prepared", *make_rows(tables, "tiny", entry), entry, tiny.masking_tokenizer())
    dataset = Dataset.open(tmp_path / "prepared")
    more = augmented(tmp_path / "new", dataset, augmenter)
    given, found = dataset.own_ids("train"), more.own_ids("train")
    assert found[: len(given)] == given
    assert len(found) == len(more.rows("train")) > len(given)
    assert {name.rpartition("-")[0] for name in found[len(given) :]} <= {*given}
    assert {name.rpartition("-")[2] for name in found[len(given) :]} == {"1", "2", "3", "4"}
    assert more.own_ids("test") == dataset.own_ids("test")


def test_scores_are_missing_from_copies(tmp_path, augmenter):
    labels = augmented(tmp_path / "new", data(tmp_path, "regression"), augmenter).rows("train").labels
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(labels), np.arange(len(labels)) >= 40)


def test_both_texts_of_a_pair_are_reworded_and_ids_are_those_of_the_tokenizer_that_the_teacher_has(tmp_path, augmenter):
    """Data sets of the same rows, one for a student with other tokens: their copies have the same ids, by the same order."""
    masking, words = tiny.masking_tokenizer(), tiny.tokenizer([*tiny.WORDS[::-1], "more"], mask_token="[MASK]")
    dataset = pairs(tmp_path / "teachers", masking)
    foreign = [pairs(tmp_path / f"{i}", each, masking) for i, each in enumerate((masking, words))]
    after = augmented(tmp_path / "new", dataset, augmenter)
    given, made = dataset.texts("train"), after.texts("train")
    for new, old in ((made[name], given[name]) for name in ("text", "text_pair")):
        assert new[:40] == old
        assert set(new[40:]) - set(old)
    rows = after.rows("train")
    assert set(rows.token_types[-3:].tolist()) == {1}
    others = [augmented(tmp_path / f"new-{other.folder.name}", other, augmenter).rows("train") for other in foreign]
    for other in others:
        np.testing.assert_array_equal(other.ids, rows.ids)
    assert (others[1].tokens != rows.tokens).any()


@pytest.mark.parametrize("task", ["ranking", "masked-lm"])
def test_other_tasks_are_refused_by_name(tmp_path, augmenter, task):
    with pytest.raises(UserError, match=f"is for {task}, expected one of: sequence-classification, .*; {NOT_REWORDED[task]}"):
        augmented(tmp_path / "new", data(tmp_path, task), augmenter)


def test_a_model_of_too_few_positions_is_refused_and_vectors_of_a_file_taken(tmp_path, teacher):
    with pytest.raises(UserError, match="takes 40 tokens, the data set's max_length is 64"):
        open_augmenter(teacher, 64, SETTINGS)
    (tmp_path / "vectors.txt").write_text("w1 1 0\nw2 1 1\n", encoding="utf-8")
    found = open_augmenter(teacher, 10, SETTINGS.model_copy(update={"vectors": str(tmp_path / "vectors.txt")}))
    assert found.neighbours.words == ("w1", "w2")


@pytest.mark.parametrize(
    "make", [tiny.bert, lambda: tiny.family("bert", head="CausalLM"), lambda: SentenceEncoder(tiny.bert().config)]
)
def test_of_a_teacher_without_a_masked_lm_head_all_words_find_neighbours_among_its_input_embeddings(tmp_path, make):
    model = make()
    found = open_augmenter(tiny.save(model, tmp_path / "teacher", tiny.masking_tokenizer()), 64, SETTINGS)
    assert found.refiller is None
    (located,) = locate(found.tokenizer, ["w1 w2 w3"], 64)
    asked = [(located.spelling(i), located.pieces(i)) for i in range(3)]
    near = dict(zip(["w1", "w2", "w3"], found.neighbours.of(asked, SETTINGS.candidates), strict=True))
    (copies,) = replace(found, copies=300, probability=1.0).reword(["w1 w2 w3"], [7])
    assert [set(words) for words in zip(*(copy.split() for copy in copies), strict=True)] == [set(near[w]) for w in near]
    table = functional.normalize(model.get_input_embeddings().weight.detach(), dim=1)
    nearest = {
        word: float(table[row] @ table[int(located.pieces(0)[0])])
        for row, word in whole_words(found.tokenizer, "here").words.items()
    }
    assert near["w1"] == sorted((word for word in nearest if word != "w1"), key=nearest.get, reverse=True)[: SETTINGS.candidates]


def rows(*texts: str, pairs: list[str] | None = None) -> Rows:
    return Rows(list(texts), pairs, np.zeros(len(texts), np.int64), np.arange(len(texts)))


def never() -> list[list[str]]:
    raise AssertionError("reworded again")


def test_finished_rows_are_taken_as_they_are_and_not_those_of_another_model_or_of_other_rows(tmp_path):
    made = [["a fine dày", "a good day"], ["the sun", "a sun"]]
    asked = rows("a nice day", pairs=["the star"])
    assert Chunks(tmp_path, "key").finish(asked, [7], lambda: made) == made
    assert Chunks(tmp_path, "key").finish(asked, [7], never) == made
    Chunks(tmp_path, "key").finish(rows("a"), [1], lambda: [["old"]])
    others = [("other", rows("a"), [1]), ("key", rows("b"), [1]), ("key", rows("a"), [2]), ("key", rows("a", pairs=["b"]), [1])]
    for key, texts, keys in others:
        assert Chunks(tmp_path, key).finish(texts, keys, lambda: [["new"]]) == [["new"]]


def test_a_key_tells_settings_length_model_tokenizer_and_vectors_apart(tmp_path):
    model, vectors = tmp_path / "bert", tmp_path / "vectors.txt"
    model.mkdir()
    files = (model / "model.safetensors", model / "config.json", model / "tokenizer.json", vectors)
    for file in files:
        file.write_text("1", encoding="utf-8")
    near = SETTINGS.model_copy(update={"vectors": str(vectors)})
    seen = {
        chunks_key(model, SETTINGS, 64),
        chunks_key(model, SETTINGS, 32),
        chunks_key(model, SETTINGS.model_copy(update={"seed": 2}), 64),
        chunks_key(model, near, 64),
    }
    for file in files:
        file.write_text("2", encoding="utf-8")
        seen.add(chunks_key(model, near, 64))
    assert len(seen) == 8
    assert chunks_key(model, near, 64) in seen
