"""What a run that was stopped has finished, so that the next one goes on."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.core.files import read_json, sha256, to_json, write_text
from distill.core.locations import local_folder
from distill.data.rows import Rows
from distill.params.augmentations import AugmentationSettings


@dataclass(frozen=True)
class Chunks:
    """Where finished chunks wait for the others."""

    folder: Path
    key: str
    """What made them, so that what others made is never taken."""

    def finish(self, rows: Rows, keys: list[int], reword: Callable[[], list[Any]], drawn_from: str = "") -> list[Any]:
        """What was kept of these rows; else reword them and keep that, JSON; `drawn_from` tells what else copies are made of."""
        pairs = None if rows.texts_pair is None else rows.texts_pair.tolist()
        asked = json.dumps([self.key, keys, rows.texts.tolist(), pairs, *([drawn_from] if drawn_from else [])])
        path = self.folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"
        if path.exists():
            kept: list[Any] = read_json(path, "reworded rows")
            return kept
        made = reword()
        write_text(path, to_json(made))
        return made


def chunks_key(teacher: Path, settings: AugmentationSettings, max_length: int) -> str:
    """A hash of all that decides what copies of a text there are: settings, model (data/teachers/NAME) and word vectors."""
    files = sorted(file for file in teacher.iterdir() if file.is_file())
    vectors = local_folder(settings.vectors, None)
    files += [] if vectors is None else [vectors]
    parts = [settings.model_dump_json(), str(max_length), *(sha256(file) for file in files)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()
