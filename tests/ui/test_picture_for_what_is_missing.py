"""A picture for what a run did not find: it goes into a library, and the run goes on with it."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.ui.conftest import UiServer, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "a teal checkered crescent and a red solid circle"


async def lamp(server: UiServer, path: Path) -> str:
    """The catalogue's picture of a teal checkered crescent, as a file of somebody's; its SHA-256."""
    rag = server.state.rag
    hit = (await rag.libraries.search("a teal checkered crescent", library="sketch", k=1))[0]
    path.write_bytes(await rag.libraries.image_bytes(hit.image.sha256, "sketch"))
    return hit.image.sha256


async def test_a_picture_is_added_to_a_library_and_the_run_goes_on_with_it(
    browser_page: Page, shared_ui: UiServer, tmp_path: Path
) -> None:
    rag, picture = shared_ui.state.rag, tmp_path / "crescent.png"
    sha256 = await lamp(shared_ui, picture)
    record = await rag.generate(PROMPT, threshold=0.9, max_rounds=1)
    assert record.outcome == "no_usable_reference"
    await browser_page.goto(f"{shared_ui.address}/runs/{record.run_id}")
    form = browser_page.locator("form[data-picture]").first
    await expect(form).to_contain_text("Nothing in your library for “a teal checkered crescent”")
    await expect(form.locator(".estimate")).to_contain_text("At most")
    assert await violations(browser_page) == []
    await expect(form.get_by_role("button", name="Add it and go on")).to_be_disabled()
    await form.locator("input[type=file]").set_input_files(picture)
    await form.get_by_label("Caption").fill("a teal checkered crescent lamp")
    await expect(form.get_by_label("Into the library")).to_have_value("my-images")
    await form.get_by_role("button", name="Add it and go on").click()
    await expect(browser_page.locator("[data-stage=ended] .badge")).to_have_text("aligned")
    new = await rag.runs.get(browser_page.url.rpartition("/")[2])
    assert new.parent_run is not None
    assert (new.parent_run.run_id, new.setup and new.setup.library) == (record.run_id, "sketch,my-images")
    assert [one.image.sha256 for one in new.references] == [sha256]
    kept = await rag.libraries.select(sha256, library="my-images")
    assert [one.caption for one in kept] == ["a teal checkered crescent lamp"]


async def test_a_picture_for_a_run_that_waits_is_in_the_library_from_then_on(
    browser_page: Page, shared_ui: UiServer, tmp_path: Path
) -> None:
    rag, picture = shared_ui.state.rag, tmp_path / "crescent.png"
    sha256 = await lamp(shared_ui, picture)
    record = await rag.generate(PROMPT, select=True, threshold="off", max_rounds=1)
    await browser_page.goto(f"{shared_ui.address}/runs/{record.run_id}")
    sent = {"sha256": sha256, "caption": "a crescent", "library": "others"}
    token = await browser_page.locator("meta[name=csrf-token]").get_attribute("content") or ""
    address = f"{browser_page.url}/picture"
    for library, status in (("sketch", 400), ("others@tag", 400), ("web:openverse", 400), ("others", 200)):
        answer = await browser_page.request.post(
            address, data=sent | {"library": library}, headers={"x-csrf-token": token}
        )
        assert answer.status == status, await answer.text()
    assert await answer.json() == {"address": None}
    assert [one.id for one in await rag.libraries.select(sha256, library="others")] == [sha256]
    await expect(browser_page.locator("[data-stage=waiting]")).to_be_visible()
