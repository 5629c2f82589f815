"""What a finished run offers, in a browser: continue, fork, credits, downloads, favourite."""

import io
import json
import zipfile

import httpx
import pytest
from playwright.async_api import Page, Response, expect

from imagerag.formatting.html.templating import POLICY
from imagerag.ui.guard import csrf_token
from tests.browser import violations
from tests.ui.results.conftest import Results

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def opened(page: Page, results: Results, panel: str) -> None:
    """Open a panel of the first run."""
    await page.goto(f"{results.address}/runs/{results.first.run_id}")
    await page.locator(f"#{panel} > summary").click()


async def test_a_run_is_continued_with_words(browser_page: Page, results: Results) -> None:
    await opened(browser_page, results, "continue")
    form = browser_page.locator("#continue form")
    # The run is aligned: with nothing to be different there is nothing to do, which is said before the click.
    await expect(form.locator(".estimate")).to_contain_text("is aligned already")
    await expect(form.get_by_role("button", name="Continue")).to_be_disabled()
    await form.get_by_label("What is to be different?").fill("make the heart green")
    await expect(form.locator(".estimate")).to_contain_text("At most")
    await browser_page.reload()
    await expect(form.get_by_label("What is to be different?")).to_have_value("make the heart green")
    await expect(form.locator(".estimate")).to_contain_text("At most")
    await form.get_by_role("button", name="Continue").click()
    await browser_page.wait_for_url(lambda address: not address.endswith("/first"))
    await expect(browser_page.locator("#after")).to_be_visible()
    await expect(browser_page.locator("#lineage")).to_contain_text("Comes from")
    await expect(browser_page.locator("#lineage")).not_to_contain_text("max_rounds")
    await expect(browser_page.locator(".feedback")).to_have_text("then: make the heart green")
    run_id = browser_page.url.rsplit("/", 1)[-1]
    record = await results.state.rag.runs.get(run_id)
    assert record.feedback == ["make the heart green"]
    assert record.parent_run is not None
    assert record.parent_run.run_id == "first"
    await browser_page.goto(f"{results.address}/runs/first")
    await expect(browser_page.locator("#lineage .children a").first).to_have_attribute("href", f"/runs/{run_id}")


async def test_other_references_are_picked_from_candidates_and_library(browser_page: Page, results: Results) -> None:
    await opened(browser_page, results, "continue")
    form = browser_page.locator("#continue form")
    await form.get_by_text("References", exact=True).click()
    used = results.first.references[0].image.sha256
    await form.locator(f"[data-choice='{used}']").select_option("exclude_images")
    await form.get_by_label("Find others in the library").fill("a green circle")
    found = form.locator(".found-more select").first
    await found.select_option("add_images")
    added = await found.get_attribute("data-choice")
    wanted = {"exclude_images": [used], "add_images": [added], "seed": 7}

    def has_all(answer: Response) -> bool:
        return answer.url.endswith("/continue/estimate") and wanted.items() <= answer.request.post_data_json.items()

    async with browser_page.expect_response(has_all) as answer:
        await form.get_by_label("Seed").fill("7")
    assert (await answer.value).status == 200
    await expect(form.locator(".estimate:not([aria-busy])")).to_be_visible()
    assert await violations(browser_page) == []
    await browser_page.reload()
    await expect(form.locator(f"[data-choice='{used}']")).to_have_value("exclude_images")
    await expect(form.locator(f"[data-choice='{added}']")).to_have_value("add_images")
    await expect(form.get_by_label("Seed")).to_have_value("7")


