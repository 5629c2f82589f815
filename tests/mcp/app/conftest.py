"""The app in a real browser, over a server on the sketch world."""

from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.assistants.service import ChatService
from imagerag.mcp.server import ServerState
from tests.browser import browser_context, browser_page, chromium, shared_context
from tests.conftest import copied

__all__ = ["browser_context", "browser_page", "chromium", "shared_context"]


@pytest.fixture
def sketch(sketch_home: Path, tmp_path: Path) -> ServerState:
    """A server on the sketch world, in a home of its own."""
    copied(sketch_home, tmp_path / "home")
    return ServerState(service=ChatService(ImageRAG(preset="sketch", home=tmp_path / "home")))
