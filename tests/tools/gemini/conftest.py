"""One Gemini API per test, and images to send it."""

from collections.abc import Iterator
from typing import Any

import pytest

from imagerag.agent.ports import ImageGenerator
from imagerag.tools.gemini.client import GeminiCredentials
from imagerag.tools.generators.gemini import GeminiImages
from imagerag.tools.judges.vlm.gemini_backend import GeminiChat
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.testing.mock_gemini import GeminiRequest, MockGeminiServer

genai = pytest.importorskip("google.genai")

KEY = "AIza-test-0123456789abcdefSECRET"


@pytest.fixture(autouse=True)
def _no_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own accounts, nor what the SDK reads from the environment."""
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")


@pytest.fixture
def server() -> Iterator[MockGeminiServer]:
    """A service that lets everybody in; a failure inside it fails the test."""
    with MockGeminiServer() as loopback:
        yield loopback
    assert loopback.errors == []


def account(server: MockGeminiServer) -> GeminiCredentials:
    """An account at the service, with a key that must be seen nowhere."""
    return GeminiCredentials.of(server.base_url, key=KEY)


def images(server: MockGeminiServer, model: str = "gemini-3.1-flash-image", **options: Any) -> ImageGenerator:
    """A generator at the service, at Google's prices."""
    price = Prices.load().of(model, "generativelanguage.googleapis.com")
    made: ImageGenerator = GeminiImages(
        model, **{"account": account(server), "price": price, "timeout_s": 20, **options}
    )
    return made


def chat(server: MockGeminiServer, model: str = "gemini-3.5-flash", **options: Any) -> GeminiChat:
    """A chat model at the service, at Google's prices."""
    price = Prices.load().of(model, "generativelanguage.googleapis.com")
    return GeminiChat(model=model, **{"account": account(server), "price": price, "timeout_s": 20, **options})


def sent(server: MockGeminiServer, at: int = -1) -> dict[str, Any]:
    """The body of a request, as it came over the wire."""
    request = server.requests[at]
    assert isinstance(request, GeminiRequest)
    return request.sent
