"""The pictures of the page in README and docs, taken in a real browser: `make docs` writes them anew."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Page, expect

from tests.ui.conftest import UiServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

PICTURES = Path(__file__).parents[2] / "docs" / "images"
PROMPT = "a teal checkered crescent and a red solid circle"
LARGEST = 150_000
"""Bytes of a picture."""


async def picture(page: Page, name: str, *, width: int = 1200, height: int = 860, dark: bool = False) -> None:
    """Take a picture, and where documents are written keep it; that of the documents has to be there."""
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.wait_for_function("() => [...document.images].every(one => one.complete || one.loading === 'lazy')")
    shown = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    colours = shown.getcolors(maxcolors=1 << 24)
    assert colours is not None
    assert max(count for count, _ in colours) < 0.97 * shown.width * shown.height, "an empty page"
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        shown.quantize(256).save(PICTURES / name, optimize=True)
    assert (PICTURES / name).stat().st_size < LARGEST


async def test_generated_pictures_of_the_page(browser_page: Page, ui: UiServer) -> None:
    await browser_page.goto(ui.address)
    await browser_page.get_by_label("Prompt").fill(PROMPT)
    await expect(browser_page.get_by_text("At most").first).to_be_visible()
    await picture(browser_page, "page-draw.png")
    await browser_page.get_by_role("button", name="Draw", exact=True).click()
    await expect(browser_page.locator(".badge").first).to_have_text("aligned", timeout=150_000)
    await expect(browser_page.get_by_role("link", name="Compare attempts")).to_be_visible()
    await picture(browser_page, "page-run.png", height=1000)
    await picture(browser_page, "page-run-phone.png", width=400, height=860, dark=True)
    await browser_page.get_by_role("link", name="Compare attempts").click()
    await expect(browser_page.get_by_label("Left").first).to_be_visible()
    await picture(browser_page, "page-compare.png")
    await browser_page.goto(f"{ui.address}/library/sketch")
    await browser_page.get_by_label("Words", exact=True).fill("a blue striped triangle")
    await browser_page.get_by_role("button", name="Search", exact=True).click()
    await expect(browser_page.get_by_text("reach the threshold")).to_be_visible()
    await picture(browser_page, "page-library.png")
