"""A server on loopback with `/v1/embeddings` as OpenAI publishes it, and vLLM's chat form of it.

Its vectors depend on the words alone: those of an image on its mean colour, those of a text on the colours it names.
"""

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"red": 0, "green": 1, "blue": 2}


@dataclass
class Reply:
    """What a request is answered with, instead of vectors."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class EmbeddingServer:
    """The server.

    Attributes:
        length: of its vectors.
        script: replies to the next requests; None is a good one.
        change: applied to the data of good replies.
        refuses: fields of a request that are answered with 400.
        most: requests that it saw at the same time.
    """

    port: int = 0
    length: int = 8
    key: str | None = None
    script: list[Reply | None] = field(default_factory=list)
    change: Callable[[list[dict[str, Any]]], Any] = lambda data: data
    refuses: tuple[str, ...] = ()
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most: int = 0
    busy: int = 0
    lock: Any = field(default_factory=threading.Lock)
    hold: threading.Barrier | None = None

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answer(self, path: str, body: dict[str, Any], authorization: str) -> Reply:
        if self.script and (scripted := self.script.pop(0)) is not None:
            return scripted
        if self.key is not None and authorization != f"Bearer {self.key}":
            return Reply(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
        if path != "/v1/embeddings":
            return Reply(404, {"error": {"message": f"no route {path}"}})
        for name in self.refuses:
            if name in body and (name, body[name]) != ("encoding_format", "float"):
                return Reply(400, {"error": {"message": f"unsupported parameter: '{name}'", "param": name}})
        said = body["input"] if "input" in body else [body["messages"]]
        length = body.get("dimensions", self.length)
        data = [self.vector(one, at, body, length) for at, one in enumerate(said)]
        whole = {"object": "list", "data": self.change(data), "model": body["model"], "usage": {"prompt_tokens": 1}}
        return Reply(body=whole)

    def vector(self, said: Any, at: int, body: dict[str, Any], length: int) -> dict[str, Any]:
        row = np.full(length, 0.1, np.float32)
        for name, weight in meant(said).items():
            row[COLOURS[name]] += weight
        if body.get("encoding_format") == "base64":
            embedding: Any = base64.b64encode(row.astype("<f4").tobytes()).decode()
        else:
            embedding = [float(number) for number in row]
        return {"object": "embedding", "index": at, "embedding": embedding}


def meant(said: Any) -> dict[str, float]:
    """Colours of an input, each with its share."""
    if isinstance(said, str):
        return {name: 1.0 for name in COLOURS if name in said}
    found: dict[str, float] = {}
    for part in next(turn for turn in said if turn["role"] == "user")["content"]:
        if part["type"] == "text":
            found |= meant(part["text"])
        else:
            kind, _, data = part["image_url"]["url"].partition(",")
            assert kind == "data:image/jpeg;base64"
            picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
            mean = np.asarray(picture).reshape(-1, 3).mean(0) / 255
            found |= {name: float(mean[at]) for name, at in COLOURS.items()}
    return found


@contextmanager
def embedding_server(**given: Any) -> Iterator[EmbeddingServer]:
    found = EmbeddingServer(**given)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with found.lock:
                found.bodies.append(body)
                found.headers.append({name.lower(): value for name, value in self.headers.items()})
                found.busy += 1
                found.most = max(found.most, found.busy)
                reply = found.answer(self.path, body, self.headers.get("authorization", ""))
            if found.hold is not None:
                found.hold.wait(60)
            with found.lock:
                found.busy -= 1
            self.reply(reply)

        def do_GET(self) -> None:
            self.reply(Reply(body={"object": "list", "data": [{"id": "clip-x", "object": "model"}]}))

        def reply(self, reply: Reply) -> None:
            text = isinstance(reply.body, str)
            body = reply.body.encode() if text else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {
                "content-type": "text/plain" if text else "application/json",
                "content-length": str(len(body)),
                **reply.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
