"""Files of params.yaml for tests: written, changed in one place, refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from distill.core.errors import UserError
from distill.pipeline.entries import Params
from distill.pipeline.project import load_params


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write params.yaml into a folder."""
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(_unshared(content), file)
    return folder / "params.yaml"


def load(folder: Path, content: dict[str, Any]) -> Params:
    return load_params(write(folder, content))


def changed(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one setting changed: SECTION.NAME.KEY…"""
    whole = inner = _unshared(content)
    *parents, key = path.split(".")
    for parent in parents:
        inner = inner[parent]
    inner[key] = value
    return whole


def refusal(folder: Path, content: dict[str, Any]) -> list[str]:
    """The lines of the refusal, each of which names the file."""
    with pytest.raises(UserError) as caught:
        load(folder, content)
    prefix = f"{folder / 'params.yaml'}: "
    lines = str(caught.value).splitlines()
    assert all(line.startswith(prefix) for line in lines)
    return [line.removeprefix(prefix) for line in lines]


def _unshared(content: Any) -> Any:
    """A copy in which what stands in two places is two things."""
    return json.loads(json.dumps(content))
