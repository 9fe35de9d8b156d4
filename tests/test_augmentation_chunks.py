"""Chunks of reworded rows: taken again by what made them, and by nothing else."""

from pathlib import Path

import numpy as np
import pytest

from distill.augmentation.chunks import Chunks, chunks_key
from distill.data import Rows
from distill.params.augmentations import AugmentationSettings

SETTINGS = AugmentationSettings(of="news", masked_lm="corpus")


def rows(*texts: str, pairs: list[str] | None = None) -> Rows:
    return Rows(list(texts), pairs, np.zeros(len(texts), np.int64), np.arange(len(texts)))


def never() -> list[list[str]]:
    raise AssertionError("reworded again")


def test_finished_rows_are_taken_as_they_are(tmp_path: Path) -> None:
    made = [["a fine dày", "a good day"], ["the sun", "a sun"]]
    asked = rows("a nice day", pairs=["the star"])
    assert Chunks(tmp_path, "key").finish(asked, [7], lambda: made) == made
    assert Chunks(tmp_path, "key").finish(asked, [7], never) == made


@pytest.mark.parametrize(
    ("key", "texts", "keys"),
    [("other", rows("a"), [1]), ("key", rows("b"), [1]), ("key", rows("a"), [2]), ("key", rows("a", pairs=["b"]), [1])],
)
def test_what_another_model_or_other_rows_gave_is_not_taken(tmp_path: Path, key: str, texts: Rows, keys: list[int]) -> None:
    Chunks(tmp_path, "key").finish(rows("a"), [1], lambda: [["old"]])
    assert Chunks(tmp_path, key).finish(texts, keys, lambda: [["new"]]) == [["new"]]


def test_a_key_tells_settings_length_model_tokenizer_and_vectors_apart(tmp_path: Path) -> None:
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
