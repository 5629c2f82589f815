"""20,000 pictures scrolled: what is in the page and in the server stays small. With `-s` the figures are printed."""

import io
import resource
import time
from collections.abc import AsyncIterator
from functools import cache

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Page, expect

from imagerag import ImageRAG
from imagerag.evals.bench import synthetic_library as synthetic
from imagerag.http_server.access import HttpOptions
from imagerag.store.data_dir import DataDir
from imagerag.ui import thumbnail_cache
from imagerag.ui.state import UiState
from tests.ui.conftest import UiServer, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = 20_000
STOPS = (0.25, 0.5, 0.75, 1.0, 0.1)

SEEN = """const seen = () => new Promise((resolve) => {
    const look = () => {
        const shown = [...document.querySelectorAll(".tile img")].filter((image) => {
            const { top, bottom } = image.getBoundingClientRect();
            return bottom > 0 && top < innerHeight;
        });
        if (shown.length > 5 && shown.every((image) => image.naturalWidth)) resolve();
        else setTimeout(look, 10);
    };
    look();
});"""
"""Waits until all images on the screen are there."""


@cache
def thumbnail(kind: int) -> bytes:
    """256 by 192 pixels that compress about as badly as a photo."""
    noise = np.random.default_rng(kind).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((256, 192), Image.Resampling.BICUBIC).save(out, "WEBP", quality=80)
    return out.getvalue()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def many(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UiServer]:
    """A server with a library of 20,000 images."""
    home = tmp_path_factory.mktemp("many") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "_thumbnail", thumbnail)
        await synthetic.synthetic_library(DataDir(home), "many", ROWS)
    async with serving(UiState(rag=ImageRAG(preset="sketch", home=home), http=HttpOptions(port=0))) as server:
        yield server


async def test_only_what_is_near_the_screen_is_held(browser_page: Page, many: UiServer) -> None:
    page, seconds = browser_page, []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/thumbnails/" in request.url else None)
    await page.goto(f"{many.address}/library/many")
    await expect(page.locator("#count")).to_have_text("20,000 pictures")
    await expect(page.locator(".tile img").first).to_be_visible()
    tiles = [await page.locator(".tile").count()]
    for share in STOPS:
        started = time.monotonic()
        await page.evaluate(
            f"share => {{ {SEEN} scrollTo(0, share * document.body.scrollHeight); return seen(); }}", share
        )
        seconds.append(time.monotonic() - started)
        tiles.append(await page.locator(".tile").count())
    # The scroll bar dragged from end to end asks for next to nothing on its way.
    on_the_way = len(asked)
    await page.evaluate("""async () => {
        for (let at = 0; at <= 60; at += 1) {
            scrollTo(0, at / 60 * document.body.scrollHeight);
            await new Promise(requestAnimationFrame);
        }}""")
    await page.evaluate(f"() => {{ {SEEN} return seen(); }}")
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in (await session.send("Performance.getMetrics"))["metrics"]}
    heap, nodes = metrics["JSHeapUsedSize"], metrics["Nodes"]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"\n{ROWS:,} pictures: a jump shows its pictures after {np.median(seconds):.2f} s, {max(seconds):.2f} at most; "
        f"{max(tiles)} tiles and {nodes:.0f} nodes in the page, {heap / 1e6:.1f} MB of scripts' heap; "
        f"{len(asked)} thumbnails asked for; {many.state.thumbnails.held_bytes / 1e6:.1f} MB of thumbnails and "
        f"{(after - before) / 1000:.0f} MB more at most in the server"
    )
    assert max(tiles) < 400
    assert nodes < 20_000
    assert heap < 60e6
    assert many.state.thumbnails.held_bytes <= thumbnail_cache.ROOM
    assert len(asked) - on_the_way < 1500


async def test_one_page_of_thumbnails_is_one_query(many: UiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries, reads = many.state.rag.libraries, list[int]()
    read = libraries.thumbnails

    async def counted(ids: list[str], library: str) -> dict[str, bytes]:
        reads.append(len(ids))
        return await read(ids, library)

    monkeypatch.setattr(libraries, "thumbnails", counted)
    page = await libraries.browse("many", offset=9_000, limit=60)
    ids = [row.id for row in page.records]
    held = thumbnail_cache.ThumbnailCache()
    await held.load(many.state.rag, "many", ids)
    assert all([await held.get(many.state.rag, "many", one) for one in ids])
    assert reads == [60]
    assert await held.get(many.state.rag, "many", "0" * 64) is None
    small = thumbnail_cache.ThumbnailCache(room=held.held_bytes // 2)
    await small.load(many.state.rag, "many", ids)
    assert small.held_bytes <= held.held_bytes // 2
