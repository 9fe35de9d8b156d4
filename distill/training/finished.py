"""Runs that have ended stay in their scratch folders until their stage has written all: a killed stage trains none again."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from transformers import PreTrainedModel

from distill.core.files import atomic_folder, read_json, to_json, write_text

RUN, WEIGHTS = "run.json", "model.safetensors"


def remember(place: Path, model: PreTrainedModel, record: dict[str, Any]) -> None:
    """Write down how a run went, and the weights that it ended with. Whole or not at all."""
    with atomic_folder(place) as new:
        save_model(model, str(new / WEIGHTS))
        write_text(new / RUN, to_json(record))


def recall(place: Path, model: PreTrainedModel) -> dict[str, Any] | None:
    """How the run went that ended here, whose weights the model gets; None if none did."""
    if not (place / RUN).exists():
        return None
    load_model(model, place / WEIGHTS)
    return dict(read_json(place / RUN, "a run's record"))
