"""Reworded texts, kept chunk by chunk until all are there, so that an augmentation that was stopped goes on."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distill.data import Rows
from distill.files import read_json, sha256, to_json, write_text
from distill.params.augmentations import AugmentationSettings

Columns = list[list[str]]
"""The copies of all rows, those of one row beside one another: of their texts, and of the second texts of pairs."""


@dataclass(frozen=True)
class Chunks:
    """Where finished chunks wait for the others."""

    folder: Path
    key: str
    """What made them, so that what others made is never taken."""

    def finish(self, rows: Rows, keys: list[int], reword: Callable[[], Columns]) -> Columns:
        """What was kept of these rows; else reword them and keep that."""
        asked = json.dumps([self.key, keys, rows.texts, rows.texts_pair])
        path = self.folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
        if path.exists():
            kept: Columns = read_json(path, "reworded rows")
            return kept
        made = reword()
        write_text(path, to_json(made))
        return made


def chunks_key(masked_lm: Path, settings: AugmentationSettings, max_length: int) -> str:
    """A hash of all that decides what copies of a text there are: settings, model and tokenizer, word vectors.

    Args:
        masked_lm: data/teachers/NAME.
        settings: The entry of params.yaml.
        max_length: Tokens of a text that are looked at.
    """
    files = sorted(file for file in masked_lm.iterdir() if file.is_file())
    files += [Path(settings.vectors)] if settings.vectors is not None else []
    parts = [settings.model_dump_json(), str(max_length), *(sha256(file) for file in files)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()
