"""Neighbours in tables of word vectors, and files that hold them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.augmentation.word_vectors import from_embeddings, from_file, read_vectors
from distill.augmentation.words import whole_words
from distill.core.errors import UserError
from tests.words import WORDS, wordpiece

NONE = np.empty(0, np.int64)
GLOVE = "sun 1 0\nmoon 0.9 0.1\nsea 0 2\n, 1 0\nSand -0.1 1\nrock -1 0\n"


def vectors(folder: Path, text: str) -> Path:
    (folder / "vectors.txt").write_text(text, encoding="utf-8")
    return folder / "vectors.txt"


def test_the_nearest_words_of_a_file_come_by_cosine_without_the_word_itself(tmp_path):
    for header in ("", "6 2\n"):
        near = from_file(vectors(tmp_path, header + GLOVE))
        assert near.of([("sun", NONE), ("rock", NONE)], 2) == [["moon", "sea"], ["Sand", "sea"]]
        assert near.of([("sun", NONE)], 99) == [["moon", "sea", "Sand", "rock"]]
        # A word that the file lacks is looked up in lower case, or has no neighbours.
        assert near.of([("Moon", NONE), ("leaf", NONE)], 1) == [["sun"], []]


def test_words_may_have_spaces_and_repeat(tmp_path):
    words, table = read_vectors(vectors(tmp_path, "sun 1 0\nof sun 0 1\nsun 5 5\n"))
    assert (words, table.tolist()) == (("sun", "of sun", "sun"), [[1, 0], [0, 1], [5, 5]])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sun 1 0\nmoon 1\n", "line 2: expected a word and 2 numbers, got 'moon 1'"),
        ("sun 1 0\nmoon 1 x\n", "line 2: expected a word and 2 numbers, got 'moon 1 x'"),
        ("sun 1 0\nmoon 1 nan\n", "line 2: expected a word and 2 numbers, got 'moon 1 nan'"),
        ("sun 1 0\n\n", "line 2: expected a word and 2 numbers, got ''"),
        ("sun\n", "line 1: expected a word and some numbers, got 'sun'"),
        ("3 2\nsun 1 0\nmoon\n", "line 3: expected a word and 2 numbers, got 'moon'"),
        (", 1 0\n", "has no words; give"),
        ("", "has no words; give"),
    ],
)
def test_a_broken_line_is_named(tmp_path, text, complaint):
    path = vectors(tmp_path, text)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {complaint}')}.*\\Z"):
        from_file(path)


def test_bytes_that_are_no_text_and_a_missing_file_are_refused_in_one_line(tmp_path):
    path = tmp_path / "vectors.bin"
    path.write_bytes(b"3 2\n" + bytes(range(256)))
    with pytest.raises(UserError, match=r"line 2: expected a word"):
        from_file(path)
    with pytest.raises(UserError, match=r"nowhere.txt: cannot be read \(No such file"):
        from_file(tmp_path / "nowhere.txt")


def test_without_a_file_the_mean_of_a_words_pieces_finds_its_nearest_whole_words():
    tokenizer = wordpiece()
    table = torch.randn(len(tokenizer), 8)
    near = from_embeddings(table, whole_words(tokenizer, "here"))
    pieces = np.array(tokenizer.convert_tokens_to_ids(["swi", "##mm", "##ing"]))
    mean = table[pieces].mean(dim=0).numpy()
    words = {token: table[token].numpy() for token in whole_words(tokenizer, "here").words}
    closeness = {token: mean @ row / np.linalg.norm(row) for token, row in words.items()}
    expected = tokenizer.convert_ids_to_tokens(sorted(closeness, key=closeness.__getitem__, reverse=True)[:5])
    assert near.of([("swimming", pieces)], 5) == [expected]


def test_more_words_than_a_block_are_looked_up_alike(tmp_path):
    generator = np.random.default_rng(0)
    lines = [f"{word}{i} {' '.join(map(str, generator.normal(size=4).round(3)))}" for word in WORDS for i in range(10)]
    near = from_file(vectors(tmp_path, "\n".join(lines)))
    asked = [(line.split()[0], NONE) for line in lines]
    assert near.of(asked, 3) == [near.of([word], 3)[0] for word in asked]
