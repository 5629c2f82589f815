"""The app in a sandboxed frame of a host: a run from its first words to its result, the picker, a search."""

import asyncio
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import FrameLocator, Page, expect

from imagerag.assistants.service import ChatService
from imagerag.mcp.server import ServerState
from tests.browser import violations
from tests.gated_generator import GatedGenerator, unfinished
from tests.mcp.app.host import EVERYTHING, hosting

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "a teal ringed hexagon and a red solid circle on a mint background"
CHOICE = {"prompt": "a teal ringed hexagon and a yellow striped bolt", "start": "retrieve", "select": True}
PICTURES = Path(__file__).parents[3] / "docs" / "images"
ATTACK = '"><img src=x onerror="top.postMessage(1,`*`);window.hacked=1"><script>window.hacked=1</script></script>'


async def accessible(page: Page) -> None:
    """The app has no serious fault that axe finds, and needs no scrolling sideways at any width."""
    (frame,) = page.frames[1:]
    assert await violations(frame) == []
    for width in (320, 400, 800, 1600):
        await page.set_viewport_size({"width": width, "height": 900})
        assert await frame.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        assert await frame.evaluate(
            "[...document.querySelectorAll('.offers li')].every(one => one.scrollHeight <= one.clientHeight + 1)"
        ), width


async def picture(page: Page, name: str) -> None:
    """Take the picture of the app for the documents, where they are made anew."""
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        for height in (900, 0):  # then no more of the host than the frame
            tall = height or await page.evaluate("Math.round(frame.getBoundingClientRect().height)")
            await page.set_viewport_size({"width": 640, "height": tall})
            await page.wait_for_timeout(800)  # the app tells its height at this width, and is painted
        data = await page.screenshot()
        Image.open(io.BytesIO(data)).convert("RGB").quantize(256).save(PICTURES / name, optimize=True)
    size = (PICTURES / name).stat().st_size
    assert size < 150_000, f"docs/images/{name} has {size} bytes"


async def pictures(frame: FrameLocator, count: int) -> None:
    """Wait until so many images are there."""
    await expect(frame.locator("img")).to_have_count(count)
    await expect(frame.locator(".gone")).to_have_count(0)


async def test_a_run_is_shown_from_its_first_words_to_its_result(sketch: ServerState, browser_page: Page) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("generate_image", theme="dark", locale="en-GB")
        await host.notice("tool-input-partial", {"arguments": {"prompt": "a teal ringed"}})
        await expect(frame.get_by_role("heading", level=1)).to_have_text("a teal ringed")
        await expect(frame.locator(".badge")).to_have_text("drawing")
        result = await host.call("generate_image", {"prompt": PROMPT})
        assert result["structuredContent"]["outcome"] == "aligned"
        await expect(frame.locator(".badge")).to_have_text("aligned")
        await expect(frame.get_by_role("heading", level=1)).to_have_text(PROMPT)
        await expect(frame.get_by_role("img", name=f"Result for: {PROMPT}")).to_be_visible()
        await expect(frame.locator(".outcome .checks li")).to_have_count(3)
        await expect(frame.locator(".strip > li")).to_have_count(2)
        await expect(frame.locator(".strip > li").nth(0)).to_contain_text("2 of 3 met")
        await expect(frame.locator(".credits").first).to_contain_text("Hexa Coaster 5")
        await expect(frame.locator(".credits").first).to_contain_text("licence CC0-1.0")
        await pictures(frame, 4)
        await frame.get_by_text("candidates passed over").click()
        passed_over = frame.locator("details .credits li").first
        await expect(passed_over).to_contain_text("below threshold (threshold")
        await expect(passed_over).to_contain_text("licence ")
        await accessible(browser_page)
        assert {one["origin"] for one in await host.log()} == {"null"}, "the frame has no origin"


