"""A server of the page in this process, on a free port, with a data directory of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from imagerag import ImageRAG
from imagerag.http_server.access import HttpOptions
from imagerag.http_server.listening import address_of
from imagerag.ui.app import make_app
from imagerag.ui.guard import CSRF_HEADER, csrf_token
from imagerag.ui.state import UiState
from tests.browser import browser_context, browser_page, chromium, shared_context, violations
from tests.conftest import copied
from tests.http_serving import served_here

__all__ = ["browser_context", "browser_page", "chromium", "shared_context", "violations"]


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
    async with served_here(make_app(state), state.http) as listening:
        yield UiServer(address_of(listening).rstrip("/"), state)


def client_of(state: UiState, **options: Any) -> httpx.AsyncClient:
    """A client without a server between, that has the page's own token."""
    transport = httpx.ASGITransport(make_app(state), **options)
    headers = {CSRF_HEADER: csrf_token(state)}
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8770", headers=headers)


@pytest.fixture
def ui_home(sketch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of the server's runs and libraries."""
    home = copied(sketch_home, tmp_path / "home")
    monkeypatch.setenv("IMAGERAG_HOME", str(home))
    return home


@pytest_asyncio.fixture(loop_scope="session")
async def ui(ui_home: Path) -> AsyncIterator[UiServer]:
    """A server of the sketch world."""
    state = UiState(rag=ImageRAG(preset="sketch", home=ui_home), http=HttpOptions(port=0))
    async with serving(state) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def shared_ui(sketch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UiServer]:
    """A server of the sketch world that the tests of a module share."""
    home = copied(sketch_home, tmp_path_factory.mktemp("ui") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGERAG_HOME", str(home))
        state = UiState(rag=ImageRAG(preset="sketch", home=home), http=HttpOptions(port=0))
        async with serving(state) as server:
            yield server
