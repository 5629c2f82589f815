"""A server of the page in this process, on a free port, with a data directory of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from imagerag import ImageRAG
from imagerag.http_server.access import HttpOptions
from imagerag.http_server.listening import address_of, bound, listener
from imagerag.ui.app import make_app
from imagerag.ui.state import UiState
from tests.browser import browser_context, browser_page, chromium

__all__ = ["browser_context", "browser_page", "chromium"]


@dataclass(frozen=True)
class UiServer:
    """A server that runs.

    Attributes:
        address: of the page, without the slash at the end.
        state: its state.
    """

    address: str
    state: UiState


@asynccontextmanager
async def serving(state: UiState) -> AsyncIterator[UiServer]:
    """Serve for the block."""
    listening = bound(state.http)
    server = listener(make_app(state))
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.005)
    try:
        yield UiServer(address_of(listening).rstrip("/"), state)
    finally:
        server.should_exit = True
        await task


@pytest.fixture
def ui_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of the server's runs and libraries."""
    home = tmp_path / "home"
    monkeypatch.setenv("IMAGERAG_HOME", str(home))
    return home


@pytest_asyncio.fixture(loop_scope="session")
async def ui(ui_home: Path) -> AsyncIterator[UiServer]:
    """A server of the sketch world."""
    state = UiState(rag=ImageRAG(preset="sketch", home=ui_home), http=HttpOptions(port=0))
    async with serving(state) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def shared_ui(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UiServer]:
    """A server of the sketch world that the tests of a module share."""
    home = tmp_path_factory.mktemp("ui") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGERAG_HOME", str(home))
        state = UiState(rag=ImageRAG(preset="sketch", home=home), http=HttpOptions(port=0))
        async with serving(state) as server:
            yield server


async def violations(page: Page) -> list[str]:
    """What axe finds on a page that is serious or critical: rule and elements."""
    found = (await Axe().run(page)).response["violations"]
    grave = (one for one in found if one["impact"] in ("serious", "critical"))
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']][:3]}" for one in grave]