async def test_references_are_picked_with_the_keyboard_and_the_model_is_told(
    sketch: ServerState, browser_page: Page
) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("generate_image", theme="light")
        result = await host.call("generate_image", CHOICE)
        assert result["structuredContent"]["status"] == "interrupted"
        assert "wait for that" in result["content"][0]["text"]
        offered = result["structuredContent"]["offered"]
        await expect(frame.locator(".badge")).to_have_text("waits for a choice")
        await pictures(frame, len(offered) + 1)  # and what was drawn so far
        first = frame.get_by_role("checkbox").first
        use = frame.get_by_role("button", name="Use these")
        await expect(use).to_be_disabled()
        await accessible(browser_page)
        await first.focus()
        for _ in offered:
            await browser_page.keyboard.press("Space")
            await browser_page.keyboard.press("Tab")
        await expect(first).to_be_checked()
        await picture(browser_page, "mcp-app-picker.png")
        await expect(use).to_be_focused()
        await browser_page.keyboard.press("Enter")
        await expect(frame.locator(".badge")).to_have_text("aligned")
        await expect(frame.get_by_text("The assistant knows of this result.")).to_be_visible()
        await expect(frame.get_by_role("heading", level=1)).to_be_focused()
        (called,) = [one["params"] for one in await host.log("tools/call") if one["params"]["name"] == "continue_run"]
        assert called["arguments"]["choose"] == ["1", "2"]
        (told,) = await host.log("ui/update-model-context")
        run_id = result["structuredContent"]["run_id"]
        heading, outcome, *lines = told["params"]["content"][0]["text"].split("\n")
        assert heading.startswith("The user went on in the app")
        assert outcome.startswith("aligned: ")
        assert f"run_id: {run_id}" in lines
        record = await sketch.service.rag.runs.get(run_id)
        assert {f"image://{one.image.sha256}" for one in record.references} == {one["uri"] for one in offered}
        await picture(browser_page, "mcp-app.png")


async def test_one_of_those_offered_is_edited_instead(sketch: ServerState, browser_page: Page) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("generate_image")
        result = await host.call("generate_image", CHOICE)
        edit, none = (frame.get_by_role("button", name=name) for name in ("Edit this one", "None of them"))
        await expect(edit).to_be_disabled()
        await expect(none).to_be_enabled()
        await frame.get_by_role("checkbox").nth(1).check()
        await expect(none).to_be_disabled()
        await frame.get_by_role("checkbox").nth(0).check()
        await expect(edit).to_be_disabled()
        await frame.get_by_role("checkbox").nth(0).uncheck()
        await edit.click()
        await expect(frame.get_by_text("The assistant knows of this result.")).to_be_visible()
        (called,) = [one["params"] for one in await host.log("tools/call") if one["params"]["name"] == "continue_run"]
        run_id = result["structuredContent"]["run_id"]
        assert called["arguments"] == {"run_id": run_id, "edit": "2", "wait": False, "thumbnail": False}
        record = await sketch.service.rag.runs.get(run_id)
        assert record.attempts[-1].references[0].role == "edit"


async def test_a_host_that_calls_no_tools_passes_the_choice_on_as_words(place: Any, browser_page: Page) -> None:
    async with hosting(place.make(), browser_page) as host:
        can = {name: EVERYTHING[name] for name in ("serverResources", "message")}
        frame = await host.open("generate_image", capabilities=can)
        result = await host.call("generate_image", {"prompt": "a blue star", "select": True})
        await frame.get_by_role("checkbox").nth(1).check()
        await frame.get_by_role("checkbox").nth(0).check()
        await frame.get_by_role("button", name="Use these").click()
        await expect(frame.get_by_text("The assistant has been told.")).to_be_visible()
        (message,) = await host.log("ui/message")
        assert message["params"]["role"] == "user"
        run_id = result["structuredContent"]["run_id"]
        asked = f'(continue_run, run_id="{run_id}", choose=["2","1"])'
        assert message["params"]["content"][0]["text"] == f"Use the references 2, 1 for this run. {asked}"
        assert await host.log("tools/call") == []


async def test_a_host_that_can_do_nothing_still_shows_what_to_say(place: Any, browser_page: Page) -> None:
    async with hosting(place.make(), browser_page) as host:
        frame = await host.open("generate_image", capabilities={})
        await host.call("generate_image", {"prompt": "a blue star", "select": True})
        await expect(frame.get_by_text("image not available").first).to_be_visible()
        await frame.get_by_role("button", name="None of them").click()
        await expect(frame.locator("#told")).to_contain_text("Use none of these references. (continue_run, run_id=")
        asked = {one["method"] for one in await host.log() if "id" in one}
        assert asked == {"ui/initialize"}, "nothing was asked for that the host does not do"


