"""Runs that are done wait in the scratch folder for the others of their stage: a killed stage trains none of them again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.core.files import atomic_folder, read_json, to_json, write_text

RUN, MODEL = "run.json", "model"


def wait(place: Path, record: dict[str, Any], save: Callable[[Path], Any]) -> None:
    """Keep a run until all are done: its record, and what `save` writes of its model to `place`/MODEL. Whole or not at all."""
    with atomic_folder(place) as new:
        save(new / MODEL)
        write_text(new / RUN, to_json(record))


def record_of(place: Path) -> dict[str, Any] | None:
    """How a run that waits here went; None if none does."""
    return dict(read_json(place / RUN, "a run's record")) if (place / RUN).exists() else None
