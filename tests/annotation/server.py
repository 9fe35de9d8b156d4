"""A server that answers as OpenAI-compatible ones do, well or badly, and keeps what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, bytes | None, Mapping[str, str]]
"""Status, body (None: the connection is cut), headers."""
Answer = Callable[[dict[str, Any], int], Reply]
"""Of a request's body and its number."""


def said(content: str | None, logprobs: list[dict[str, Any]] | None = None, **more: Any) -> Reply:
    """A response with an answer; `more` goes to the choice."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", **more}
    if logprobs is not None:
        choice["logprobs"] = {"content": logprobs}
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
    body = {"id": f"x-{time.time()}", "created": int(time.time()), "choices": [choice], "usage": usage}
    return 200, json.dumps(body).encode(), {}


def labelled(label: str) -> Reply:
    """The usual answer."""
    return said(json.dumps({"label": label}))


def error(status: int, message: str, **headers: str) -> Reply:
    """What servers say of a failure."""
    return status, json.dumps({"error": {"message": message}}).encode(), headers


def token(text: str, log_probability: float, **others: float) -> dict[str, Any]:
    """A token of an answer, and the others that could have stood there."""
    top = [{"token": text, "logprob": log_probability}, *({"token": name, "logprob": value} for name, value in others.items())]
    return {"token": text, "logprob": log_probability, "top_logprobs": top}


@dataclass
class Server:
    """Its address, and the bodies and headers that came."""

    answer: Answer
    address: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    flying: int = 0
    most_flying: int = 0


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """Run a server on the loopback while the block lasts."""
    server, lock = Server(answer), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.bodies.append(body)
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                number = len(server.bodies)
                server.flying += 1
                server.most_flying = max(server.most_flying, server.flying)
            status, content, headers = (404, b"{}", {}) if self.path != "/v1/chat/completions" else server.answer(body, number)
            with lock:
                server.flying -= 1
            if content is None:
                self.connection.close()
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        server.address = f"http://127.0.0.1:{http.server_address[1]}/v1"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
