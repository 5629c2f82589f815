"""Errors of the Gemini API: what is retried, when, and what is told of the key."""

from typing import Any

import pytest

from imagerag.agent.errors import (
    AuthError,
    BackendError,
    BackendTimeoutError,
    MissingExtraError,
    QuotaError,
    RateLimitedError,
)
from imagerag.agent.types import SamplingParams
from imagerag.tools.gemini.client import GEMINI_URL, GeminiCredentials
from imagerag.tools.healthcheck import check_health, server_warnings
from imagerag.tools.judges.vlm.messages import user
from imagerag.tools.registry import make_generator, make_judge
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_gemini import MockGeminiServer
from imagerag.tools.testing.mock_openai import Fault, FaultKind, Raw
from tests.tools.gemini.conftest import KEY, chat, images

FIRST = SamplingParams()
RPC = "type.googleapis.com/google.rpc"


def status(code: int, name: str, message: str, *details: dict[str, Any]) -> Raw:
    """An error as Google sends it."""
    return Raw(code, {"error": {"code": code, "message": message, "status": name, "details": list(details)}})


async def failure(server: MockGeminiServer, answer: Raw | Fault) -> BackendError:
    """The error of a drawing; the judge's is the same."""
    server.enqueue("chat", answer, answer)
    with pytest.raises(BackendError) as drawing:
        await images(server).generate("a cat", [], variation=FIRST, size=None)
    with pytest.raises(type(drawing.value)):
        await chat(server).ask([user("Is it a cat?")], schema=None, variation=FIRST)
    assert server.count() == 2, "nothing is retried by the SDK"
    for shown in (str(drawing.value), repr(drawing.value), repr(drawing.value.__cause__)):
        assert KEY not in shown
    assert drawing.value.__context__ is None
    return drawing.value


async def test_a_rate_limit_says_when_to_come_back(server: MockGeminiServer) -> None:
    retry = {"@type": f"{RPC}.RetryInfo", "retryDelay": "37s"}
    minute = {"@type": f"{RPC}.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}
    error = await failure(server, status(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", minute, retry))
    assert isinstance(error, RateLimitedError)
    assert (error.retryable, error.retry_after_s) == (True, 37)


@pytest.mark.parametrize(
    ("message", "violation"),
    [
        ("You exceeded your current quota.", {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}),
        ("Quota exceeded, limit: 0", {"quotaId": "InputTokensPerModelPerMinute-FreeTier"}),
        ("Your prepayment credits are depleted.", {}),
    ],
)
async def test_a_spent_quota_is_not_waited_for(
    server: MockGeminiServer, message: str, violation: dict[str, str]
) -> None:
    details = {"@type": f"{RPC}.QuotaFailure", "violations": [violation]}
    retry = {"@type": f"{RPC}.RetryInfo", "retryDelay": "1s"}
    error = await failure(server, status(429, "RESOURCE_EXHAUSTED", message, details, retry))
    assert isinstance(error, QuotaError)
    assert not error.retryable


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (status(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}), AuthError),
        (status(403, "PERMISSION_DENIED", f"Key {KEY} may not use it."), AuthError),
        (status(401, "UNAUTHENTICATED", "No."), AuthError),
        (status(404, "NOT_FOUND", "models/x is not found for API version v1beta"), BackendError),
        (status(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), BackendError),
    ],
    ids=["invalid", "forbidden", "unauthenticated", "no model", "place"],
)
async def test_errors_of_the_account_are_final(server: MockGeminiServer, answer: Raw, kind: type[BackendError]) -> None:
    error = await failure(server, answer)
    assert isinstance(error, kind)
    assert not error.retryable


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (status(500, "INTERNAL", "An internal error has occurred."), BackendError),
        (status(503, "UNAVAILABLE", "The model is overloaded."), BackendError),
        (status(504, "DEADLINE_EXCEEDED", "The service was too slow."), BackendError),
        (Raw(502, "<html><title>502</title><body>Bad Gateway</body></html>", content_type="text/html"), BackendError),
        (Fault("reset_before"), BackendError),
        (Fault("reset_midway"), BackendError),
    ],
    ids=["500", "503", "504", "page", "reset", "cut"],
)
async def test_errors_of_the_service_can_be_retried(
    server: MockGeminiServer, answer: Raw | Fault, kind: type[BackendError]
) -> None:
    error = await failure(server, answer)
    assert isinstance(error, kind)
    assert error.retryable


