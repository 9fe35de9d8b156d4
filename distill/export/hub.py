"""An export on the Hugging Face hub, its files where transformers, Optimum and transformers.js look for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from distill.core.errors import UserError, first_line, one_line
from distill.export.session import FP32, INT8

PLACES = {FP32: "onnx/model.onnx", INT8: "onnx/model_quantized.onnx"}
"""Optimum takes the first, transformers.js either: `dtype: "fp32"`, and `"q8"`, its usual one in browsers."""


def files_for_hub(export: Path, model: Path) -> dict[str, Path | bytes]:
    """What goes to the hub, by the path there: the export, its card with the names there, and torch's weights.

    A graph names the files of its weights, if they are beside it, without a folder: these keep their names in `onnx/`.
    """
    if not (export / "README.md").exists():
        raise UserError(f"{export}: no such export; run `dvc repro export@{export.name}`")
    found: dict[str, Path | bytes] = {}
    for file in sorted(export.iterdir()):
        place = PLACES.get(file.name, f"onnx/{file.name}" if ".onnx" in file.name else file.name)
        found[place] = file
    card = (export / "README.md").read_text(encoding="utf-8")
    for name, place in PLACES.items():
        card = card.replace(f"| {name} |", f"| {place} |").replace(f"`{name}`", f"`{place}`")
    found["README.md"] = card.encode()
    if (model / "model.safetensors").exists():
        found["model.safetensors"] = model / "model.safetensors"
    for file in sorted([*model.glob("modules.json"), *model.glob("config_sent*.json"), *model.glob("[0-9]_*/*")]):
        found[file.relative_to(model).as_posix()] = file
    return found


def upload(
    files: dict[str, Path | bytes],
    repository: str,
    *,
    private: bool,
    message: str,
    kind: Literal["dataset"] | None = None,
    gone: Callable[[list[str]], list[str]] | None = None,
) -> str:
    """Make the repository, of a model or a data set, unless it is there, and commit the files at once; returns its address.

    `gone` says which of the files there are to go with the same commit.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    if get_token() is None:
        raise UserError("hub: nobody is logged in here; run `hf auth login`, or set HF_TOKEN")
    api = HfApi()
    adds = [CommitOperationAdd(place, content) for place, content in files.items()]

    try:
        address = api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        old = [] if gone is None else gone(api.list_repo_files(repository, repo_type=kind))
        api.create_commit(repository, [*adds, *map(CommitOperationDelete, old)], repo_type=kind, commit_message=message)
        return str(address)
    except ValueError as error:
        raise UserError(f"hub: '{repository}': {one_line(error)}; expected USER/NAME") from None
    except (OSError, HTTPError, RuntimeError) as error:
        raise UserError(f"hub: '{repository}' could not be written: {first_line(error)}; what it has is as before") from None
