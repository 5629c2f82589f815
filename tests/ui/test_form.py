"""The form: its request, the estimate, images that are handed in, masks, and what survives a reload."""

import asyncio
import io
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Error, Page, Route, expect

from imagerag.store.library.indexing.uploads import UploadedImage
from tests.ui.conftest import UiServer, violations

pytestmark = pytest.mark.asyncio(loop_scope="session")


def photo(path: Path, colour: str = "navy", size: tuple[int, int] = (200, 120)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


async def test_what_a_click_can_cost_follows_the_form_and_survives_a_reload(
    browser_page: Page, shared_ui: UiServer
) -> None:
    await browser_page.goto(shared_ui.address)
    estimate = browser_page.locator("#estimate")
    await expect(estimate).to_contain_text("8 calls")
    assert await violations(browser_page) == []
    await browser_page.get_by_label("Prompt", exact=True).fill("a red circle")
    await browser_page.get_by_text("Rounds and judging").click()
    await browser_page.get_by_label("Rounds at most").fill("0")
    await expect(estimate).to_contain_text("2 calls")
    await expect(browser_page.locator("details", has_text="Rounds and judging").locator(".changed")).to_have_text(
        "1 set"
    )
    await browser_page.get_by_label("sketch", exact=False).first.uncheck()
    await browser_page.reload()
    await expect(browser_page.get_by_label("Prompt", exact=True)).to_have_value("a red circle")
    await expect(browser_page.locator("#max_rounds")).to_have_value("0")
    await expect(browser_page.locator("[name=library]").first).not_to_be_checked()
    await expect(estimate).to_contain_text("2 calls")
    await browser_page.get_by_role("button", name="Clear the form").click()
    await expect(browser_page.get_by_label("Prompt", exact=True)).to_have_value("")
    await browser_page.evaluate("sessionStorage.setItem('imagerag.draw', '{\"fields\": {}}')")  # of another version
    await browser_page.reload()
    await expect(estimate).to_contain_text("8 calls")


async def test_an_option_that_cannot_be_is_said_by_the_name_of_its_field(
    browser_page: Page, shared_ui: UiServer
) -> None:
    await browser_page.goto(shared_ui.address)
    await browser_page.get_by_text("Models and size").click()
    await browser_page.get_by_label("Size", exact=True).fill("9x9")
    await expect(browser_page.locator("#estimate")).to_contain_text("16")
    await browser_page.get_by_label("Size", exact=True).fill("")
    await browser_page.get_by_label("Generator", exact=True).fill("openai:gpt-image-1@https://elsewhere.example/v1")
    await expect(browser_page.locator("#estimate")).to_contain_text("name it where the page is started")
    await expect(browser_page.locator("#estimate")).to_contain_text("“Generator”")


async def test_a_dropped_image_is_a_subject_or_edited_where_a_mask_says_so(
    browser_page: Page, shared_ui: UiServer, tmp_path: Path
) -> None:
    await browser_page.goto(shared_ui.address)
    await browser_page.locator("#files").set_input_files(
        [photo(tmp_path / "cup.png"), photo(tmp_path / "bowl.png", "maroon")]
    )
    cards = browser_page.locator(".source")
    await expect(cards).to_have_count(2)
    transfer = await browser_page.evaluate_handle(
        """bytes => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "plate.png", {type: "image/png"})); return data; }""",
        [*photo(tmp_path / "plate.png", "teal").read_bytes()],
    )
    await browser_page.dispatch_event("h1", "drop", {"dataTransfer": transfer})  # beside the field
    await expect(cards).to_have_count(3)
    await cards.nth(2).get_by_role("button", name="Remove").click()
    broken = [{"name": f"{name}.png", "mimeType": "image/png", "buffer": b"nothing"} for name in ("first", "second")]
    await browser_page.locator("#files").set_input_files(broken)
    for name in ("first.png: not an image", "second.png: not an image"):
        await expect(browser_page.locator("#status")).to_contain_text(name)
    await browser_page.locator("#status").get_by_role("button", name="Close").click()
    await expect(browser_page.locator("#status")).to_be_hidden()
    await browser_page.get_by_role("button", name="Draw", exact=True).click()
    prompt = browser_page.get_by_label("Prompt", exact=True)
    await expect(prompt).to_be_focused()
    assert await prompt.evaluate("field => field.validationMessage") == "Write a prompt first."
    await cards.nth(0).get_by_label("Name in the prompt").fill("my cup")
    await cards.nth(1).get_by_role("button", name="Remove").click()
    await expect(cards).to_have_count(1)
    await cards.get_by_label("Use").select_option("edit")
    await cards.get_by_role("button", name="Paint a mask").click()
    dialog = browser_page.get_by_role("dialog", name="What may change")
    assert await violations(browser_page) == []
    for name, value in (("Left", "50"), ("Top", "30"), ("Width", "100"), ("Height", "60")):
        await dialog.get_by_role("spinbutton", name=name).fill(value)
    await dialog.get_by_role("button", name="Add").click()
    await expect(dialog.locator("output")).to_have_text("25 % may change")
    await dialog.get_by_role("button", name="Invert").click()
    await expect(dialog.locator("output")).to_have_text("75 % may change")
    await dialog.get_by_role("button", name="Undo").click()
    canvas = dialog.locator("canvas")
    box = await canvas.bounding_box()
    assert box is not None
    await browser_page.mouse.move(box["x"] + 5, box["y"] + 5)
    await browser_page.mouse.down()
    await browser_page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 5, steps=4)
    await browser_page.mouse.up()
    await expect(dialog.locator("output")).not_to_have_text("25 % may change")
    await dialog.get_by_role("button", name="Undo").click()
    await dialog.get_by_role("button", name="Use this mask").click()
    await expect(cards).to_contain_text("25 % may change")
    body = await sent(browser_page)
    assert [one["use"] for one in body["images"]] == ["edit"]
    mask = Image.open(io.BytesIO(await shared_ui.state.rag.runs.image_bytes(body["mask"])))
    assert mask.size == (200, 120)
    alpha = mask.getchannel("A")
    assert (alpha.getpixel((100, 60)), alpha.getpixel((10, 10))) == (0, 255)
    await browser_page.reload()
    await expect(browser_page.locator(".source")).to_contain_text("25 % may change")


