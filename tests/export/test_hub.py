"""An export is uploaded to a hub: a server on this machine that answers as the hub's does."""

import base64
import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import huggingface_hub
import pytest

from distill.commands.publish import main
from distill.export.session import FP32, INT8
from tests.command_line import invoke, refusal


class Hub(ThreadingHTTPServer):
    """Repositories by name, each with the content of its files by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.large: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """Creates repositories, takes large files one by one, and small ones with the commit."""

    server: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_PUT(self) -> None:
        self.server.large[self.path.rpartition("/")[2]] = self._body()
        self._answer({})

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self._answer({"url": f"{self.server.address}/me/small"})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            large = (".onnx", ".safetensors")
            modes = ["lfs" if file["path"].endswith(large) else "regular" for file in files]
            both = zip(files, modes, strict=True)
            self._answer({"files": [{"path": file["path"], "uploadMode": mode, "shouldIgnore": False} for file, mode in both]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.server.address}/large/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        else:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    self.server.files[value["path"]] = self.server.large[value["oid"]]
            self._answer({"commitUrl": f"{self.server.address}/me/small/commit/1", "commitOid": "1"})

    def _body(self) -> bytes:
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export of files of a line each."""
    monkeypatch.chdir(tmp_path)
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
