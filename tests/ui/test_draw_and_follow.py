"""A run from the form to its image, in a real browser."""

import pytest
from playwright.async_api import Page, expect

from tests.browser import width_of
from tests.ui.conftest import UiServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_prompt_becomes_an_image_that_is_judged(browser_page: Page, ui: UiServer) -> None:
    await browser_page.goto(ui.address)
    await browser_page.get_by_label("Prompt").fill("a red square")
    await browser_page.get_by_role("button", name="Draw").click()
    await expect(browser_page.get_by_role("heading", level=1)).to_have_text("a red square")
    await expect(browser_page.locator(".badge").first).to_have_text("aligned")
    image = browser_page.get_by_role("img", name="attempt 1")
    assert await width_of(image) == 256


async def test_keys_that_are_held_down_start_one_run(browser_page: Page, ui: UiServer) -> None:
    await browser_page.goto(ui.address)
    prompt = browser_page.get_by_label("Prompt")
    await prompt.fill("a blue circle")
    await prompt.evaluate(
        """field => {
          const press = () => field.dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
          for (let times = 0; times < 3; times += 1) press();
          window.again = setInterval(press, 20);
        }"""
    )
    await expect(browser_page.locator(".badge").first).to_have_text("aligned")
    assert len(await ui.state.rag.runs.list()) == 1
    await browser_page.go_back()
    await expect(browser_page.get_by_role("button", name="Draw")).to_be_enabled()


async def test_a_server_that_does_not_answer_is_said_in_the_readers_language(browser_page: Page, ui: UiServer) -> None:
    await browser_page.context.add_cookies([{"name": "imagerag_language", "value": "de", "url": ui.address}])
    await browser_page.goto(ui.address)
    await browser_page.route("**/pick/**", lambda route: route.abort())
    await browser_page.get_by_role("button", name="Aus früheren Läufen").click()
    await expect(browser_page.locator("#status")).to_contain_text("der Server antwortet nicht")
    assert await browser_page.locator("#status").evaluate("element => element.matches(':popover-open')")
