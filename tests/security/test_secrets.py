"""Keys and pixels stay where they belong: a key in the request's header, pixels in requests and in the blob store.

Whole runs over real HTTP, good ones and such that fail in every way, are searched: everything that is logged at DEBUG
by anyone, events, errors with their causes, records, and every database in the home, committed or not.
"""

import base64
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.graphs import generation
from imagerag.tools.testing.mock_openai import Fault, FaultKind, MockOpenAIServer, MockResponse

KEY = "sk-distinctive-9f8e7d6c5b4a39281706SECRET"
HATS = (
    '{"checks": [{"number": 1, "requirement": "a hat", "kind": "content",'
    ' "evidence": "", "met": %s, "caption": "a hat"}]}'
)
SEES = MockResponse(text="yes")
"""What a judge of an unknown model says to the pictures it is shown before anything is drawn."""

FAULTS: list[FaultKind] = [
    "unauthorized",
    "quota",
    "error_500",
    "refusal",
    "invalid_json",
    "truncated_base64",
    "wrong_content_type",
    "reset_midway",
]


def noisy_png(seed: int) -> bytes:
    """A picture whose bytes are nothing but themselves: a hundred kilobytes of noise."""
    import io
    import random

    from PIL import Image

    out = io.BytesIO()
    Image.frombytes("RGB", (180, 180), random.Random(seed).randbytes(180 * 180 * 3)).save(out, "PNG")
    return out.getvalue()


PICTURES = [noisy_png(seed) for seed in range(4)]
LIBRARY, DRAWN, REDRAWN, OWN = PICTURES


def traces(data: bytes) -> Iterator[bytes]:
    """What a piece of a picture looks like: as bytes, as base64 wherever it begins, and as Python prints bytes."""
    piece = data[3000:3060]
    yield piece
    for offset in range(3):
        yield base64.b64encode(piece[offset : offset + 45])
    yield repr(piece[:24])[2:-1].encode()


LEAKS = {
    "the key": [KEY.encode(), base64.b64encode(KEY.encode()), KEY[3:30].encode()],
    "pixels": [trace for data in PICTURES for trace in traces(data)],
    "the start of an image": [
        b"\x89PNG\r\n",
        rb"\x89PNG",
        b"iVBORw0KGgo",
        b"\xff\xd8\xff\xe0",
        rb"\xff\xd8\xff",
        b"/9j/4AAQ",
    ],
}


def leaks(said: bytes) -> set[str]:
    """What of all this is in a text."""
    return {name for name, forms in LEAKS.items() if any(form in said for form in forms)}


def test_the_search_finds_what_it_looks_for() -> None:
    for form in (bytes, base64.b64encode, lambda data: repr(data).encode()):
        assert leaks(form(OWN)) == {"pixels", "the start of an image"}
        assert leaks(form(OWN[1:])) == {"pixels"}
    assert leaks(f"Bearer {KEY}".encode()) == {"the key"}
    assert leaks(b"a hat") == set()


class Everything(logging.Handler):
    """Keeps all that is logged, with the arguments and the exceptions of it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.said: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = [record.getMessage(), repr(record.args)]
        if record.exc_info:
            told.append("".join(traceback.format_exception(*record.exc_info)))
        self.said.append((record.name, "\n".join(told)))


@pytest.fixture
def logged() -> Iterator[Everything]:
    """Everything that anyone logs, at DEBUG."""
    handler, root = Everything(), logging.getLogger()
    known = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    levels = [(logger, logger.level) for logger in [root, *known]]
    root.addHandler(handler)
    for logger, _ in levels:
        logger.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    for logger, level in levels:
        logger.setLevel(level)


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as server:
        yield server


def script(server: MockOpenAIServer, *ending: Fault | MockResponse) -> None:
    """A judge that is shown pictures; a hat that is missing, found, ranked, drawn with; then `ending` of the judge."""
    server.enqueue("images.edit", MockResponse(images=(DRAWN,)), MockResponse(images=(REDRAWN,)))
    server.enqueue(
        "chat", SEES, MockResponse(text=HATS % "false"), MockResponse(text='{"reason": "", "ranking": [1]}'), *ending
    )


async def make_rag(home: Path, server: MockOpenAIServer) -> ImageRAG:
    """Real adapters, and a library with a picture in it."""
    rag = ImageRAG(
        preset="openai",
        generator=f"openai:gpt-image-2.6-flare@{server.base_url}",
        judge=f"openai:some-vlm@{server.base_url}",
        embedder="sketch",
        reranker="vlm",
        library="mine",
        home=home / "home",
    )
    folder = home / "pictures"
    folder.mkdir()
    (folder / "hat.png").write_bytes(LIBRARY)
    (folder / "hat.txt").write_text("a hat")
    await rag.libraries.index(folder)
    return rag


def databases(home: Path) -> dict[str, bytes]:
    """Every file of the home but the pictures themselves: blobs, and the libraries' tables."""
    files = [path for path in (home / "home").rglob("*") if path.is_file()]
    kept = [path for path in files if not {"blobs", "libraries"} & set(path.relative_to(home / "home").parts)]
    return {str(path): path.read_bytes() for path in kept}


