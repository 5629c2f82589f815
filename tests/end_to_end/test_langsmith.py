"""LangSmith, switched on by its own variables: what a run's trace says, and that neither keys nor pixels are in it.

Whole runs in processes of their own, traced to a stand-in for the service that takes what the real client sends.
"""

import base64
import email
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import zstandard

from imagerag.store.data_dir import DataDir
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, SketchResponder
from tests.conftest import copied
from tests.processes import imagerag

HELD = "a red solid heart and a blue split crescent on a mint background"
KEY, TRACER_KEY = "sk-distinctive-9f8e7d6c5b4a", "lsv2-distinctive-0a1b2c3d4e5f"
INFO = {
    "version": "0.13.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
        "scale_up_nthreads_limit": 16,
        "scale_up_qsize_trigger": 1000,
        "scale_down_nempty_trigger": 4,
    },
    "instance_flags": {"zstd_compression_enabled": True},
}


class Desk(ThreadingHTTPServer):
    """LangSmith's ingest endpoints.

    Attributes:
        said: every body that came, decompressed.
        runs: what was said of each run (LangSmith's word for a span), by id; later words replace earlier ones.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.said = b""
        self.runs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def take(self, content_type: str, body: bytes) -> None:
        form = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        with self._lock:
            self.said += body
            for part in form.get_payload():
                assert isinstance(part, email.message.Message)
                _, run, *field = str(part.get_param("name", header="content-disposition")).split(".")
                value = json.loads(part.get_payload(decode=True))
                self.runs.setdefault(run, {}).update({field[0]: value} if field else value)

    def children(self, parent: str | None) -> list[dict[str, Any]]:
        """The spans right below one, in the order in which they began."""
        found = [run for run in self.runs.values() if run.get("parent_run_id") == parent]
        return sorted(found, key=lambda run: str(run["start_time"]))


class Handler(BaseHTTPRequestHandler):
    server: Desk

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        assert self.path == "/info"
        self.answer(INFO)

    def do_POST(self) -> None:
        assert self.path == "/runs/multipart"
        chunked = self.headers["Transfer-Encoding"] == "chunked"
        body = b"".join(self.chunks()) if chunked else self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "zstd":
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        self.server.take(self.headers["Content-Type"], body)
        self.answer({})

    def chunks(self) -> Iterator[bytes]:
        while length := int(self.rfile.readline(), 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def desk() -> Iterator[Desk]:
    with Desk() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield served
        finally:
            served.shutdown()
            thread.join()


@pytest.fixture
def traced() -> Iterator[Desk]:
    with desk() as served:
        yield served


@pytest.fixture
def home(sketch_home: Path, tmp_path: Path) -> Path:
    return copied(sketch_home, tmp_path / "home")


def run(traced: Desk, home: Path, *arguments: str) -> dict[str, Any]:
    """The command's document, once its process has ended: whatever it had to say to LangSmith it has said."""
    told = {
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{traced.server_address[1]}",
        "LANGSMITH_API_KEY": TRACER_KEY,
        "OPENAI_API_KEY": KEY,
        "IMAGERAG_HOME": str(home),
    }
    done = imagerag(*arguments, "--json", cwd=home, env={**os.environ, **told})
    assert "Traceback" not in done.stderr, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def nodes(traced: Desk) -> list[str]:
    """The nodes of the one run that was traced."""
    (root,) = traced.children(None)
    assert root["name"] == "imagerag"
    assert all(span["end_time"] for span in traced.runs.values())
    return [span["name"] for span in traced.children(root["id"]) if span["name"] != "__start__"]


