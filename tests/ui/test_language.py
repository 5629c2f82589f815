"""The language of the page: the browser's, the server's, or the one that a reader chooses."""

from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect

from imagerag import ImageRAG
from imagerag.formatting.texts import texts
from imagerag.http_server.access import HttpOptions
from imagerag.ui.guard import csrf_token
from imagerag.ui.requests import LANGUAGE_COOKIE
from imagerag.ui.state import UiState
from tests.browser import PATIENCE_MS
from tests.ui.conftest import UiServer, client_of, violations

IN_BROWSER: Final = pytest.mark.asyncio(loop_scope="session")
HEADINGS: Final = {language: f"<h1>{texts(language)('draw.title')}" for language in ("en", "de")}


@IN_BROWSER
async def test_a_reader_chooses_the_language_and_stays_on_the_page(browser_page: Page, shared_ui: UiServer) -> None:
    await browser_page.goto(f"{shared_ui.address}/runs?text=a%20%26%20b")
    await browser_page.get_by_role("button", name="Deutsch").click()
    heading = browser_page.get_by_role("heading", name="Läufe", exact=True)
    await expect(heading).to_be_visible()
    assert browser_page.url == f"{shared_ui.address}/runs?text=a%20%26%20b"
    assert await violations(browser_page) == []
    await browser_page.reload()
    await expect(heading).to_be_visible()
    await browser_page.get_by_role("link", name="Zeichnen").click()
    await expect(browser_page.locator("html")).to_have_attribute("lang", "de")
    await expect(browser_page.locator("#estimate")).to_contain_text("8 Aufrufe")  # what scripts ask for, too
    await browser_page.get_by_label("Prompt", exact=True).fill("ein roter Kreis")
    await browser_page.get_by_role("button", name="English").click()
    await expect(browser_page.locator("html")).to_have_attribute("lang", "en")
    await expect(browser_page.get_by_label("Prompt", exact=True)).to_have_value("ein roter Kreis")


@IN_BROWSER
async def test_the_choice_needs_no_scripts(chromium: Browser, shared_ui: UiServer) -> None:
    context = await chromium.new_context(java_script_enabled=False, locale="de-AT")
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto(f"{shared_ui.address}/library")
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await page.get_by_role("button", name="English").click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    assert page.url == f"{shared_ui.address}/library"
    await context.close()


def state_at(home: Path, language: str | None = None, token: str | None = None) -> UiState:
    return UiState(rag=ImageRAG(preset="sketch", home=home), http=HttpOptions(token=token), language=language)


@pytest.mark.parametrize(
    ("cookie", "server", "browser", "language"),
    [
        ("", None, "de-AT,en;q=0.5", "de"),
        ("", None, "", "en"),
        ("", "de", "en", "de"),
        ("en", "de", "de", "en"),
        ("de", None, "en", "de"),
        ("xx", None, "de", "de"),
        ("xx", "de", "en", "de"),
    ],
)
async def test_the_choice_is_before_the_servers_language_and_that_before_the_browsers(
    sketch_home: Path, cookie: str, server: str | None, browser: str, language: str
) -> None:
    headers = {"Cookie": f"{LANGUAGE_COOKIE}={cookie}", "Accept-Language": browser}
    async with client_of(state_at(sketch_home, server)) as client:
        assert HEADINGS[language] in (await client.get("/", headers=headers)).text


async def test_the_cookie_of_a_choice(tmp_path: Path) -> None:
    state = state_at(tmp_path, token="0123456789abcdefSECRET")
    form = {"csrf": csrf_token(state), "language": "de", "next": "/login?next=/runs"}
    async with client_of(state) as client:  # before the token is shown, too
        answer = await client.post("/language", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, form["next"])
        kept = answer.headers["set-cookie"]
        assert kept.startswith(f"{LANGUAGE_COOKIE}=de;")
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(kept.split("; "))
        for wrong, status in (({"csrf": "x"}, 403), ({"csrf": "ü"}, 403), ({"language": "xx"}, 400)):
            answer = await client.post("/language", data=form | wrong)
            assert (answer.status_code, answer.headers.get("set-cookie")) == (status, None)
        for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", ""):
            answer = await client.post("/language", data=form | {"next": elsewhere})
            assert answer.headers["location"] == "/"
