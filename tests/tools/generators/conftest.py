"""One loopback provider per test, and pictures to send it."""

import io
from collections.abc import Iterator

import openai
import pytest
from PIL import Image

from imagerag.tools.testing.mock_openai import MockOpenAIServer

KEY = "sk-test-0123456789abcdefSECRET"


@pytest.fixture(autouse=True)
def _no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own accounts."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENROUTER_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    """A provider that lets everybody in; a failure inside it fails the test."""
    with MockOpenAIServer() as loopback:
        yield loopback
    assert loopback.errors == []


@pytest.fixture
def key() -> str:
    """A key that must be seen nowhere."""
    return KEY


def hole(width: int = 64, height: int = 64) -> bytes:
    """A mask: transparent in its upper left quarter, opaque elsewhere."""
    picture = Image.new("RGBA", (width, height), "white")
    picture.paste((0, 0, 0, 0), (0, 0, width // 2, height // 2))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def mask() -> bytes:
    """A mask as large as the pictures of these tests."""
    return hole()


@pytest.fixture
def client(server: MockOpenAIServer, key: str) -> Iterator[openai.OpenAI]:
    """The SDK's own client, pointed at the server."""
    with openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=60) as made:
        yield made
