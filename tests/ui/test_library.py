"""The library in a real browser: look, search, filter, change, remove, add, and keep in order."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Page, Response, Route, expect

from imagerag import ImageRAG
from imagerag.files.access_policy import InputPolicy
from imagerag.http_server.access import HttpOptions
from imagerag.store.library.indexing.uploads import UploadedImage
from imagerag.ui.state import UiState
from tests.ui.conftest import UiServer, serving, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "white")
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> \u202egnp.exe"


def square(colour: str, mark: int = 0) -> bytes:
    """A PNG of one colour; other marks are other bytes."""
    out = io.BytesIO()
    image = Image.new("RGB", (96, 96), "white")
    image.paste(Image.new("RGB", (60, 60), colour), (18, 18))
    image.putpixel((0, 0), (mark % 256, mark // 256, 7))
    image.save(out, "PNG")
    return out.getvalue()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UiServer]:
    """A server with a library of 40 images, a folder that it may read, and nothing else."""
    root = tmp_path_factory.mktemp("ui-library")
    (root / "photos" / "trip").mkdir(parents=True)
    for at, colour in enumerate(COLOURS[:3]):
        (root / "photos" / "trip" / f"{colour}.png").write_bytes(square(colour, 900 + at))
    (root / "photos" / "trip" / "broken.png").write_bytes(b"nothing")
    state = UiState(
        rag=ImageRAG(preset="sketch", home=root / "home"),
        http=HttpOptions(port=0),
        inputs=InputPolicy.of([root / "photos"]),
    )
    libraries = state.rag.libraries
    await libraries.open("mine", create=True)
    images = [
        UploadedImage(data=square(colour, at), name=f"{colour} {at}.png", caption=f"a {colour} square")
        for at in range(40)
        for colour in (COLOURS[at % len(COLOURS)],)
    ]
    await libraries.add_images(images, library="mine")
    await libraries.update(library="mine", filter='caption~"red"', add_tags=["warm"], author="Ada", licence="CC0-1.0",
                           calibrate=False)  # fmt: skip
    async with serving(state) as ui:
        yield ui


async def opened(page: Page, address: str) -> None:
    """Open a page and wait until its images are there."""
    await page.goto(address)
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)


async def test_the_list_says_what_each_library_is_and_makes_one(browser_page: Page, server: UiServer) -> None:
    await browser_page.goto(f"{server.address}/library")
    card = browser_page.locator(".card", has_text="mine")
    await expect(card).to_contain_text("40 pictures")
    await expect(card.locator(".cover img")).to_have_count(4)
    await browser_page.get_by_role("button", name="New library").click()
    await browser_page.get_by_label("Name").fill("../evil")
    await browser_page.get_by_role("button", name="Make it").click()
    await expect(browser_page.get_by_role("alert")).to_contain_text("evil")
    await browser_page.get_by_label("Name").fill("fresh")
    await browser_page.get_by_role("button", name="Make it").click()
    await expect(browser_page.get_by_role("heading", level=1)).to_have_text("fresh")
    await expect(browser_page.locator("#images")).to_contain_text("No picture here yet")


async def test_words_and_filters_find_and_say_why(browser_page: Page, server: UiServer) -> None:
    await opened(browser_page, f"{server.address}/library/mine")
    await expect(browser_page.locator("#count")).to_have_text("40 pictures")
    filter_field = browser_page.get_by_role("combobox", name="Filter")
    await filter_field.press_sequentially("ta")
    await expect(browser_page.get_by_role("option", name="tag=")).to_be_visible()
    await filter_field.press("ArrowDown")
    await filter_field.press("Enter")
    await filter_field.press("ArrowDown")
    await filter_field.press("Enter")
    await expect(filter_field).to_have_value("tag=warm ")
    await filter_field.press("Escape")
    await filter_field.press("Enter")
    await expect(browser_page.locator("#count")).to_contain_text("5 pictures")
    await browser_page.get_by_role("searchbox").fill("a red square")
    await browser_page.get_by_label("also by captions").check()
    await browser_page.get_by_role("button", name="Search", exact=True).click()
    await expect(browser_page.locator(".hits > li")).to_have_count(5)
    first = browser_page.locator(".hits > li").first
    await expect(first.get_by_role("heading")).to_contain_text("red")
    await first.get_by_text("Why this one").click()
    await expect(first).to_contain_text("by words, place")
    await filter_field.fill("colour=red")
    await filter_field.press("Enter")
    await expect(browser_page.get_by_role("alert")).to_contain_text("no key 'colour'; there are:")


async def test_a_picture_is_searched_with(browser_page: Page, server: UiServer) -> None:
    await opened(browser_page, f"{server.address}/library/mine")
    sent = {"name": "x.png", "mimeType": "image/png", "buffer": square("blue", 2)}
    await browser_page.locator("#image-file").set_input_files(sent)
    await expect(browser_page.locator(".hits > li").first).to_contain_text("blue")
    await expect(browser_page.locator(".hits > li").first).to_contain_text("1.000")
    await expect(browser_page.get_by_alt_text("picture to search with")).to_be_visible()


async def test_an_image_is_changed_drawn_with_and_removed(browser_page: Page, server: UiServer) -> None:
    await opened(browser_page, f"{server.address}/library/mine?q=a+green+square")
    await browser_page.locator(".hits .picture").first.click()
    await expect(browser_page.get_by_role("heading", level=1)).to_contain_text("green")
    sha256 = browser_page.url.rsplit("/", 1)[1]
    draw = browser_page.get_by_role("link", name="Draw with this")
    assert await draw.get_attribute("href") == f"/?reference={sha256}&library=mine"
    await browser_page.get_by_label("Caption").fill(HOSTILE)
    await browser_page.get_by_label("Tags").fill("one, two")
    await browser_page.get_by_label("Author").fill("Bob")
    await browser_page.get_by_role("button", name="Save").click()
    await expect(browser_page.get_by_role("status")).to_contain_text("Saved")
    record = await server.state.rag.libraries.record(sha256, "mine")
    assert record is not None
    assert (record.caption, record.tags, record.author) == (HOSTILE, ("one", "two"), "Bob")
    change = server.state.rag.libraries.update
    await change(sha256, library="mine", author="Eve", add_tags=["three"], title="theirs", calibrate=False)
    await browser_page.get_by_label("Author").fill("Carol")
    await browser_page.get_by_label("Tags").fill("one")
    await browser_page.get_by_role("button", name="Save").click()
    await expect(browser_page.get_by_role("status")).to_contain_text("somebody else changed Author (“Eve”)")
    await browser_page.get_by_role("button", name="Save").click()
    await expect(browser_page.get_by_role("status")).to_contain_text("Saved")
    record = await server.state.rag.libraries.record(sha256, "mine")
    assert record is not None
    assert (record.author, record.tags, record.title) == ("Carol", ("one", "three"), "theirs")
    await change(sha256, library="mine", set={"k" * 900: "v"}, calibrate=False)
    await browser_page.reload()
    value = await browser_page.locator(".pairs dd").first.bounding_box()
    assert value is not None
    assert value["width"] > 150
    await expect(browser_page.locator("#similar .hits > li").first).to_be_visible()
    assert "owned" not in await browser_page.title()
    await browser_page.get_by_role("button", name="Remove from the library…").click()
    dialog = browser_page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Linked files stay where they are")
    await expect(dialog.locator("img")).to_have_count(1)
    await dialog.get_by_role("button", name="Remove").click()
    await expect(browser_page.locator("#count")).to_contain_text("pictures")
    assert await server.state.rag.libraries.record(sha256, "mine") is None


async def test_a_changed_file_is_said(browser_page: Page, server: UiServer, tmp_path: Path) -> None:
    file = tmp_path / "linked.png"
    file.write_bytes(square("red", 700))
    (row,) = await server.state.rag.libraries.add(file, library="mine")
    file.write_bytes(square("red", 701))
    await browser_page.goto(f"{server.address}/library/mine/images/{row.id}")
    await expect(browser_page.get_by_role("alert")).to_contain_text("was changed since it was indexed")
    await expect(browser_page.locator(".large img")).to_be_visible()
    await server.state.rag.libraries.remove(row.id, library="mine")


async def test_pictures_are_added_while_the_page_is_loaded_again(browser_page: Page, server: UiServer) -> None:
    await server.state.rag.libraries.open("added", create=True)
    await opened(browser_page, f"{server.address}/library/added")
    files = [
        {"name": f"{HOSTILE}.png", "mimeType": "image/png", "buffer": square("red", 300)},
        {"name": "no picture.png", "mimeType": "image/png", "buffer": b"nothing"},
        {"name": "blue.png", "mimeType": "image/png", "buffer": square("blue", 301)},
    ]
    await browser_page.locator("#files").set_input_files(files)
    await expect(browser_page.locator("#staged-count")).to_have_text("3 pictures are ready")
    await expect(browser_page.locator("#staged .gone")).to_have_text("no preview")
    await browser_page.get_by_label("Caption of blue.png").fill("the sea")
    await browser_page.get_by_role("button", name="Add", exact=True).click()
    task = browser_page.locator(".task").first
    await expect(task).to_contain_text("2 new pictures")
    await expect(task).to_contain_text("3 of 3")
    await task.get_by_text("1 left out").click()
    await expect(task).to_contain_text("not an image we read")
    await expect(browser_page.locator("#count")).to_have_text("2 pictures")
    await expect(browser_page.locator(".library-facts dd").first).to_have_text("2")
    await browser_page.reload()
    await expect(browser_page.locator(".task").first).to_contain_text("2 new pictures")
    await browser_page.locator(".task").first.get_by_role("button", name="Close").click()
    await expect(browser_page.locator(".task")).to_have_count(0)
    rows = (await server.state.rag.libraries.browse("added")).records
    assert {row.caption for row in rows} == {"", "the sea"}
    assert all(not row.files for row in rows)
    assert "owned" not in await browser_page.title()


async def test_a_page_that_is_loaded_again_while_it_sends_loses_only_what_was_not_sent(
    browser_page: Page, server: UiServer
) -> None:
    await server.state.rag.libraries.open("half", create=True)
    await opened(browser_page, f"{server.address}/library/half")
    sent, taken, enough = list[Route](), list[str](), asyncio.Event()

    async def let_two_through(route: Route) -> None:
        sent.append(route)
        if len(sent) <= 2:
            await route.continue_()  # the others stay on their way

    def note(answer: Response) -> None:
        if "/images?" in answer.url:
            taken.append(answer.url)
        if len(taken) == 2:
            enough.set()

    await browser_page.route("**/library-tasks/*/images?*", let_two_through)
    browser_page.on("response", note)
    browser_page.on("dialog", lambda dialog: dialog.accept())
    files = [
        {"name": f"{at}.png", "mimeType": "image/png", "buffer": square(colour, 400 + at)}
        for at, colour in enumerate(COLOURS)
    ]
    await browser_page.locator("#files").set_input_files(files)
    await browser_page.get_by_role("button", name="Add", exact=True).click()
    await asyncio.wait_for(enough.wait(), 60)
    await browser_page.reload()
    task = browser_page.locator(".task").first
    await expect(task).to_contain_text("Of 8 pictures, 2 came before")
    await expect(browser_page.locator("#count")).to_have_text("2 pictures")


async def test_files_are_dropped_and_pasted(browser_page: Page, server: UiServer) -> None:
    await opened(browser_page, f"{server.address}/library/mine")
    transfer = await browser_page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"})); return data; }""",
        [*square("purple", 500)],
    )
    await browser_page.dispatch_event("#count", "drop", {"dataTransfer": transfer})
    await expect(browser_page.locator("#staged-count")).to_have_text("1 picture is ready")
    await browser_page.evaluate(
        "data => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))", transfer
    )
    await expect(browser_page.locator("#staged-count")).to_have_text("2 pictures are ready")
    await browser_page.get_by_role("button", name="Clear").click()
    await expect(browser_page.locator("#staged")).to_be_hidden()


