"""The shape of a teacher, from the config.json of its checkpoint alone: no weights, no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.core.errors import UserError
from distill.core.locations import from_hub, local_folder
from distill.core.settings import Checkpoint

SPELLINGS = {
    "layers": ("num_hidden_layers", "n_layers", "n_layer", "num_layers"),
    "width": ("hidden_size", "dim", "d_model", "n_embd"),
    "heads": ("num_attention_heads", "n_heads", "n_head"),
}
"""What the configs of transformers call it."""


@dataclass(frozen=True)
class Shape:
    """What layer numbers and sizes depend on."""

    layers: int
    width: int
    heads: int


def local_config(checkpoint: Checkpoint) -> Path | None:
    """The config.json of a checkpoint, if it is on this machine: in its folder, or in the hub's cache."""
    try:
        folder = local_folder(checkpoint.path, checkpoint.package)
    except UserError:
        return None
    if folder is not None:
        return folder / "config.json" if (folder / "config.json").exists() else None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(str(checkpoint.hub), "config.json", revision=checkpoint.revision)
    return Path(cached) if isinstance(cached, str) else None


def find_config(checkpoint: Checkpoint, trained: Path) -> Path:
    """The config.json of a checkpoint: here, or on the hub, or if that does not answer, of the teacher `trained` from it."""
    hub, folder = str(checkpoint.hub), local_folder(checkpoint.path, checkpoint.package)
    if (config := local_config(checkpoint)) is not None:
        return config
    if folder is not None:
        raise UserError(f"{folder}: has no config.json; give a folder that transformers can load")
    from huggingface_hub import hf_hub_download

    try:
        return Path(from_hub(f"config of '{hub}'", lambda: hf_hub_download(hub, "config.json", revision=checkpoint.revision)))
    except UserError:
        if not (trained / "config.json").exists():
            raise
        return trained / "config.json"


def read_shape(config: Path | None) -> Shape | None:
    """The shape that a config.json gives; None if there is none, or it does not say."""
    try:
        content = json.loads(config.read_text(encoding="utf-8")) if config is not None else {}
        return Shape(**configured_shape(content))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def configured_shape(config: Mapping[str, Any]) -> dict[str, int]:
    """What settings of transformers say of `layers`, `width` and `heads`."""
    return {part: config[key] for part, keys in SPELLINGS.items() for key in keys if isinstance(config.get(key), int)}


def require_shape(config: Path) -> Shape:
    """The shape that a config.json gives."""
    shape = read_shape(config)
    if shape is None:
        raise UserError(f"{config}: expected the number of layers and heads and the hidden size of a transformer")
    return shape
