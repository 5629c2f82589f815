"""The list of runs in a browser: 200 of them, filters, several picked, removal."""

import httpx
import pytest
from playwright.async_api import BrowserContext, Page, expect

from imagerag.ui.guard import csrf_token
from tests.browser import violations
from tests.gated_generator import GatedGenerator
from tests.ui.results.conftest import LISTED, Results

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_hundred_runs_are_listed_as_they_are_scrolled_to(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/runs")
    cards, count = browser_page.locator(".card"), browser_page.locator("#count")
    shown = int((await count.inner_text()).split()[0].replace(",", ""))
    assert shown >= LISTED
    assert await cards.count() < shown
    assert await violations(browser_page) == []
    await browser_page.wait_for_function(
        "() => { scrollTo(0, document.body.scrollHeight); return !document.querySelector('[data-more]'); }"
    )
    await expect(cards).to_have_count(shown)
    # Images are loaded as they are scrolled to, each a small one.
    loaded = await browser_page.evaluate(
        "() => performance.getEntriesByType('resource').map(one => one.name).filter(name => name.includes('/images/'))"
    )
    assert all("side=384" in address for address in loaded)


async def test_filters_act_at_once_and_survive_a_reload(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/runs")
    await browser_page.get_by_label("Prompt", exact=True).fill("LISTED number 00")
    await expect(browser_page.locator("#count")).to_have_text("10 runs")
    await browser_page.get_by_label("Outcome").select_option("refused")
    await expect(browser_page.locator("#count")).to_have_text("1 run")
    await expect(browser_page.locator(".card h3")).to_have_text("listed number 003")
    await browser_page.reload()
    await expect(browser_page.locator(".card h3")).to_have_text("listed number 003")
    await expect(browser_page.get_by_label("Outcome")).to_have_value("refused")
    await browser_page.get_by_label("$ at least").fill("-5")
    await expect(browser_page.get_by_role("alert")).to_have_text("$ at least: at least 0, not '-5'")
    await expect(browser_page.locator(".card h3")).to_have_text("listed number 003")
    await browser_page.get_by_label("$ at least").fill("5")
    await expect(browser_page.locator(".nothing")).to_have_text("No run like that.")


async def test_two_picked_runs_are_compared(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/runs?text=crescent")
    await browser_page.locator("[data-run=first] .pick input").check()
    await expect(browser_page.get_by_role("button", name="Compare")).to_be_disabled()
    await browser_page.locator("[data-run=second] .pick input").check()
    await browser_page.get_by_role("button", name="Compare").click()
    await expect(browser_page.locator("#viewer")).to_be_visible()
    assert "compare?a=first&b=second" in browser_page.url


async def test_a_removed_run_is_gone_in_the_other_tab_too(
    browser_page: Page, browser_context: BrowserContext, results: Results
) -> None:
    record = await results.state.rag.generate("a blue circle to go", run_id="to-go", max_rounds=0)
    other = await browser_context.new_page()
    await other.goto(f"{results.address}/runs/{record.run_id}")
    await browser_page.goto(f"{results.address}/runs?text=to+go")
    await browser_page.locator(".pick input").check()
    await browser_page.get_by_role("button", name="Delete…").click()
    dialog = browser_page.get_by_role("dialog")
    await expect(dialog).to_contain_text("a blue circle to go")
    await expect(dialog).to_contain_text("B go for good")  # how many bytes
    await browser_page.keyboard.press("Escape")
    await expect(browser_page.locator(".card")).to_have_count(1)
    await browser_page.get_by_role("button", name="Delete…").click()
    await dialog.get_by_role("button", name="Delete", exact=True).click()
    await expect(browser_page.locator(".nothing")).to_be_visible()
    await other.locator("#continue summary").first.click()
    await expect(other.locator("#status")).to_contain_text("no run “to-go”")
    answer = await other.goto(f"{results.address}/runs/{record.run_id}")
    assert answer is not None
    assert answer.status == 404
    await expect(other.locator("main p").first).to_have_text("no run “to-go”: it may have been deleted")


async def test_hostile_prompts_are_text(browser_page: Page, results: Results) -> None:
    dialogs: list[str] = []
    browser_page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await browser_page.goto(f"{results.address}/runs?text=alert")
    await expect(browser_page.locator(".card h3")).to_contain_text("<script>alert(1)</script>")
    await browser_page.goto(f"{results.address}/runs/{results.hostile.run_id}")
    await expect(browser_page.locator("h1")).to_contain_text("{{ 7 * 6 }}")
    await browser_page.goto(f"{results.address}/compare?a={results.hostile.run_id}&b={results.first.run_id}")
    await expect(browser_page.locator("h1").first).to_contain_text("<img src=x")
    assert dialogs == []


@pytest.mark.parametrize(
    ("query", "said"),
    [("since=yesterday", "From: "), ("min_cost=-1", "$ at least: "), ("max_cost=much", "$ at most: ")],
)
async def test_a_filter_that_cannot_be_is_said_and_the_others_hold(results: Results, query: str, said: str) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"{results.address}/runs?text=number+003&{query}")
    assert answer.status_code == 200
    assert answer.text.split('role="alert">')[1].startswith(said)
    assert answer.text.count("data-run=") == 1


async def test_a_run_that_is_being_made_is_not_removed(results: Results) -> None:
    state = results.state
    rag = state.rag.with_options(generator="gated")
    rag.dependencies.use("generator", "gated", GatedGenerator())
    task = state.tasks.start("under-way", rag.stream("a green circle", run_id="under-way"))
    async with httpx.AsyncClient(timeout=60, headers={"x-csrf-token": csrf_token(state)}) as client:
        answer = await client.post(f"{results.address}/runs/remove", json={"runs": ["under-way"], "dry_run": False})
    task.stop()
    assert answer.status_code == 400
    async for _ in task.follow(beat_s=10):
        pass
