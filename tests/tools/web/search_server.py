"""A search service and its images on this machine, over real HTTP: what it answers, and what it was asked."""

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.world import Placed, Scene, Thing

DOTTED_HEXAGON = "a black dotted hexagon"
"""What the sketch generator cannot draw, and the built-in library does not have."""


@dataclass
class Reply:
    """An answer: JSON of `body` unless that is bytes, or a function that writes to the connection."""

    body: Any = b""
    kind: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def write(self, handler: BaseHTTPRequestHandler) -> None:
        self._head(handler)
        if callable(self.body):
            self.body(handler.wfile.write)
            return
        data = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        handler.wfile.write(data)

    def _head(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(self.status)
        handler.send_header("Content-Type", self.kind)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.end_headers()


@dataclass
class SearchServer:
    """What is at which path; `asked` are the paths with their queries, `headers` and `bodies` what came with them."""

    port: int = 0
    replies: dict[str, Reply | list[Reply]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def library(self) -> str:
        """The library of this service, by the contract for any service."""
        return f"web:http@{self.at}/search"

    def image(self, path: str, data: bytes, kind: str = "image/png") -> str:
        """Put an image at a path; its address."""
        self.replies[path] = Reply(data, kind)
        return f"{self.at}{path}"

    def finds(self, *results: Mapping[str, Any]) -> None:
        """Have searches find these, in the form of the contract."""
        self.replies["/search"] = Reply(list(results))

    def queries(self, path: str = "/search") -> list[dict[str, str]]:
        """The queries of a path, in the order in which they came."""
        asked = [urlsplit(one) for one in self.asked]
        return [{name: values[0] for name, values in parse_qs(one.query).items()} for one in asked if one.path == path]


@contextmanager
def search_server() -> Iterator[SearchServer]:
    """A server on a port of this machine, until it is stopped."""
    state = SearchServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            state.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.answer()

        def answer(self) -> None:
            state.asked.append(self.path)
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = state.replies.get(urlsplit(self.path).path, Reply({}, status=404))
            if isinstance(reply, list):
                reply = reply.pop(0) if len(reply) > 1 else reply[0]
            try:
                reply.write(self)
            except OSError:  # who asks may leave
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is written."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.port = server.server_port
    stopped = threading.Event()

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            server.shutdown()
            server.server_close()
            thread.join()

    state.stop = stop
    try:
        yield state
    finally:
        stop()


@cache
def drawn(thing: Thing = Thing("hexagon", "black", "dotted"), *, side: int = 256) -> bytes:  # noqa: B008
    """A drawing of a thing, as PNG."""
    out = io.BytesIO()
    place = Placed(thing, 0.5, 0.5, 0.4, 3, 0.06, 0.5)
    draw(Scene((place,), "white", noise=1.0, seed=1), side).save(out, "PNG")
    return out.getvalue()


def found(image: str, **fields: Any) -> dict[str, Any]:
    """A result of the contract, with a licence that is let in."""
    said = {"title": "A hexagon", "page": "https://example.org/hexagon", "licence": "CC BY 4.0", "author": "Ann"}
    return {**said, "image": image, **fields}