def check(home: Path, logged: Everything, told: list[Any]) -> None:
    found = databases(home)
    assert {Path(name).suffix for name in found} >= {".db"} or len(found) >= 3
    assert {name: leaks(data) for name, data in found.items() if leaks(data)} == {}
    said = {name: leaks(text.encode(errors="replace")) for name, text in logged.said}
    assert {name: found for name, found in said.items() if found} == {}
    assert leaks(repr(told).encode(errors="replace")) == set()
    # Somebody did log requests; otherwise this looked at nothing.
    assert any(name.startswith(("openai", "httpx", "httpcore")) for name, _ in logged.said)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried as often as ever, but at once: the waits between are tested elsewhere."""
    quick = tuple(policy._replace(initial_interval=0.001, max_interval=0.001) for policy in generation.RETRY)
    monkeypatch.setitem(generation.build_workflow.__kwdefaults__, "retry", quick)


async def test_a_run_that_goes_well_tells_neither(server: MockOpenAIServer, tmp_path: Path, logged: Everything) -> None:
    rag = await make_rag(tmp_path, server)
    script(server, MockResponse(text=HATS % "true"))
    told: list[Any] = []
    async for event in rag.stream("a hat", subjects=[("me", OWN)], threshold="off", max_rounds=1, likeness="never"):
        told += [event, event.as_json()]
        if event.kind == "step":  # in the middle of a run, what is not yet committed lies in other files
            assert {name for name, data in databases(tmp_path).items() if leaks(data)} == set()
    record = told[-2].record
    assert (record.outcome, len(record.attempts)) == ("aligned", 2), record.reason
    assert record.calls == {"judge.check_images": 1, "generate": 2, "judge.critique": 2, "rerank": 1}
    # The pixels did go where they were to go.
    assert server.count() == 6
    assert OWN in [image.data for request in server.requests for image in request.images]
    check(tmp_path, logged, [*told, record.model_dump_json(), rag, rag.settings])


@pytest.mark.parametrize("where", ["drawing", "judging"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_run_that_fails_tells_neither(
    fault: FaultKind, where: str, server: MockOpenAIServer, tmp_path: Path, logged: Everything
) -> None:
    rag = await make_rag(tmp_path, server)
    if where == "drawing":
        server.enqueue("images.edit", *[Fault(fault)] * 3)
    else:
        server.enqueue("images.edit", MockResponse(images=(DRAWN,)))
        server.enqueue("chat", SEES, *[Fault(fault)] * 3)
    told: list[Any] = []
    async for event in rag.stream("a hat", subjects=[("me", OWN)], threshold="off", max_rounds=0):
        told += [event, event.as_json()]
    record = told[-2].record
    if where == "drawing":
        assert record.outcome in ("failed", "refused")
    check(tmp_path, logged, [*told, record.reason, record.model_dump_json()])


def test_the_command_tells_neither_even_when_it_tells_all(server: MockOpenAIServer, tmp_path: Path) -> None:
    """`--debug` prints tracebacks; the SDK's own switch makes it log all it knows."""
    server.enqueue("images.generate", *[Fault("unauthorized")] * 3)
    env = {**os.environ, "IMAGERAG_HOME": str(tmp_path / "home"), "OPENAI_LOG": "debug", "OPENAI_API_KEY": KEY}
    at = server.base_url
    backends = [f"--generator=openai:gpt-image-2.6-flare@{at}", f"--judge=openai:some-vlm@{at}"]
    command = [
        sys.executable,
        "-m",
        "imagerag",
        "--debug",
        "generate",
        "a hat",
        "--preset",
        "openai",
        *backends,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, env=env, cwd=tmp_path, timeout=120)
    assert done.returncode == 1, done.stderr
    assert b"failed" in done.stdout
    assert leaks(done.stdout) == leaks(done.stderr) == set()
