"""Choosing references on the page of a run that waits, and what another tab hears of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.ui.conftest import UiServer, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "a teal checkered crescent and a red solid circle"


@pytest_asyncio.fixture(loop_scope="session")
async def waiting(shared_ui: UiServer) -> AsyncIterator[str]:
    """The address of a run that waits for a choice."""
    record = await shared_ui.state.rag.generate(PROMPT, select=True, threshold="off", max_rounds=1)
    assert record.status == "interrupted"
    yield f"{shared_ui.address}/runs/{record.run_id}"


async def test_the_choice_counts_and_the_other_tab_hears_of_it(browser_context: BrowserContext, waiting: str) -> None:
    first, second = await browser_context.new_page(), await browser_context.new_page()
    await first.goto(waiting)
    await second.goto(waiting)
    await expect(second.locator("[data-stage=waiting] .badge")).to_have_text("waits for a choice")
    await expect(first.locator(".attempt .result")).to_have_count(0)
    offer = first.get_by_role("checkbox", name="Luna Lamp 7")
    await expect(first.locator("#choice .estimate")).to_contain_text("At most")
    await expect(first.get_by_role("button", name="Use these")).to_be_disabled()
    await offer.focus()
    await first.keyboard.press("Space")
    await first.get_by_role("button", name="Use this one").click()
    # It is shown for four seconds: before the run ends.
    await expect(second.locator("#status")).to_contain_text("answered elsewhere")
    for tab in (first, second):
        await expect(tab.locator("[data-stage=ended] .badge")).to_have_text("aligned")
        await expect(tab.locator("#choice")).to_have_count(0)


async def test_more_than_the_generator_takes_cannot_be_ticked(
    browser_page: Page, waiting: str, shared_ui: UiServer
) -> None:
    await browser_page.goto(waiting)
    assert await violations(browser_page) == []
    boxes = browser_page.locator("#choice [name=choose]")
    most = int(await browser_page.locator("#choice").get_attribute("data-most") or 0)
    assert await boxes.count() > most
    for number in range(most):
        await boxes.nth(number).check()
    await boxes.nth(most).click()
    await expect(boxes.nth(most)).not_to_be_checked()
    await expect(browser_page.locator("#status")).to_contain_text(f"{most} at most")
    await boxes.nth(0).uncheck()
    await boxes.nth(most).check()
    await browser_page.get_by_role("button", name=f"Use these {most}").click()
    await expect(browser_page.locator("[data-stage=ended]")).to_be_visible()
    record = await shared_ui.state.rag.runs.get(waiting.rpartition("/")[2])
    ids = [one["id"] for one in (await offered(shared_ui, waiting))]
    assert [one.image.sha256 for one in record.attempts[1].references] == ids[1 : most + 1]


async def offered(server: UiServer, address: str) -> list[dict[str, str]]:
    """The candidates that a run offered, in the order of their numbers."""
    record = await server.state.rag.runs.get(address.rpartition("/")[2])
    found = [one for search in record.searches for one in search.candidates if one.decision != "near_duplicate"]
    return [{"id": one.image.sha256} for one in found]


async def test_none_of_them_and_one_to_edit_are_answers_too(browser_page: Page, waiting: str) -> None:
    await browser_page.goto(waiting)
    edit = browser_page.get_by_role("button", name="Edit this one").first
    await edit.click()
    await browser_page.get_by_role("checkbox").nth(1).check()
    # What else changes on the page takes no answer away that was not sent yet.
    await browser_page.evaluate(
        """async () => { const { replace, request } = await import("/static/app.js");
        replace(document.getElementById("run"), await request(`${location.pathname}/body`)); }"""
    )
    await expect(edit).to_have_attribute("aria-pressed", "true")
    await expect(browser_page.get_by_role("checkbox").nth(1)).to_be_checked()
    await browser_page.get_by_role("checkbox").nth(1).uncheck()
    await expect(browser_page.get_by_role("button", name="Use this one")).to_be_enabled()
    await edit.click()
    await expect(browser_page.get_by_role("button", name="Use these")).to_be_disabled()
    await browser_page.get_by_role("button", name="None of these").click()
    await expect(browser_page.locator("[data-stage=ended], [data-stage=waiting]")).to_be_visible()
    await expect(browser_page.get_by_text("not chosen", exact=True).first).to_be_visible()


async def test_what_a_run_waits_for_fits_its_card_at_400_pixels_in_german(browser_page: Page, waiting: str) -> None:
    await browser_page.set_viewport_size({"width": 400, "height": 800})
    await browser_page.goto(waiting.rpartition("/")[0])
    await browser_page.get_by_role("button", name="Deutsch").click()
    await expect(browser_page.get_by_text("wartet auf eine Auswahl").last).to_be_visible()
    beyond = """() => [...document.querySelectorAll(".card .badge")].filter(
        one => one.getBoundingClientRect().right > one.closest(".card").getBoundingClientRect().right).length"""
    assert await browser_page.evaluate(beyond) == 0


async def test_the_choice_can_be_made_at_400_pixels(browser_page: Page, waiting: str, tmp_path: Path) -> None:
    await browser_page.set_viewport_size({"width": 400, "height": 800})
    await browser_page.goto(waiting)
    assert await browser_page.evaluate("document.documentElement.scrollWidth") <= 400