async def sent(page: Page) -> dict[str, object]:  # type: ignore[type-arg]
    """What the form asks an estimate for, after one more change."""
    async with page.expect_request("**/estimate") as asked:
        await page.get_by_label("Prompt", exact=True).fill("the cup is green")
    request = await asked.value
    return request.post_data_json  # type: ignore[return-value]


async def test_images_are_picked_of_a_library_and_of_earlier_runs(browser_page: Page, shared_ui: UiServer) -> None:
    rag = shared_ui.state.rag
    drawn = await rag.generate("a green star", max_rounds=0)
    await browser_page.goto(shared_ui.address)
    await browser_page.get_by_role("button", name="From earlier runs").click()
    picker = browser_page.get_by_role("dialog", name="Pick an image")
    await picker.get_by_role("button", name="a green star").click()
    await browser_page.get_by_role("button", name="From a library").click()
    await picker.get_by_label("Search").fill("a teal checkered crescent")
    await picker.get_by_role("button", name="Find").click()
    await picker.get_by_role("button", name="Luna Lamp 7").click()
    await expect(browser_page.locator(".source img[src*=images]")).to_have_count(2)
    images = (await sent(browser_page))["images"]
    assert drawn.image is not None
    assert [(one["sha256"] == drawn.image.sha256, one["library"]) for one in images] == [(True, ""), (False, "sketch")]


