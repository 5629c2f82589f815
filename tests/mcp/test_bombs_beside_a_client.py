"""Eight image files that ask for minutes, and one client who asks for something ordinary: the client is answered."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from imagerag.files.access_policy import InputPolicy
from imagerag.store.data_dir import DataDir
from imagerag.store.library.indexing.ingest import index
from imagerag.store.library.library import Library
from imagerag.tools.testing.fakes import HashEmbedder
from imagerag.tools.testing.mock_openai import tiny_png
from tests import bombs
from tests.conftest import copied
from tests.mcp.conftest import IMPATIENT, handed_in, refused
from tests.processes import relayed

KINDS: dict[str, Callable[[], bytes]] = {
    "scans.jpg": lambda: bombs.jpeg_of_scans(40_000),
    "chunks.png": lambda: bombs.png_of_empty_chunks(3_000_000),
    "comments.gif": lambda: bombs.gif_of_comments(30_000_000),
    "claims.tif": bombs.tiff_of_claims,
}


@pytest.fixture
async def armed(place: Any, tmp_path: Path) -> Any:
    """The place, with a library on disk and a folder that holds bombs and a good picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "good.png").write_bytes(tiny_png("one"))
    place.library = await Library.create_or_open(DataDir.find(place.home), "shop", HashEmbedder())
    await index([folder], place.library)
    for name, made in KINDS.items():
        (folder / name).write_bytes(made())
    place.folder = folder
    return place


async def test_the_client_is_answered_while_bombs_are_decoded(armed: Any, impatient_decoders: None) -> None:
    """Over HTTP, in the newer generation of the protocol; `test_concurrent_calls.py` is about the older one."""
    policy = InputPolicy.of([armed.folder])
    async with armed.listening(inputs=policy) as url, Client(url, mode="2026-07-28") as client:
        assert await _beside_bombs(client) == (1, 1)


async def test_over_stdio_too(sketch_home: Path, tmp_path: Path) -> None:
    """There is one client, and one server for it: what it asks beside the bombs is answered all the same."""
    folder, home = tmp_path / "pictures", tmp_path / "home"
    copied(sketch_home, home)
    folder.mkdir()
    (folder / "good.png").write_bytes(tiny_png("one"))
    for name, made in KINDS.items():
        (folder / name).write_bytes(made())
    program = IMPATIENT.replace("lambda pixels: 1", "lambda pixels: 0")  # no bomb here is shown in the end
    command, *rest = relayed("-c", program, "--home", home, "mcp", "--preset", "sketch", "--root", folder)
    server = StdioServerParameters(command=command, args=rest, env=dict(os.environ), cwd=str(tmp_path))
    async with Client(server) as client:
        await client.call_tool("search_references", {"query": "anything"})  # what is slow to load is loaded
        assert min(await _beside_bombs(client)) > 0


async def _beside_bombs(client: Client) -> tuple[int, int]:
    """Hand in bombs, and ask meanwhile with a good picture and with words: how many pictures are found by each."""
    over = asyncio.Event()
    bad = [asyncio.ensure_future(handed_in(client, name, until=over)) for name in KINDS]
    await asyncio.sleep(0.3)
    good = await client.call_tool("search_references", {"image": "good.png"})
    words = await client.call_tool("search_references", {"query": "anything"})
    assert not any(task.done() for task in bad), "the client did not wait for them"
    over.set()
    for answer in await asyncio.gather(*bad):
        assert answer.is_error
        assert refused(answer), answer.content
    return len(good.structured_content["hits"]), len(words.structured_content["hits"])
