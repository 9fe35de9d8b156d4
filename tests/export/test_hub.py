"""An export is uploaded to a hub: a server on this machine that answers as the hub's does."""

import re
from pathlib import Path

import huggingface_hub
import pytest

from distill.commands.publish import main
from distill.export.session import FP32, INT8
from tests.command_line import invoke, refusal
from tests.commands.test_publish import PARAMS
from tests.hub_server import Hub, hub

__all__ = ["hub"]
STUDENT = "{recipe: hinton, dataset: tiny, targets: soft/logits, init: {from: data/teachers/strong, depth: 1}}"


@pytest.fixture(autouse=True)
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export of files of a line each."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"{PARAMS}students: {{small: {STUDENT}, none: {STUDENT}}}\n", encoding="utf-8")
    folder = tmp_path / "data/exports/students/small"
    folder.mkdir(parents=True)
    for name in (FP32, INT8, f"{FP32}.data", "config.json", "tokenizer.json"):
        (folder / name).write_text(name, encoding="utf-8")
    (folder / "README.md").write_text(f"---\ntags: [onnx]\n---\n| {INT8} | ONNX |\n`{FP32}`\n", encoding="utf-8")
    weights = tmp_path / "data/students/small/model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights", encoding="utf-8")
    return folder


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub
def test_files_are_where_transformers_optimum_and_transformers_js_look_for_them(hub: Hub) -> None:
    done = invoke(main, "small", "--hub", "me/small", "--private")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"data/exports/students/small: 7 files published at {hub.address}/me/small\n"
    assert {path: content.decode() for path, content in hub.files.items()} == {
        "README.md": "---\ntags: [onnx]\n---\n| onnx/model_quantized.onnx | ONNX |\n`onnx/model.onnx`\n",
        "config.json": "config.json",
        "model.safetensors": "weights",
        "onnx/model.onnx": FP32,
        f"onnx/{FP32}.data": f"{FP32}.data",
        "onnx/model_quantized.onnx": INT8,
        "tokenizer.json": "tokenizer.json",
    }
    (created,) = hub.created
    assert created == {"name": "small", "organization": "me", "visibility": "private"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none", "--hub", "me/none"), r"data/exports/students/none: no such export; run `dvc repro export@none`"),
        (("small",), r"expected one of: a URL, for the target set of that name; --hub USER/NAME, for the student"),
        (("small", "s3://b", "--hub", "me/small"), r"expected one of: a URL"),
        (("small", "--hub", "me/my/small"), r"hub: 'me/my/small': .*expected USER/NAME"),
    ],
)
def test_what_cannot_be_published_is_said(hub: Hub, arguments: tuple[str, ...], message: str) -> None:
    assert re.search(message, refusal(invoke(main, *arguments)))
    assert hub.files == {}


def test_who_is_not_logged_in_is_told_how(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert "hf auth login" in refusal(invoke(main, "small", "--hub", "me/small"))


def test_a_hub_that_cannot_be_reached_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "'me/small' could not be written" in refusal(invoke(main, "small", "--hub", "me/small"))
