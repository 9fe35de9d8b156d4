"""A hub on this machine, which answers as the Hugging Face hub does when something is uploaded, or a data set is read."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import pytest


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

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if "/resolve/" in path:
            self._send(self.server.files[path.partition("/resolve/")[2].partition("/")[2]], "application/octet-stream")
        elif "/tree/" in path:
            below = path.partition("/tree/")[2].partition("/")[2]
            self._answer([self._entry(name) for name in self.server.files if name.startswith(below)])
        else:
            files = [{"rfilename": name} for name in self.server.files]
            self._answer({"id": "me/soft", "sha": "1" * 40, "private": False, "tags": [], "siblings": files})

    def _entry(self, name: str) -> dict[str, Any]:
        return {"type": "file", "path": name, "size": len(self.server.files[name]), "oid": "2" * 40}

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
        elif "/paths-info/" in self.path:
            paths = [value.rstrip("/") for value in parse_qs(body.decode()).get("paths", [])] or json.loads(body)["paths"]
            self._answer([self._entry(name) for name in paths if name in self.server.files])
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            large = (".onnx", ".safetensors", ".parquet", ".arrow")
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
                elif line["key"] == "deletedFile":
                    del self.server.files[value["path"]]
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

    def _answer(self, content: Any) -> None:
        self._send(json.dumps(content).encode(), "application/json")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    monkeypatch.setattr(
        huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    for limit in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(huggingface_hub.constants, limit, 600)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield server
    server.shutdown()
    server.server_close()