async def test_a_run_from_the_form_is_the_same_record_as_one_from_python(
    browser_page: Page, shared_ui: UiServer
) -> None:
    rag = shared_ui.state.rag
    prompt = "a teal checkered crescent and a red solid circle"
    await browser_page.goto(shared_ui.address)
    await browser_page.get_by_label("Prompt", exact=True).fill(prompt)
    await browser_page.get_by_text("Rounds and judging").click()
    await browser_page.get_by_label("Rounds at most").fill("2")
    await browser_page.get_by_text("Models and size").click()
    await browser_page.get_by_label("Seed").fill("3")
    await browser_page.keyboard.press("Enter")
    await expect(browser_page.locator("[data-stage=ended]")).to_be_visible()
    own = await rag.runs.get(browser_page.url.rpartition("/")[2])
    same = await rag.generate(prompt, library="sketch", max_rounds=2, seed=3)
    timed = {"attempts", "call_log"}
    assert own.canonical().model_dump(exclude=timed) == same.canonical().model_dump(exclude=timed)
    assert [one.image for one in own.attempts] == [one.image for one in same.attempts]
    assert [one.role for one in own.call_log] == [one.role for one in same.call_log]


async def test_foreign_names_captions_and_prompts_are_text_and_nothing_else(
    browser_page: Page, shared_ui: UiServer
) -> None:
    rag, name = shared_ui.state.rag, "\"'><img src=x onerror=window.hacked=1>"
    hostile = f"{name}<script>window.hacked=1</script>"
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "olive").save(data, "PNG")
    await rag.libraries.open("foreign", create=True)
    await rag.libraries.add_images(
        [UploadedImage(data=data.getvalue(), name=f"{name}.png", caption=hostile)], library="foreign"
    )
    await rag.generate(f"a red circle {hostile}", max_rounds=0, run_id="hostile")
    await browser_page.goto(shared_ui.address)
    await browser_page.get_by_role("button", name="From a library").click()
    picker = browser_page.get_by_role("dialog", name="Pick an image")
    await picker.get_by_label("Library").select_option("foreign")
    await picker.locator("[data-image]").filter(has_text="onerror").click()
    await expect(browser_page.locator(".source img[src*=images]")).to_have_count(1)
    await browser_page.get_by_role("button", name="From earlier runs").click()
    await expect(picker.locator("[data-image]").filter(has_text="<img src")).to_be_visible()
    await browser_page.goto(f"{shared_ui.address}/runs/hostile")
    await expect(browser_page.get_by_role("heading", level=1)).to_contain_text("<script>")
    record = await rag.generate(
        "a green star", library="foreign", select=True, start="retrieve", threshold="off", max_rounds=1
    )
    assert record.status == "interrupted"
    await browser_page.goto(f"{shared_ui.address}/runs/{record.run_id}")
    await expect(browser_page.locator(".offer").filter(has_text="onerror")).to_be_visible()
    assert await browser_page.evaluate("window.hacked") is None


async def test_the_answer_of_a_library_that_was_left_takes_no_place(browser_page: Page, shared_ui: UiServer) -> None:
    await shared_ui.state.rag.libraries.open("empty", create=True)
    left, gone = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        await left.wait()
        with suppress(Error):  # nobody waits for it any more
            await route.continue_()

    for event in ("requestfailed", "requestfinished"):
        browser_page.on(event, lambda request: gone.set() if "library=sketch" in request.url else None)  # type: ignore[call-overload]
    await browser_page.goto(shared_ui.address)
    await browser_page.route("**/pick/library?*library=sketch", late)
    await browser_page.get_by_role("button", name="From a library").click()
    picker = browser_page.get_by_role("dialog", name="Pick an image")
    await picker.get_by_label("Library").select_option("sketch")
    await picker.get_by_label("Library").select_option("empty")
    await expect(picker.locator(".nothing")).to_be_visible()
    left.set()
    await asyncio.wait_for(gone.wait(), 60)
    await expect(picker.locator("[data-image]")).to_have_count(0)
    await expect(picker.locator(".nothing")).to_be_visible()
