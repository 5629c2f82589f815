"""A library whose encoder is behind a server: indexed, searched, opened again, and refused where it cannot be one."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.errors import BackendError, EmbeddingMismatchError, SpecError
from tests.tools.embedders.embedding_server import EmbeddingServer, Reply, embedding_server

COLOURS = {"red": "a red square", "lime": "a green square", "blue": "a blue square"}


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as one:
        yield one


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for colour, caption in COLOURS.items():
        out = io.BytesIO()
        Image.new("RGB", (60, 60), colour).save(out, "PNG")
        (folder / f"{colour}.png").write_bytes(out.getvalue())
        (folder / f"{colour}.txt").write_text(caption)
    return folder


async def test_a_library_is_indexed_searched_and_opened_again(
    server: EmbeddingServer, images: Path, tmp_path: Path
) -> None:
    home, spec = str(tmp_path / "home"), f"openai:clip-x@{server.at}"
    rag = ImageRAG(preset="sketch", home=home, library="mine")
    report = await rag.libraries.index(images, embedder=spec)
    assert (report.added, report.skipped) == (3, [])
    opened = await rag.libraries.open()
    assert opened.metadata.spec == f"openai:clip-x?length=8@{server.at}"
    again = ImageRAG(preset="sketch", home=home, library="mine")
    server.bodies.clear()
    hits = await (await again.libraries.open()).search("something green", k=3)
    assert hits[0].title == "lime"
    assert len(server.bodies) == 1, "one request for the query, none for what the library knows"
    by_image = await (await again.libraries.open()).search_by_image((images / "blue.png").read_bytes(), k=1)
    assert by_image[0].title == "blue"
    with pytest.raises(EmbeddingMismatchError, match=r"was built with openai:clip-x"):
        await again.libraries.open(embedder=f"openai:clip-y@{server.at}")
    server.length = 6
    with pytest.raises(BackendError, match="6 numbers where 8 are expected"):
        await (await again.libraries.open()).search("something green", k=3)


async def test_an_encoder_of_texts_makes_no_library(server: EmbeddingServer, images: Path, tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=str(tmp_path / "home"), library="mine")
    for dry_run in (True, False):
        with pytest.raises(SpecError, match="embeds texts only"):
            await rag.libraries.index(images, embedder=f"openai:words?length=8@{server.at}", dry_run=dry_run)
    with pytest.raises(SpecError, match="embeds texts only"):
        await rag.libraries.similarity(images / "red.png", "red", embedder=f"openai:words?length=8@{server.at}")
    assert "mine" not in await rag.libraries.list()
    assert server.bodies == []


async def test_a_server_that_is_down_leaves_no_library(server: EmbeddingServer, images: Path, tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", home=str(tmp_path / "home"), library="mine")
    server.script = [Reply(401, {"error": {"message": "no"}})]
    with pytest.raises(BackendError, match="HTTP 401"):
        await rag.libraries.index(images, embedder=f"openai:clip-x@{server.at}")
    report = await rag.libraries.index(images, embedder=f"openai:clip-x@{server.at}")
    assert report.added == 3