async def test_other_references_and_another_seed_go_on_in_the_app(sketch: ServerState, browser_page: Page) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("generate_image")
        result = await host.call("generate_image", {"prompt": PROMPT, "seed": 4, "licences": ["CC0-1.0"]})
        used = [one["uri"] for one in result["structuredContent"]["references"]]
        await frame.get_by_role("button", name="Another seed").click()
        await expect(frame.get_by_text("The assistant knows of this result.")).to_be_visible()
        (start,) = [one["params"] for one in await host.log("tools/call") if one["params"]["name"] == "start_image"]
        assert start["arguments"]["seed"] == 5
        assert start["arguments"]["licences"] == ["CC0-1.0"]
        await frame.get_by_role("button", name="Other references").click()
        await browser_page.wait_for_function(
            "() => log.filter(one => one.method === 'ui/update-model-context').length === 2"
        )
        (told, again) = await host.log("ui/update-model-context")
        assert told["params"] != again["params"]
        (called,) = [one["params"] for one in await host.log("tools/call") if one["params"]["name"] == "continue_run"]
        assert called["arguments"]["exclude_images"] == used


async def test_an_image_is_changed_with_words(sketch: ServerState, browser_page: Page) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("generate_image")
        result = await host.call("generate_image", {"prompt": "a red solid circle"})
        wish = frame.get_by_label("What should be different?")
        await wish.fill("make it blue")
        await wish.press("Enter")
        await expect(frame.get_by_text("The assistant knows of this result.")).to_be_visible()
        (called,) = [one["params"] for one in await host.log("tools/call") if one["params"]["name"] == "continue_run"]
        run_id = result["structuredContent"]["run_id"]
        assert called["arguments"] == {"run_id": run_id, "feedback": "make it blue", "wait": False, "thumbnail": False}


async def test_images_of_a_search_are_proposed_to_the_model(sketch: ServerState, browser_page: Page) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("search_references")
        result = await host.call("search_references", {"query": "a teal ringed hexagon", "k": 4})
        hits = result["structuredContent"]["hits"]
        await expect(frame.locator(".badge")).to_have_text("4 images")
        await pictures(frame, 4)
        await expect(frame.locator(".offers > li").first).to_contain_text("reaches")
        await expect(frame.locator(".offers > li").last).to_contain_text("below")
        for one in hits:
            one["source"] = "https://pages.example.org/of/the/image"
        await host.notice("tool-result", result)
        await expect(frame.get_by_role("link", name="pages.example.org")).to_have_count(4)
        await accessible(browser_page)
        await frame.get_by_role("checkbox").nth(2).check()
        await frame.get_by_role("button", name="Use these").click()
        await expect(frame.get_by_text("The assistant has been told.")).to_be_visible()
        (message,) = await host.log("ui/message")
        assert f'add_images=["{hits[2]["uri"]}"]' in message["params"]["content"][0]["text"]


async def test_a_run_under_way_is_found_by_the_request_that_began_it(place: Any, browser_page: Page) -> None:
    place.provider.may_draw.clear()
    state = place.make()
    async with hosting(state, browser_page) as host:
        arguments = {"prompt": "a boat under a blue star"}
        call = asyncio.create_task(host.client.call_tool("generate_image", arguments))
        await place.until(lambda: state.handlers.jobs.active, "the run has begun")
        (job,) = state.handlers.jobs.active
        frame = await host.open("generate_image", request_id=job.request_id)
        await host.notice("tool-input", {"arguments": arguments})
        await browser_page.wait_for_function("() => log.some(one => one.params?.name === 'run_view')")
        place.provider.may_draw.set()
        await expect(frame.locator(".strip > li").first).to_contain_text("attempt 1")
        await expect(frame.locator(".badge")).to_have_text("aligned")
        assert (await call).structured_content["run_id"] == job.run_id
        unknown = await host.client.call_tool("run_view", {"request_id": "none of ours"})
        assert unknown.is_error


async def test_a_result_without_its_data_is_looked_up_by_its_text(place: Any, browser_page: Page) -> None:
    async with hosting(place.make(), browser_page) as host:
        frame = await host.open("continue_run")
        result = await host.client.call_tool("generate_image", {"prompt": "a boat under a blue star"})
        text = {"type": "text", "text": getattr(result.content[0], "text", "")}
        await host.notice("tool-result", {"content": [text]})
        await expect(frame.locator(".badge")).to_have_text("aligned")
        await expect(frame.locator(".strip > li")).to_have_count(2)


