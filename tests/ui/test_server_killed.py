"""A server that is killed in the middle of a run, and started again at the same address."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, SketchResponder
from tests.conftest import copied
from tests.http_serving import free_port
from tests.processes import IMAGERAG, Python

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "sk-ui-0123456789abcdefSECRET"


@dataclass
class Process:
    """`imagerag ui` in a process of its own, with images from a service on this machine."""

    home: Path
    service: MockOpenAIServer
    port: int
    process: Python | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        options = ("--preset", "sketch", "--generator", f"openai:loopback@{self.service.base_url}")
        env = os.environ | {"IMAGERAG_HOME": str(self.home), "OPENAI_API_KEY": KEY}
        self.process = Python(*IMAGERAG, "ui", *options, "--port", str(self.port), "--no-browser", env=env)
        stderr = self.process.stderr
        assert stderr is not None
        for line in iter(lambda: stderr.readline(), ""):
            if "the page is at" in line:
                return
        raise AssertionError("it did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest_asyncio.fixture(loop_scope="session")
async def process(sketch_home: Path, tmp_path: Path) -> AsyncIterator[Process]:
    with MockOpenAIServer(SketchResponder()) as service:
        one = Process(copied(sketch_home, tmp_path / "home"), service, free_port())
        yield one
        one.kill()


async def test_the_page_says_that_it_stopped_goes_on_and_pays_nothing_twice(
    browser_page: Page, process: Process
) -> None:
    process.service.enqueue("images.edit", Fault("hang"))
    await process.start()
    await browser_page.goto(process.address)
    await browser_page.get_by_label("Prompt", exact=True).fill("a teal checkered crescent and a red solid circle")
    await browser_page.get_by_role("button", name="Draw").click()
    await expect(browser_page.locator(".attempt")).to_have_count(1)
    while not process.service.count("images.edit"):
        await asyncio.sleep(0.02)
    process.kill()
    await expect(browser_page.locator("#status")).to_have_text("The server does not answer. Trying again…")
    await process.start()
    await expect(browser_page.locator("[data-stage=stopped] .badge")).to_have_text("Stopped in the middle")
    await browser_page.get_by_role("button", name="Go on").click()
    await expect(browser_page.locator("[data-stage=ended]")).to_be_visible()
    await expect(browser_page.locator(".attempt")).not_to_have_count(1)
    assert process.service.count("images.generate") == 1