def check_no_leak(traced: Desk, home: Path, sent: Sequence[bytes] = ()) -> None:
    """Neither a key, nor a piece of any picture, drawn or sent to a model."""
    drawn = [path.read_bytes() for path in DataDir.find(home).blobs.rglob("*") if path.is_file()]
    assert drawn or sent
    pieces = [data[middle : middle + 60] for data in [*drawn, *sent] for middle in (0, len(data) // 2)]
    encoded = [base64.b64encode(piece[offset : offset + 45]) for piece in pieces for offset in range(3)]
    secrets = [KEY.encode(), TRACER_KEY.encode(), b"data:image", b"iVBORw0KGgo", b"/9j/4AA", *pieces, *encoded]
    assert [secret for secret in secrets if secret in traced.said] == []


def test_a_sketch_run_is_a_thread_of_readable_steps(traced: Desk, home: Path) -> None:
    record = run(traced, home, "generate", HELD, "--preset", "sketch")
    assert nodes(traced) == [
        "generate", "critique", "extract_concepts", "write_captions", "retrieve", "shortlist", "regenerate",
        "critique", "finish",
    ]  # fmt: skip
    assert {span["extra"]["metadata"]["thread_id"] for span in traced.runs.values()} == {record["run_id"]}
    (root,) = traced.children(None)
    assert root["inputs"]["prompt"] == HELD
    assert root["outputs"]["result"]["outcome"] == record["outcome"] == "aligned"
    drawn = root["outputs"]["attempts"][record["best_attempt"]]["image"]
    assert drawn["sha256"] == record["image"]["sha256"]
    check_no_leak(traced, home)


@pytest.mark.parametrize("generator", ["openai:gpt-image-2", "openai-responses:gpt-5"])
def test_a_models_words_can_be_read_and_pictures_stand_by_their_hash(
    traced: Desk, home: Path, generator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MockOpenAIServer(SketchResponder(), key=KEY) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)  # so the key belongs there
        judge = f"openai:gpt-5?max_images=9@{server.base_url}"
        backends = [f"--generator={generator}@{server.base_url}", f"--judge={judge}"]
        record = run(traced, home, "generate", HELD, "--preset", "sketch", *backends)
        # The pixels did go where they were to go, and the key with them.
        sent = [image.data for request in server.requests for image in request.images]
        assert len(sent) == 4  # a reference drawn with, two drawings judged, and that reference beside the second
    assert nodes(traced).count("regenerate") == 1
    asked = [span for span in traced.runs.values() if span["run_type"] == "llm"]
    assert len(asked) == record["calls"]["judge.critique"] == 2
    assert {span["name"] for span in asked} == {judge}
    told = {traced.runs[span["parent_run_id"]]["name"]: span for span in asked}
    assert set(told) == {"critique"}
    system, human = told["critique"]["inputs"]["messages"][0]
    assert "You compare pictures" in system["kwargs"]["content"]
    assert HELD in human["kwargs"]["content"][0]["text"]
    parts = [part for span in asked for part in span["inputs"]["messages"][0][1]["kwargs"]["content"]]
    shown = [part["image_url"]["url"] for part in parts if "image_url" in part]
    assert len(shown) == 3
    assert all(url.startswith("sha256:") for url in shown)
    assert {f"sha256:{attempt['image']['sha256']}" for attempt in record["attempts"]} < set(shown)
    assert '"requirement"' in told["critique"]["outputs"]["generations"][0][0]["text"]
    check_no_leak(traced, home, sent)


def test_what_a_service_says_when_it_fails_is_not_passed_on(traced: Desk, home: Path) -> None:
    with MockOpenAIServer(SketchResponder()) as server:
        server.enqueue("chat", *[Fault("unauthorized", message=f"Incorrect API key provided: {KEY}")] * 3)
        record = run(traced, home, "generate", HELD, "--preset", "sketch", f"--judge=openai:gpt-5@{server.base_url}")
        assert server.count("chat") == 1
    assert record["outcome"] == "judge_unavailable"
    (asked,) = [span for span in traced.runs.values() if span["run_type"] == "llm"]
    assert "AuthenticationError" in asked["error"]
    check_no_leak(traced, home)


def test_a_question_is_traced_like_a_run(traced: Desk, home: Path) -> None:
    with MockOpenAIServer(SketchResponder()) as server:
        asked = f"--answerer=openai:gpt-5@{server.base_url}"
        answer = run(traced, home, "ask", "which crescent is blue?", "--preset", "sketch", asked)
        sent = [image.data for request in server.requests for image in request.images]
        assert sent
    assert {span["extra"]["metadata"]["thread_id"] for span in traced.runs.values()} == {answer["thread_id"]}
    assert [span["run_type"] for span in traced.runs.values()].count("llm") >= 1
    assert b"which crescent is blue?" in traced.said
    check_no_leak(traced, home, sent)