async def test_a_folder_of_the_server_is_looked_at_and_indexed(browser_page: Page, server: UiServer) -> None:
    await server.state.rag.libraries.open("trips", create=True)
    await opened(browser_page, f"{server.address}/library/trips")
    await browser_page.locator(".folders button").first.click()
    await browser_page.get_by_role("button", name="trip/").click()
    await browser_page.get_by_role("button", name="What would happen").click()
    await expect(browser_page.locator(".task").first).to_contain_text("Would be: 3 added")
    await browser_page.get_by_role("button", name="Index this folder").click()
    await expect(browser_page.locator(".task").first).to_contain_text("3 added, 0 changed")
    await expect(browser_page.locator("#count")).to_have_text("3 pictures")


async def test_duplicates_are_chosen_and_removed(browser_page: Page, server: UiServer) -> None:
    libraries = server.state.rag.libraries
    await libraries.open("twins", create=True)
    twins = [UploadedImage(data=square("red", at), name=f"twin {at}.png", caption="a red square") for at in range(3)]
    others = [UploadedImage(data=square(one, 60), name=one, caption=f"a {one} square") for one in COLOURS[1:]]
    await libraries.add_images([*twins, *others], library="twins")
    page = browser_page
    await page.goto(f"{server.address}/library/twins/upkeep")
    await page.get_by_role("button", name="Look for duplicates").click()
    task = page.locator(".task").first
    await expect(task).to_contain_text("1 group shows the same")
    await task.get_by_role("radio", name="twin 0").check()
    await task.get_by_role("button", name="Remove the others…").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Remove 2 pictures from the library?")
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.locator(".task").first).to_contain_text("2 pictures removed; linked files stay")
    left = {row.title for row in (await libraries.browse("twins")).records}
    assert left == {"twin 0", *COLOURS[1:]}


