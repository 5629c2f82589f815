"""A server on loopback that writes down what really arrived: the line, the headers and the length of the body."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ALIGNED = (
    '{"checks": [{"number": 1, "requirement": "a circle", "kind": "content", "evidence": "", "met": true, '
    '"caption": "a circle"}]}'
)
CHAT = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ALIGNED}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": "x"}]}


@dataclass
class Arrived:
    """What a request was."""

    line: str
    headers: dict[str, str] = field(default_factory=dict)
    size: int = 0


@dataclass
class Wire:
    """The server.

    Attributes:
        redirect: where it sends everybody; empty answers them.
        status: what it answers with.
    """

    port: int = 0
    redirect: str = ""
    status: int = 200
    arrived: list[Arrived] = field(default_factory=list)

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def authorizations(self) -> list[str | None]:
        return [one.headers.get("authorization") for one in self.arrived]


@contextmanager
def wire() -> Iterator[Wire]:
    found = Wire()

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            self.rfile.read(size)
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.arrived.append(Arrived(f"{self.command} {self.path}", headers, size))
            body = json.dumps(MODELS if self.command == "GET" else CHAT).encode()
            self.send_response(307 if found.redirect else found.status)
            if found.redirect:
                self.send_header("Location", found.redirect)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_CONNECT = do  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
