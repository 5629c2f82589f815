"""The profile that tests of pages share holds nothing of the test before."""

import pytest
from playwright.async_api import BrowserContext

from tests.browser import emptied
from tests.ui.conftest import UiServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

STORE = """async () => {
  document.cookie = "one=1"; localStorage.setItem("two", "2"); sessionStorage.setItem("three", "3");
  await (await caches.open("four")).put("/four", new Response("4"));
}"""
STORED = """async () => [
  document.cookie, localStorage.getItem("two"), sessionStorage.getItem("three"), await caches.keys(),
]"""


async def test_tabs_cookies_and_stored_data_are_gone(shared_context: BrowserContext, shared_ui: UiServer) -> None:
    before = shared_context.pages
    async with emptied(shared_context):
        page = await shared_context.new_page()
        await page.goto(shared_ui.address)
        await page.evaluate(STORE)
        assert await page.evaluate(STORED) == ["one=1", "2", "3", ["four"]]
    assert shared_context.pages == before
    async with emptied(shared_context):
        page = await shared_context.new_page()
        await page.goto(shared_ui.address)
        assert await page.evaluate(STORED) == ["", None, None, []]
