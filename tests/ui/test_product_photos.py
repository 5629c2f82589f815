"""The page on photos of products: from an empty library to a run that was made with one of them."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser import width_of
from tests.ui.conftest import UiServer, violations

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos" / "saleor"
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no product photos at {PHOTOS.parent}"),
]

NAMES = ("saleor-blue-hoodie.png", "saleor-mighty-mug.png", "saleor-sunnies.png", "saleor-white-parrot-cushion.png")


async def test_photos_are_added_found_and_drawn_with(browser_page: Page, ui: UiServer) -> None:
    page = browser_page
    await page.goto(f"{ui.address}/library")
    await page.get_by_text("New library", exact=True).click()
    await page.get_by_label("Name", exact=True).fill("products")
    await page.get_by_role("button", name="Make it").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("products")
    await page.wait_for_load_state("load")
    await page.locator("#files").set_input_files([PHOTOS / name for name in NAMES])
    await expect(page.locator("#staged-count")).to_have_text("4 pictures are ready")
    await page.get_by_label("Caption of saleor-mighty-mug.png").fill("a mighty mug")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator(".task").first).to_contain_text("4 new pictures")
    await expect(page.locator("#count")).to_have_text("4 pictures")
    shown = page.locator(".tile img")
    await expect(shown.first).to_be_visible()
    assert await width_of(shown.first) > 0
    assert await violations(page) == []

    await page.get_by_label("Words", exact=True).fill("a mighty mug")
    await page.get_by_role("button", name="Search", exact=True).click()
    await expect(page.get_by_text("4 results")).to_be_visible()
    found = await ui.state.rag.libraries.browse("products", filter="caption~mug")
    mug = found.records[0].id

    await page.goto(f"{ui.address}/?reference={mug}&library=products")
    await page.get_by_label("Prompt", exact=True).fill("a red solid circle beside my cup")
    await page.get_by_role("button", name="Draw", exact=True).click()
    await expect(page.locator("[data-stage=ended] .badge").first).to_be_visible()
    await page.reload()
    await expect(page.locator("[data-stage=ended] .badge").first).to_be_visible()
    record = await ui.state.rag.runs.get(page.url.rpartition("/")[2])
    assert record.attempts, record.reason
    assert mug in {reference.image.sha256 for made in record.attempts for reference in made.references}
