"""Batches and evaluations in a browser: what is found, what is shown, and what is not."""

from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.browser import violations
from tests.ui.results.conftest import HOSTILE, Results

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_batch_is_found_and_its_rows_are_shown(browser_page: Page, results: Results) -> None:
    dialogs: list[str] = []
    browser_page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await browser_page.goto(f"{results.address}/batches")
    assert await violations(browser_page) == []
    await browser_page.locator(".folders a").click()
    rows = browser_page.locator(".card")
    await expect(rows).to_have_count(3)
    await browser_page.wait_for_function("() => document.querySelector('.card img').naturalWidth > 0")
    await expect(rows.nth(0).locator("a")).to_have_attribute("href", "/runs/first")
    # The second row names an image outside of the batch's folder: it is not shown.
    await expect(rows.nth(1)).to_contain_text("image not available")
    await expect(rows.nth(1)).to_contain_text("<script>alert(1)</script>")
    await expect(rows.nth(2)).to_contain_text("cannot be run")
    assert await violations(browser_page) == []
    assert dialogs == []


async def test_an_evaluation_is_shown_with_its_tables_and_its_gallery(browser_page: Page, results: Results) -> None:
    await browser_page.goto(f"{results.address}/evaluations")
    await browser_page.locator(".folders a").click()
    await expect(browser_page.locator("section.case")).to_have_count(2)
    await expect(browser_page.locator(".tables")).to_contain_text("0.700")
    await expect(browser_page.locator("section.case h2").first).to_contain_text("<script>alert(1)</script>")
    await browser_page.wait_for_function("() => document.querySelector('.arms img').naturalWidth > 0")
    plots = browser_page.get_by_role("region", name="Plots").get_by_role("img")
    await expect(plots).to_have_count(1)
    await plots.scroll_into_view_if_needed()
    await browser_page.wait_for_function("() => document.querySelector('.plots img').naturalWidth > 0")
    await browser_page.get_by_label("Words").fill("nothing like it")
    await expect(browser_page.locator("#count")).to_have_text("0 of 2 cases")
    assert await violations(browser_page) == []


async def test_only_folders_below_the_roots_are_shown(results: Results, tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text('{"name": "x", "settings": {}}')
    link = results.roots / "link"
    link.symlink_to(tmp_path)
    home = results.state.rag.dependencies.home.root
    async with httpx.AsyncClient(timeout=60, base_url=results.address) as client:
        for kind in ("batches", "evaluations"):
            for folder in (tmp_path, link, f"{results.roots}/../../", "/etc", "nothing", f"{results.roots}\0"):
                answer = await client.get(f"/{kind}?{urlencode({'folder': folder})}")
                assert answer.status_code == 400, folder
                assert "is not a folder below" in answer.json()["message"]
        assert "no batch" in (await client.get(f"/batches?{urlencode({'folder': home})}")).json()["message"]
        assert str(link) not in (await client.get("/batches")).text
        for name in ("../secret.png", str(results.roots / "secret.png"), "batch.json", "https://example.org/x.png"):
            named = {"folder": results.roots / f"batch {HOSTILE.replace('/', '∕')}", "path": name}
            answer = await client.get(f"/batches/image?{urlencode(named)}")
            assert answer.status_code == 400, name
        folder = results.roots / "deep" / "evaluation"
        for sha256 in ("0" * 64, "../../plan.json", ""):
            answer = await client.get(f"/evaluations/image?{urlencode({'folder': folder, 'sha256': sha256})}")
            assert answer.status_code == 404
    link.unlink()


async def test_only_the_plots_of_an_evaluation_are_shown_and_they_run_nothing(results: Results, tmp_path: Path) -> None:
    folder = results.roots / "deep" / "evaluation"
    (tmp_path / "secret.svg").write_text("<svg/>")
    others = [folder / "plots" / name for name in ("linked.svg", "folder.svg", "text.txt")]
    others[0].symlink_to(tmp_path / "secret.svg")
    others[1].mkdir()
    others[2].write_text("no plot")
    async with httpx.AsyncClient(timeout=60, base_url=results.address) as client:
        plot = await client.get(f"/evaluations/plot?{urlencode({'folder': folder, 'name': 'cost-score.svg'})}")
        assert (plot.status_code, plot.headers["content-type"]) == (200, "image/svg+xml")
        assert plot.headers["content-security-policy"].endswith("sandbox")
        assert "script-src" not in plot.headers["content-security-policy"]
        for name in ("../summary.json", "linked.svg", "folder.svg", "text.txt", "nothing.svg", "", "a\0.svg"):
            answer = await client.get(f"/evaluations/plot?{urlencode({'folder': folder, 'name': name})}")
            assert answer.status_code == 404, name
        outside = await client.get(f"/evaluations/plot?{urlencode({'folder': tmp_path, 'name': 'secret.svg'})}")
        assert outside.status_code == 400
    others[0].unlink()
    others[1].rmdir()
    others[2].unlink()