async def test_what_runs_did_not_find_is_offered_to_be_added(browser_page: Page, server: UiServer) -> None:
    record = await server.state.rag.generate(
        "a lantern beside a red square", library="mine", threshold=0.999, max_rounds=1
    )
    assert [search.query.concept.text for search in record.searches][:1] == ["a lantern"]
    await browser_page.goto(f"{server.address}/library/mine/upkeep")
    await browser_page.get_by_role("button", name="Look at runs").click()
    row = browser_page.locator(".unmatched li")
    await expect(row).to_contain_text("a lantern")
    await expect(row).to_contain_text("in 1 run")
    await expect(row.get_by_role("link", name="last:")).to_have_attribute("href", f"/runs/{record.run_id}")
    await row.get_by_role("link", name="Add a picture for it").click()
    await browser_page.wait_for_url("**/library/mine?for=a%20lantern*")
    await expect(browser_page.locator("[aria-busy=true]")).to_have_count(0)
    sent = {"name": "x.png", "mimeType": "image/png", "buffer": square("orange", 800)}
    await browser_page.locator("#files").set_input_files(sent)
    await expect(browser_page.get_by_label("Caption of x.png")).to_have_value("a lantern")


async def test_upkeep_says_what_it_did(browser_page: Page, server: UiServer) -> None:
    page = browser_page
    await page.goto(f"{server.address}/library/mine/upkeep")
    for button, result in {
        "Calibrate": "Threshold",
        "Verify": "All in order",
        "Optimize": "on disk",
        "Look at captions": "reach the threshold",
        "Export": "pictures,",
    }.items():
        await page.get_by_role("button", name=button, exact=True).click()
        await expect(page.locator(".task").first).to_contain_text(result)
    shown = {
        path: await (await page.request.get(f"{server.address}/library/mine{path}")).text() for path in ("", "/upkeep")
    }
    assert "copies compared. All in order" in shown["/upkeep"]
    assert "copies compared. All in order" not in shown[""]
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Save the file").click()
    assert (await download.value).suggested_filename == "mine.parquet"
    await page.get_by_label("Tag").fill("v1")
    await page.get_by_role("button", name="Take a snapshot").click()
    await page.get_by_role("link", name="Look at it").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("mine@v1")
    await expect(page.locator("#count")).to_contain_text("pictures")
    await expect(page.locator("#add")).to_have_count(0)
    await page.goto(f"{server.address}/library/mine/upkeep")
    await page.get_by_role("button", name="Restore").click()
    await page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    await expect(page.locator(".task").first).to_contain_text("as they were tagged")