async def test_words_and_colours_follow_the_host(sketch: ServerState, browser_page: Page) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("generate_image", theme="light", locale="de-AT")
        await host.call("generate_image", CHOICE)
        await expect(frame.get_by_role("button", name="Diese verwenden")).to_be_visible()
        await expect(frame.locator("html")).to_have_attribute("lang", "de")
        paper = frame.locator("body")
        await expect(paper).to_have_css("background-color", "rgb(250, 249, 246)")
        await host.notice("host-context-changed", {"theme": "dark", "locale": "en"})
        await expect(frame.get_by_role("button", name="Use these")).to_be_visible()
        await expect(paper).to_have_css("background-color", "rgb(22, 21, 19)")


async def test_a_cancelled_call_and_an_ended_app(sketch: ServerState, browser_page: Page) -> None:
    async with hosting(sketch, browser_page) as host:
        frame = await host.open("generate_image")
        await host.notice("tool-input", {"arguments": {"prompt": PROMPT}})
        await host.notice("tool-cancelled", {"reason": "the user stopped it"})
        await expect(frame.locator(".badge")).to_have_text("cancelled")
        await expect(frame.get_by_text("the user stopped it")).to_be_visible()
        ended = await browser_page.evaluate("ask('ui/resource-teardown', {})")
        assert ended["result"] == {}
        unknown = await browser_page.evaluate("ask('tools/list', {})")
        assert unknown["error"]["code"] == -32601


async def test_hostile_words_stay_words(place: Any, browser_page: Page) -> None:
    for similarity in (0.9, 0.8):
        place.library.plant({"a blue star": similarity}, title=f"{ATTACK}{similarity}", licence=ATTACK)
    prompt = f"a blue star {ATTACK}"
    async with hosting(place.make(), browser_page) as host:
        frame = await host.open("generate_image")
        await host.notice("tool-input-partial", {"arguments": {"prompt": ATTACK}})
        await host.call("generate_image", {"prompt": prompt, "select": True})
        await expect(frame.get_by_role("heading", level=1)).to_have_text(prompt)
        await expect(frame.locator(".offers")).to_contain_text(ATTACK)
        await frame.get_by_role("checkbox").first.check()
        await frame.get_by_role("button", name="Use these").click()
        await expect(frame.locator(".badge")).to_have_text("aligned")
        await host.notice("tool-cancelled", {"reason": ATTACK})
        await expect(frame.locator("#told")).to_have_text(ATTACK)
        bad = {"content": [{"type": "text", "text": ATTACK}], "isError": True}
        await host.notice("tool-result", bad)
        await expect(frame.get_by_role("alert")).to_have_text(ATTACK)
        (inside,) = browser_page.frames[1:]
        assert await inside.evaluate("window.hacked") is None
        assert (
            await inside.evaluate(
                "document.querySelectorAll('[onerror], script:not([type]):not(:last-of-type)').length"
            )
            == 0
        )
        assert all(isinstance(one, dict) and one.get("jsonrpc") for one in await host.log())


async def test_an_unfinished_image_is_shown_while_it_is_drawn(sketch: ServerState, browser_page: Page) -> None:
    generator = GatedGenerator()
    rag = sketch.service.rag
    rag.dependencies.use("generator", "gated", generator)
    state = ServerState(service=ChatService(rag.with_options(generator="gated")))
    async with hosting(state, browser_page) as host:
        frame = await host.open("start_image")
        arguments = {"prompt": PROMPT, "partial_images": 2, "max_rounds": 0}
        result = await host.call("start_image", arguments)
        run_id = result["structuredContent"]["run_id"]
        image = frame.get_by_role("img", name="Unfinished image")
        await expect(image).to_be_visible()
        await pictures(frame, 1)
        assert await violations(browser_page.frames[1]) == []
        view = await host.client.call_tool("run_view", {"run_id": run_id})
        assert view.structured_content["partial"] == f"image://{hashlib.sha256(unfinished(1)).hexdigest()}"
        assert not any(block.type == "image" for block in view.content)
        generator.may_draw.set()
        await expect(frame.locator(".badge")).to_have_text("best effort")
        await expect(image).to_have_count(0)
        view = await host.client.call_tool("run_view", {"run_id": run_id})
        assert view.structured_content["partial"] == ""
