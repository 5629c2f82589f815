"""Real Chromium for tests of pages, through Playwright; skips with the reason where there is none.

Tests and fixtures that use it run on the session's event loop:

    pytestmark = pytest.mark.asyncio(loop_scope="session")

    async def test_a_page(browser_page: Page, ui: UiServer) -> None: ...
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Frame, Locator, Page, Request, async_playwright, expect

PLACES: Final = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PATIENCE_MS: Final = 120_000
"""A loaded machine is no fault of the page."""

expect.set_options(timeout=PATIENCE_MS)


def chromium_path() -> str | None:
    """The browser: IMAGERAG_TEST_CHROMIUM, or the first that is installed."""
    return os.environ.get("IMAGERAG_TEST_CHROMIUM") or next(filter(None, map(shutil.which, PLACES)), None)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all tests of a process."""
    path = chromium_path()
    if path is None:
        reason = "no Chromium: apt-get install chromium, or IMAGERAG_TEST_CHROMIUM=PATH"
        pytest.fail(reason) if os.environ.get("IMAGERAG_TEST_CHROMIUM_NEEDED") else pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shared_context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A profile with a window that stays open: to open and close one took most of many a test."""
    context = await chromium.new_context(viewport={"width": 1200, "height": 900}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    await context.new_page()
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser_context(shared_context: BrowserContext) -> AsyncIterator[BrowserContext]:
    """A profile with nothing stored, 1,200 pixels wide, that reaches nothing but this machine."""
    async with emptied(shared_context):
        yield shared_context


@asynccontextmanager
async def emptied(context: BrowserContext) -> AsyncIterator[None]:
    """Close the tabs that the block opens, and remove the cookies, files and data that its pages store."""
    before, origins = context.pages, set[str]()

    def note(request: Request) -> None:
        origins.add("/".join(request.url.split("/")[:3]))

    context.on("request", note)
    try:
        yield
    finally:
        context.remove_listener("request", note)
        for page in context.pages:
            if page not in before:
                await page.close()
        await context.clear_cookies()
        session = await context.new_cdp_session(before[0])
        await session.send("Network.clearBrowserCache")
        for origin in origins:
            await session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        await session.detach()


@pytest_asyncio.fixture(loop_scope="session")
async def browser_page(browser_context: BrowserContext) -> AsyncIterator[Page]:
    """A tab. The test fails when a script of the page does, or the content security policy refuses something."""
    page = await browser_context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield page
    assert problems == []


async def width_of(image: Locator) -> int:
    """The width of an image in pixels, once it is loaded; an image of the page may come later than its element."""
    await image.scroll_into_view_if_needed()
    await expect(image).to_have_js_property("complete", True)
    return int(await image.evaluate("image => image.naturalWidth"))


async def violations(page: Page | Frame) -> list[str]:
    """What axe finds on a page that is serious or critical: rule and elements."""
    found = (await Axe().run(page)).response["violations"]
    grave = (one for one in found if one["impact"] in ("serious", "critical"))
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']][:3]}" for one in grave]