async def test_what_another_process_adds_shows_when_one_comes_back(browser_page: Page, server: UiServer) -> None:
    libraries = server.state.rag.libraries
    await libraries.open("grows", create=True)
    await libraries.add_images([UploadedImage(data=square("red", 1), name="a.png")], library="grows")
    await opened(browser_page, f"{server.address}/library/grows")
    await expect(browser_page.locator("#count")).to_have_text("1 picture")
    await libraries.add_images([UploadedImage(data=square("blue", 2), name="b.png")], library="grows")
    await browser_page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(browser_page.locator("#count")).to_have_text("2 pictures")
    await expect(browser_page.locator(".tile")).to_have_count(2)
    await expect(browser_page.locator(".library-facts dd").first).to_have_text("2")
    await libraries.delete("grows")
    await browser_page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(browser_page.locator("#images").get_by_role("alert")).to_contain_text("grows")


async def test_two_tabs_and_another_process(browser_page: Page, server: UiServer) -> None:
    libraries = server.state.rag.libraries
    await libraries.open("shared", create=True)
    await libraries.add_images([UploadedImage(data=square("red", 1), name="a.png")], library="shared")
    second = await browser_page.context.new_page()
    await opened(browser_page, f"{server.address}/library/shared")
    await opened(second, f"{server.address}/library/shared/upkeep")
    await second.get_by_label("New name").fill("renamed")
    await second.get_by_role("button", name="Rename").click()
    await expect(second.get_by_role("heading", level=1)).to_have_text("renamed")
    await opened(browser_page, f"{server.address}/library/shared?filter=width>1")  # its old name leads there
    await expect(browser_page.locator("#count")).to_contain_text("1 picture")
    await second.get_by_role("button", name="Delete the library…").click()
    dialog = second.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    await dialog.get_by_role("textbox").fill("renamed")
    await dialog.get_by_role("button", name="Delete").click()
    await expect(second.get_by_role("heading", level=1)).to_have_text("Libraries")
    await browser_page.reload()
    await expect(browser_page.get_by_role("alert")).to_contain_text("shared")
    await second.close()