async def test_a_run_is_forked_from_a_step(browser_page: Page, results: Results) -> None:
    await opened(browser_page, results, "fork")
    panel = browser_page.locator("#fork")
    steps = await results.state.rag.runs.steps("first")
    redraw = next(step.index for step in steps if step.node == "regenerate")
    step = panel.locator(".steps > li").nth(redraw)
    await step.locator("summary").first.click()
    await step.get_by_role("button", name="Fork from here").click()
    await expect(panel.get_by_label("From step")).to_have_value(str(redraw))
    await panel.get_by_text("Other references", exact=True).click()
    await expect(panel.locator(".estimate:not([aria-busy])")).to_contain_text("At most")
    assert await violations(browser_page) == []
    other = panel.locator("[data-reference]").nth(1)
    await other.check()
    chosen = await other.get_attribute("data-reference")
    await browser_page.reload()
    await expect(other).to_be_checked()
    await expect(panel.get_by_label("From step")).to_have_value(str(redraw))
    await expect(panel.locator(".estimate:not([aria-busy])")).to_contain_text("At most")
    await panel.get_by_role("button", name="Fork", exact=True).click()
    await browser_page.wait_for_url(lambda address: not address.endswith("/first"))
    await expect(browser_page.locator("#after")).to_be_visible()
    record = await results.state.rag.runs.get(browser_page.url.rsplit("/", 1)[-1])
    assert record.parent_run is not None
    assert record.parent_run.step == redraw
    assert chosen in {one.image.sha256 for one in record.attempts[1].references}


async def test_credits_name_every_reference(browser_page: Page, results: Results) -> None:
    await opened(browser_page, results, "credits")
    used = results.first.references[0]
    row = browser_page.locator("#credits tbody tr")
    for text in (used.title, used.author, used.licence, used.source):
        await expect(row).to_contain_text(text)


async def test_a_favourite_is_marked_and_listed(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/runs/{results.second.run_id}")
    star = browser_page.locator("#after [data-favourite]")
    await star.click()
    await expect(star).to_have_attribute("aria-pressed", "true")
    await browser_page.goto(f"{results.address}/runs?favourite=1")
    await expect(browser_page.locator("#count")).to_have_text("1 run")
    star = browser_page.locator(".card [data-favourite]")
    await star.click()
    await expect(star).to_have_attribute("aria-pressed", "false")  # a reload would break off what the click sends
    await browser_page.reload()
    await expect(browser_page.locator("#count")).to_have_text("0 runs")


async def test_what_is_downloaded(results: Results) -> None:
    image = results.first.image
    assert image is not None
    async with httpx.AsyncClient(timeout=60, base_url=f"{results.address}/runs/{results.first.run_id}") as client:
        file, sidecar = await client.get("/file"), await client.get("/sidecar")
        archive, report = await client.get("/zip"), await client.get("/report")
    assert file.content == await results.state.rag.runs.image_bytes(image.sha256)
    assert file.headers["content-disposition"] == 'attachment; filename="first.png"'
    assert json.loads(sidecar.content)["references"][0]["author"] == results.first.references[0].author
    assert sidecar.headers["content-disposition"] == 'attachment; filename="first.png.json"'
    with zipfile.ZipFile(io.BytesIO(archive.content)) as opened_archive:
        assert {"run.json", "report.html", "attempt-2-best.png"} <= set(opened_archive.namelist())
    # The report brings a policy of its own, stricter than that of the pages.
    assert report.headers["content-security-policy"].startswith(POLICY)
    assert "run report" in report.text


@pytest.mark.parametrize(
    ("address", "body", "said"),
    [
        ("/continue", {"feedback": "x", "more_rounds": 21}, "More rounds: at most 20"),
        ("/continue", {"feedback": "x", "seed": -1}, "Seed: at least 0"),
        ("/fork", {"step": 1, "seed": 2**70}, "Seed: less than"),
        ("/continue", {"feedback": "y" * 1001}, "1001 characters"),
        ("/continue", {"add_images": ["0" * 64]}, "not in library"),
        ("/continue", {"colour": "red"}, "colour"),
        ("/fork", {"step": 99}, "no step 99"),
        ("/fork", {"step": 1, "references": ["0" * 64]}, "references are for a regenerate"),
        ("/fork", {"step": 1, "generator": "openai:x@http://10.0.0.1/v1"}, "name it where the page is started"),
        ("/fork", {"step": 1, "judge": "transformers:/etc/model"}, "name it where the page is started"),
        ("/fork", {"step": 1, "generator": "nothing:x"}, "nothing"),
    ],
)
async def test_what_cannot_be_is_said(results: Results, address: str, body: dict[str, object], said: str) -> None:
    headers = {"x-csrf-token": csrf_token(results.state)}
    async with httpx.AsyncClient(timeout=60, base_url=f"{results.address}/runs/first", headers=headers) as client:
        answer = await client.post(address, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["message"]
