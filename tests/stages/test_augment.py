"""`python -m stages.augment NAME`: copies beside the rows, or one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.core.files import read_json
from distill.data.dataset import Dataset
from stages.augment import main
from tests import tiny
from tests.command_line import contents, invoke, refusal
from tests.words import masked_lm

PARAMS = """
defaults: {augmentations: {copies: 3, candidates: 5}}
augmentations:
  more: {of: rows, teacher: bert}
  most: {of: more, teacher: bert, copies: 1, limit: 5}
  broken: {of: rows, teacher: bert, vectors: vectors.txt}
  near: {of: rows, teacher: classifier}
  words: {of: words, teacher: bert}
  nothing: {of: no_rows, teacher: bert}
"""
BAD = {
    "broken": "vectors.txt: line 2: expected a word and 2 numbers, got 'w2 1'; give a text file of word vectors",
    "words": "data/prepared/words: is for masked-lm, expected one of: sequence-classification, multi-label, regression, "
    "token-classification, question-answering, sentence-embedding; the text is its own label: give more text",
    "nothing": "data/prepared/no_rows/dataset.json: is missing",
}


@pytest.fixture
def project(in_project: Callable[[str], Path]) -> Path:
    """A project with data sets, a masked language model and a classifier."""
    folder = in_project(PARAMS)
    tokenizer = tiny.masking_tokenizer()
    tiny.prepare_task(folder / "data/prepared/rows", "sequence-classification", sizes=(20, 6, 6))
    tiny.prepare_task(folder / "data/prepared/words", "masked-lm", sizes=(20, 6, 6))
    tiny.save(masked_lm(vocabulary=len(tokenizer)), folder / "data/teachers/bert", tokenizer)
    tiny.save(tiny.bert(), folder / "data/teachers/classifier", tokenizer)
    (folder / "vectors.txt").write_text("w1 1 0\nw2 1\n", encoding="utf-8")
    return folder


def test_an_augmentation_is_a_data_set_and_can_be_augmented_again(project: Path):
    for name in ("more", "near", "most"):
        done = invoke(main, name)
        assert done.returncode == 0, done.stderr
    assert not [*(project / "data/.scratch/augmentations").iterdir()], "chunks that nobody needs any more"
    rows, more, most = (Dataset.open(project / "data/prepared" / name).splits["train"] for name in ("rows", "more", "most"))
    assert more["counts"]["reworded_rows"] == rows["rows"] == 20
    assert more["counts"]["copies"] + more["counts"]["dropped_copies"] == 60
    assert most["counts"]["reworded_rows"] == 5
    assert most["rows"] - more["rows"] == most["counts"]["copies"]
    record = read_json(project / "data/runs/augmentations/more.json", "")
    assert record["counts"] == more["counts"]
    assert "copies of 5 rows" in done.stderr


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_augmented_is_one_line_and_leaves_nothing(project: Path, name: str):
    before = contents(project)
    assert refusal(invoke(main, name)).startswith(BAD[name])
    assert contents(project) == before
