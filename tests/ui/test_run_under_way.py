"""A run as its page shows it while it is made: here, in another process, stopped, or gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from imagerag import ImageRAG
from imagerag.agent.errors import BackendError
from imagerag.graphs.runs.events import RunEvent
from tests.gated_generator import GatedGenerator
from tests.ui.conftest import UiServer, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "a teal checkered crescent and a red solid circle"


@dataclass(frozen=True)
class Gated:
    server: UiServer
    generator: GatedGenerator

    async def draw(self, page: Page, prompt: str = PROMPT) -> None:
        """Fill in the form and begin."""
        await page.goto(self.server.address)
        await page.get_by_label("Prompt", exact=True).fill(prompt)
        await page.locator("#generator").evaluate("field => { field.value = 'gated' }")
        await page.get_by_role("button", name="Draw").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(prompt)


@pytest_asyncio.fixture(loop_scope="session")
async def gated(shared_ui: UiServer) -> AsyncIterator[Gated]:
    generator = GatedGenerator()
    shared_ui.state.rag.dependencies.use("generator", "gated", generator)
    yield Gated(shared_ui, generator)
    generator.may_draw.set()
    for task in shared_ui.state.tasks.active:
        task.stop()


async def test_steps_and_unfinished_images_show_as_they_come_and_reload_loses_nothing(
    browser_page: Page, gated: Gated
) -> None:
    await gated.draw(browser_page)
    await expect(browser_page.locator("[data-stage=here]")).to_be_visible()
    await expect(browser_page.locator("#step")).to_have_text("Step 3 of 20")
    partial = browser_page.get_by_role("img", name="Unfinished image")
    await expect(partial).to_be_visible()
    assert await violations(browser_page) == []
    await browser_page.reload()
    await expect(partial).to_be_visible()
    async with httpx.AsyncClient(timeout=60) as client:
        assert ">under way<" in (await client.get(f"{gated.server.address}/runs")).text
    gated.generator.may_draw.set()
    await expect(browser_page.locator("[data-stage=ended] .badge")).to_have_text("aligned")
    await expect(partial).to_have_count(0)
    await expect(browser_page.locator(".attempt")).to_have_count(2)
    await expect(browser_page.get_by_text("below threshold", exact=True).first).to_be_visible()


async def test_two_tabs_follow_one_run_and_each_can_stop_it(browser_context: BrowserContext, gated: Gated) -> None:
    first, second = await browser_context.new_page(), await browser_context.new_page()
    await gated.draw(first)
    await second.goto(first.url)
    await expect(second.locator("[data-stage=here]")).to_be_visible()
    await second.get_by_role("button", name="Stop").click()
    for tab in (first, second):
        await expect(tab.locator("[data-stage=ended] .badge")).to_have_text("cancelled")


async def test_a_run_of_another_process_is_followed_and_not_stopped(browser_page: Page, gated: Gated) -> None:
    state = gated.server.state
    other = ImageRAG(preset="sketch", generator="gated", home=state.rag.dependencies.home.root)
    other.dependencies.use("generator", "gated", gated.generator)
    async with aclosing(other.stream(PROMPT)) as events:
        run_id = (await anext(events)).run_id
        await anext(events)
        await browser_page.goto(f"{gated.server.address}/runs/{run_id}")
        await expect(browser_page.locator("[data-stage=elsewhere]")).to_contain_text("Another process makes this run")
        await expect(browser_page.get_by_role("button", name="Stop")).to_have_count(0)
        gated.generator.may_draw.set()
        async for _ in events:
            pass
    await expect(browser_page.locator("[data-stage=ended] .badge")).to_have_text("aligned")


async def test_a_run_that_nobody_makes_any_more_goes_on_and_pays_nothing_twice(
    browser_page: Page, gated: Gated
) -> None:
    state = gated.server.state
    other = ImageRAG(preset="sketch", home=state.rag.dependencies.home.root)
    object.__setattr__(other.runner, "left_open", True)  # as after a kill
    async with aclosing(other.stream(PROMPT)) as events:
        async for event in events:
            run_id = event.run_id
            if event.node == "critique":
                break
    await browser_page.goto(f"{gated.server.address}/runs/{run_id}")
    await expect(browser_page.locator("[data-stage=stopped] .badge")).to_have_text("Stopped in the middle")
    await expect(browser_page.locator(".go-on .estimate")).to_contain_text("At most")
    assert await violations(browser_page) == []
    await browser_page.get_by_role("button", name="Go on").click()
    await expect(browser_page.locator("[data-stage=ended] .badge")).to_have_text("aligned")
    record = await state.rag.runs.get(run_id)
    assert record.calls == {"generate": 2, "judge.critique": 2}


async def test_a_run_that_cannot_begin_says_why(browser_page: Page, gated: Gated) -> None:
    may_fail = asyncio.Event()

    async def events() -> AsyncIterator[RunEvent]:
        await may_fail.wait()
        raise BackendError("the weights are not here")
        yield

    gated.server.state.tasks.start("20990101-000000-aaaaaa", events(), prompt="never drawn")  # type: ignore[arg-type]
    await browser_page.goto(f"{gated.server.address}/runs/20990101-000000-aaaaaa")
    await expect(browser_page.locator("[data-stage=loading]")).to_contain_text("Loading the models")
    may_fail.set()
    await expect(browser_page.get_by_role("alert")).to_have_text("the weights are not here")
    await browser_page.get_by_role("link", name="Back to the form").click()
    await expect(browser_page.get_by_label("Prompt", exact=True)).to_be_visible()


async def test_there_is_no_page_of_a_run_that_there_is_not(browser_page: Page, shared_ui: UiServer) -> None:
    answer = await browser_page.goto(f"{shared_ui.address}/runs/20990101-000000-bbbbbb")
    assert answer is not None
    assert answer.status == 404
    await expect(browser_page.locator("main")).to_contain_text("20990101-000000-bbbbbb")