async def test_a_response_that_does_not_come_is_a_timeout(server: MockGeminiServer) -> None:
    hang: FaultKind = "hang"
    server.enqueue("chat", Fault(hang))
    with pytest.raises(BackendTimeoutError) as caught:
        await images(server, timeout_s=0.2).generate("a cat", [], variation=FIRST, size=None)
    assert caught.value.unsettled


@pytest.mark.parametrize(
    ("given", "key", "variable"),
    [
        ({"GEMINI_API_KEY": "key-1", "GOOGLE_API_KEY": "key-2"}, "key-1", "GEMINI_API_KEY"),
        ({"GOOGLE_API_KEY": "key-2"}, "key-2", "GOOGLE_API_KEY"),
        ({"OPENAI_API_KEY": "key-3"}, None, "GEMINI_API_KEY"),
    ],
)
def test_the_key_is_googles_own(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], key: str | None, variable: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    account = GeminiCredentials.of()
    assert (account.base_url, account.key, account.variable) == (GEMINI_URL, key, variable)
    assert "key-" not in repr(account)
    assert GeminiCredentials.of("https://gateway.example/gemini/v1beta/").key is None
    assert GeminiCredentials.of("https://gateway.example/gemini/v1beta/").base_url == "https://gateway.example/gemini"


async def test_a_key_goes_to_a_gateway_only_where_the_spec_names_it(
    server: MockGeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GATEWAY_KEY", "ours-0123456789")
    for spec in (f"gemini:m@{server.base_url}", f"gemini:m?key_env=GATEWAY_KEY@{server.base_url}"):
        await make_generator(spec).generate("a cat", [], variation=FIRST, size=None)
    assert [request.key for request in server.requests] == ["none", "ours-0123456789"]  # type: ignore[attr-defined]


async def test_the_sdk_says_nothing_of_keys_that_it_is_not_given(
    server: MockGeminiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "key-1")
    monkeypatch.setenv("GOOGLE_API_KEY", "key-2")
    await make_generator(f"gemini:m@{server.base_url}").generate("a cat", [], variation=FIRST, size=None)
    assert [one for one in caplog.records if one.name.startswith("google")] == []


async def test_a_missing_key_names_both_variables() -> None:
    with pytest.raises(AuthError, match="set GEMINI_API_KEY or GOOGLE_API_KEY") as caught:
        await make_generator("gemini").generate("a cat", [], variation=FIRST, size=None)
    assert not caught.value.sent


async def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagerag.agent.extras.find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"imagerag\[gemini\]"):
        await make_generator("gemini").generate("a cat", [], variation=FIRST, size=None)


@pytest.mark.parametrize(("model", "listed"), [("loopback", True), ("gemini-0", False)])
async def test_a_health_check_asks_for_the_model_and_draws_nothing(
    server: MockGeminiServer, model: str, listed: bool
) -> None:
    spec = BackendSpec.parse(f"gemini:{model}@{server.base_url}")
    found = await check_health(spec, "judge", part=make_judge(spec))
    assert (found.reachable, found.listed) == (True, listed)
    drawing = make_generator(f"gemini:{model}@{server.base_url}")
    assert (await check_health(BackendSpec.parse(drawing.identity), "generator", part=drawing)).listed is listed
    assert await server_warnings(drawing) == (), "a dry run asks no service"
    assert server.count("chat") == 0


async def test_a_health_check_of_nothing_says_so() -> None:
    found = await check_health(BackendSpec.parse("gemini:m@http://127.0.0.1:9"), "generator")
    assert found.reachable is False
    assert "cannot be reached" in found.detail
