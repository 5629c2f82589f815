"""The comparison of two attempts in a browser: how they are shown, keys, and the difference."""

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser import violations
from tests.ui.results.conftest import Results

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def transforms(page: Page) -> list[str]:
    """How each of the three images is moved and enlarged."""
    found: list[str] = await page.evaluate(
        "() => ['left', 'right', 'difference'].map(id => document.getElementById(id).style.transform)"
    )
    return found


async def test_everything_by_keyboard(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/compare?a=first&b=second")
    stage, right = browser_page.locator("#stage"), browser_page.locator("#right-pick")
    await expect(right).to_have_value("b1")
    await stage.focus()
    for key, mode in (("2", "difference"), ("3", "side"), ("4", "fade"), ("1", "slider")):
        await browser_page.keyboard.press(key)
        await expect(stage).to_have_attribute("data-mode", mode)
    await browser_page.keyboard.press("ArrowRight")
    await expect(right).to_have_value("a0")
    await browser_page.keyboard.press("Shift+ArrowLeft")
    await expect(browser_page.locator("#left-pick")).to_have_value("b1")
    await browser_page.keyboard.press("+")
    await browser_page.keyboard.press("+")
    moved = await transforms(browser_page)
    assert len(set(moved)) == 1  # locked together
    assert "scale(1.5625)" in moved[0]
    await browser_page.keyboard.press("0")
    assert set(await transforms(browser_page)) == {"translate(0px, 0px) scale(1)"}
    await browser_page.keyboard.press("x")
    await browser_page.reload()
    await expect(right).to_have_value("b1")


async def test_images_are_moved_together_and_the_slider_slides(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/compare?a=first")
    stage = browser_page.locator("#stage")
    box = await stage.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    await browser_page.mouse.move(*middle)
    await browser_page.mouse.down()
    await browser_page.mouse.move(box["x"] + box["width"] / 4, middle[1])
    await browser_page.mouse.up()
    await expect(browser_page.locator("#position")).to_have_value("25")
    await browser_page.mouse.wheel(0, -400)
    await expect(browser_page.locator("#zoom-now")).to_have_text("272 %")
    before = await transforms(browser_page)
    assert len(set(before)) == 1
    assert "scale(2.7" in before[0]
    await browser_page.mouse.move(box["x"] + 0.7 * box["width"], middle[1])
    await browser_page.mouse.down()
    await browser_page.mouse.move(box["x"] + 0.6 * box["width"], middle[1] - 30)
    await browser_page.mouse.up()
    after = await transforms(browser_page)
    assert after != before
    assert len(set(after)) == 1


async def test_the_difference_has_a_number_and_a_picture(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/compare?a=first&mode=difference")
    await expect(browser_page.locator("#differ")).to_contain_text("of the image differs visibly")
    picture = browser_page.locator("#difference")
    await expect(picture).to_be_visible()
    await browser_page.wait_for_function("() => document.getElementById('difference').naturalWidth === 256")
    await browser_page.locator("#right-pick").select_option("a0")
    await expect(browser_page.locator("#differ")).to_have_text("0 % of the image differs visibly")
    await expect(browser_page.locator("#compared-facts")).to_contain_text("2 of 3 met")


async def test_two_runs_are_compared_step_by_step(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/compare?a=first&b=second")
    await expect(browser_page.locator("main")).to_contain_text("First divergence")
    await expect(browser_page.locator("main")).to_contain_text("seed: 0 → 4")
    assert await violations(browser_page) == []


@pytest.mark.parametrize("width", [400, 2560])
async def test_it_fits_any_screen(browser_page: Page, results: Results, width: int) -> None:
    await browser_page.set_viewport_size({"width": width, "height": 900})
    for address in ("/compare?a=first&b=second", "/runs", "/runs/first", "/batches"):
        await browser_page.goto(f"{results.address}{address}")
        assert await browser_page.evaluate("() => document.documentElement.scrollWidth") <= width, address


@pytest.mark.parametrize(("query", "status"), [("a=nothing", 404), ("a=first&b=nothing", 404), ("", 404)])
async def test_runs_that_are_not_there(results: Results, query: str, status: int) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(f"{results.address}/compare?{query}")).status_code == status
        missing = await client.get(f"{results.address}/compare/difference?a={'0' * 64}&b=../../etc/passwd")
    assert missing.status_code == 404
