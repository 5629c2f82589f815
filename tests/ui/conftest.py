"""A server of the page in this process, on a free port, with a data directory of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

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