async def test_nothing_serious_stands_in_anybodys_way(browser_page: Page, server: UiServer) -> None:
    row = (await server.state.rag.libraries.browse("mine", limit=1)).records[0]
    for path in ("", "/mine", "/mine?q=red&hybrid=1", f"/mine/images/{row.id}", "/mine/upkeep"):
        await opened(browser_page, f"{server.address}/library{path}")
        assert await violations(browser_page) == [], path


@pytest.mark.parametrize("width", [400, 1200, 1700])
async def test_the_navigation_stays_where_it_is(browser_page: Page, server: UiServer, width: int) -> None:
    await browser_page.set_viewport_size({"width": width, "height": 800})
    places = set()
    for path in ("/", "/runs", "/batches", "/library", "/library/mine", "/library/mine/upkeep"):
        await browser_page.goto(f"{server.address}{path}")
        places.add(await browser_page.evaluate("document.querySelector('.bar-top .home').getBoundingClientRect().left"))
    assert len(places) == 1, places


@pytest.mark.parametrize("width", [400, 2560])
async def test_no_page_is_wider_than_the_screen(browser_page: Page, server: UiServer, width: int) -> None:
    await browser_page.set_viewport_size({"width": width, "height": 800})
    row = (await server.state.rag.libraries.browse("mine", limit=1)).records[0]
    for path in ("", "/mine", "/mine?q=red", f"/mine/images/{row.id}", "/mine/upkeep"):
        await opened(browser_page, f"{server.address}/library{path}")
        assert await browser_page.evaluate("document.documentElement.scrollWidth") <= width, path
