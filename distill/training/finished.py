"""Runs that have ended stay in their scratch folders until their stage has written all: a killed stage trains none again."""

import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_model
from transformers import PreTrainedModel

from distill.core.files import atomic_folder, read_json, to_json, write_text

FINISHED, RUN, WEIGHTS = "finished", "run.json", "model.safetensors"


def remember(scratch: Path, model: PreTrainedModel, record: dict[str, Any]) -> None:
    """Write down how a run went, and the weights that it ended with, whole or not at all; its checkpoints are removed."""
    with atomic_folder(scratch / FINISHED) as new:
        save_model(model, str(new / WEIGHTS))
        write_text(new / RUN, to_json(record))
    for checkpoint in scratch.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)


def recall(scratch: Path, model: PreTrainedModel) -> dict[str, Any] | None:
    """How the run went that ended here, whose weights the model gets; None if none did."""
    if not (scratch / FINISHED / RUN).exists():
        return None
    load_model(model, scratch / FINISHED / WEIGHTS)
    return dict(read_json(scratch / FINISHED / RUN, "a run's record"))
