"""A bad day of one server: 1,100 connections that say nothing, eight image files that ask for minutes, and one client.

The files are handed in again and again until the client is done. It is answered within five seconds, its run and
another one come to their end, and memory is bounded, that of the processes that decode included.
"""

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from imagerag.http_server.connection_limits import raise_file_limit
from imagerag.tools.testing.mock_openai import tiny_png
from tests import bombs
from tests.conftest import copied
from tests.mcp.conftest import IMPATIENT, handed_in, refused

BOMBS: dict[str, Callable[[], bytes]] = {
    "scans.jpg": lambda: bombs.jpeg_of_scans(40_000),
    "chunks.png": lambda: bombs.png_of_empty_chunks(3_000_000),
    "profiles.png": lambda: bombs.png_of_profiles(25_000),
    "frames.png": lambda: bombs.apng_of_frames(300_000),
    "comments.gif": lambda: bombs.gif_of_comments(30_000_000),
    "claims.tif": bombs.tiff_of_claims,
    "runs.bmp": bombs.bmp_of_runs,
    "tiles.avif": bombs.avif_of_tiles,
}

ANSWERED_S, ANSWERED_TIMES = 5.0, 50
"""How long the client may wait for an answer meanwhile: as long, or as many times as long as it waits when nobody else
asks anything, whichever is more."""

SERVER_MB = 400
"""What the server itself may grow by: it holds the eight files, and copies on their way to the other processes."""

DECODERS_MB = 2560
"""What the processes that decode may have together: eight of them, each as large as Python with Pillow and a picture
of 64 megapixels while it is converted."""


@dataclass
class Memory:
    """What a process and its children have in memory, in MB: the most that was seen.

    Attributes:
        own: of the process.
        children: of all its children together.
        count: of children.
    """

    pid: int
    own: float = 0.0
    children: float = 0.0
    count: int = 0

    def look(self) -> None:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        sizes = [size for task in tasks for child in task.read_text().split() if (size := resident_mb(int(child)))]
        self.own = max(self.own, resident_mb(self.pid))
        self.children, self.count = max(self.children, sum(sizes)), max(self.count, len(sizes))

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(0.05)


def resident_mb(pid: int) -> float:
    """What a process has in memory; 0 when it has gone."""
    try:
        found = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[0]) / 1024 if found else 0.0


@contextmanager
def serving(home: Path, pictures: Path, cwd: Path) -> Iterator[tuple[Any, str]]:
    """A server in a process of its own that may open 1,024 files, as most may; and where it listens."""
    import resource

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMAGERAG_", "OPENAI_"))}
    child = subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "mcp", "--http", "--port", "0", "--root", str(pictures)],
        cwd=cwd,
        env={**kept, "IMAGERAG_HOME": str(home)},
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)),
    )
    assert child.stderr is not None
    try:
        yield child, re.findall(r"http://\S+", child.stderr.readline().decode())[0]
    finally:
        child.kill()
        child.wait(30)
        child.stderr.close()


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[Memory]:
    memory = Memory(pid)
    memory.look()
    task = asyncio.create_task(memory.watch())
    try:
        yield memory
    finally:
        task.cancel()


async def answered(client: Client, within_s: float, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool says within the time."""
    async with asyncio.timeout(within_s):
        found = await client.call_tool(tool, arguments)
    assert not found.is_error, found.content
    return dict(found.structured_content or {})


@pytest.mark.skipif(sys.platform != "linux", reason="counts files and memory as Linux does")
@pytest.mark.timeout(300)
async def test_1100_idle_connections_8_bombs_and_one_honest_client(sketch_home: Path, tmp_path: Path) -> None:
    if (raise_file_limit(1400) or 1400) < 1400:
        pytest.skip("this machine lets nobody open 1,400 files")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "good.png").write_bytes(tiny_png("good"))
    for name, made in BOMBS.items():
        (pictures / name).write_bytes(made())
    home = copied(sketch_home, tmp_path / "home")
    with serving(home, pictures, tmp_path) as (child, url), ExitStack() as idle:
        place = ("127.0.0.1", int(url.rpartition(":")[2].partition("/")[0]))
        async with Client(url, mode="legacy") as honest, Client(url, mode="legacy") as hostile:
            loaded = await honest.call_tool("generate_image", {"prompt": "a red solid circle"})
            assert (loaded.structured_content or {})["outcome"] == "aligned"
            begun = time.monotonic()
            await answered(honest, 60, "search_references", query="a red circle")
            within_s = max(ANSWERED_S, ANSWERED_TIMES * (time.monotonic() - begun))
            async with watched(child.pid) as memory:
                before = memory.own
                for _ in range(550):
                    idle.enter_context(socket.create_connection(place, 10))
                over = asyncio.Event()
                bad = [asyncio.ensure_future(handed_in(hostile, name, until=over)) for name in BOMBS]
                started = [
                    await answered(honest, within_s, "start_image", prompt=f"a {colour} solid circle", keep=True)
                    for colour in ("red", "blue")
                ]
                for _ in range(550):
                    idle.enter_context(socket.create_connection(place, 10))
                async with asyncio.timeout(within_s), Client(url, mode="legacy") as newcomer:
                    assert (await newcomer.list_tools()).tools
                assert (await answered(honest, within_s, "search_references", query="a red circle"))["hits"]
                assert (await answered(honest, within_s, "search_references", image="good.png"))["hits"]
                assert not any(task.done() for task in bad), "the bombs were under way meanwhile"
                over.set()
                for one in started:
                    done = await honest.call_tool("run_result", {"run_id": one["run_id"], "wait_s": 50})
                    assert (done.structured_content or {})["outcome"] == "aligned"
                for name, answer in zip(BOMBS, await asyncio.gather(*bad), strict=True):
                    shown = name == "frames.png"  # of its frames the first is shown
                    assert answer.is_error is not shown, (name, answer.content)
                    assert shown or refused(answer), (name, answer.content)
                assert len(os.listdir(f"/proc/{child.pid}/fd")) < 1024
                assert child.poll() is None
        print(f"\nserver {before:.0f} MB, then {memory.own:.0f}; {memory.count} others {memory.children:.0f} MB")
        assert memory.count >= 1
        assert memory.own < before + SERVER_MB
        assert memory.children < DECODERS_MB
        child.terminate()
        assert b"as many as there may be" in child.stderr.read()
