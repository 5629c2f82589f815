"""Every way of failing, through every adapter, to one error of ours."""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import (
    AuthError,
    BackendError,
    BackendTimeoutError,
    ImageRAGError,
    QuotaError,
    RateLimitedError,
    RefusalError,
    UnreadableImageError,
)
from imagerag.agent.ports import ImageGenerator, ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.generators.openai_responses import OpenAIResponsesImages
from imagerag.tools.openai.errors import check_error_field, map_openai_errors, redact, to_imagerag_error
from imagerag.tools.testing.mock_openai import Endpoint, Fault, FaultKind, MockOpenAIServer, tiny_png
from imagerag.tools.testing.mock_openai.responses import FAULT_KINDS

FIRST = SamplingParams()
FACTS = ImageModel(max_references=4)

ADAPTERS: dict[Endpoint, Callable[..., ImageGenerator]] = {
    "images.edit": lambda url, key: OpenAIImages("m", base_url=url, api_key=key, facts=FACTS, timeout_s=20),
    "chat": lambda url, key: OpenAIChatImages("m", base_url=url, api_key=key, facts=FACTS, timeout_s=20),
    "responses": lambda url, key: OpenAIResponsesImages("m", base_url=url, api_key=key, facts=FACTS, timeout_s=20),
}

MEANS: dict[FaultKind, tuple[type[ImageRAGError], bool]] = {
    "rate_limit": (RateLimitedError, True),
    "quota": (QuotaError, False),
    "billing": (QuotaError, False),
    "unauthorized": (AuthError, False),
    "forbidden": (AuthError, False),
    "error_500": (BackendError, True),
    "error_503": (BackendError, True),
    "reset_before": (BackendError, True),
    "reset_midway": (BackendError, True),
    "refusal": (RefusalError, False),
    "invalid_json": (UnreadableImageError, False),
    "truncated_base64": (UnreadableImageError, False),
    "empty_data": (BackendError, True),
    "wrong_content_type": (BackendError, True),
}


def test_every_fault_has_a_meaning() -> None:
    assert set(MEANS) == set(FAULT_KINDS) - {"hang", "garbled_text"}


@pytest.mark.parametrize("endpoint", ADAPTERS)
async def test_every_fault_means_the_same_everywhere(
    server: MockOpenAIServer, key: str, references: list[ImagePart], endpoint: Endpoint
) -> None:
    generator = ADAPTERS[endpoint](server.base_url, key)
    for kind, (meaning, retryable) in MEANS.items():
        server.enqueue(endpoint, Fault(kind, retry_after_s=2.5))
        with pytest.raises(meaning) as failed:
            await generator.generate("a cat", references, variation=FIRST, size=None)
        assert type(failed.value) is meaning, kind
        assert getattr(failed.value, "retryable", False) == retryable, kind
        if kind in ("rate_limit", "error_503"):
            assert getattr(failed.value, "retry_after_s", None) == 2.5
        if kind == "refusal":
            assert "safety_violations=[violence]" in str(failed.value)
    assert server.count() == len(MEANS)


@pytest.mark.parametrize("endpoint", ADAPTERS)
async def test_keys_and_images_are_in_no_error_log_or_repr(
    server: MockOpenAIServer,
    key: str,
    references: list[ImagePart],
    endpoint: Endpoint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    generator = ADAPTERS[endpoint](server.base_url, key)
    image = "iVBORw0KGgo"
    said = [repr(generator), repr(vars(generator))]
    for kind in (*MEANS, None):
        echo = f"wrong key {key}, Bearer {key}, image data:image/png;base64,{image}AAAA"
        if kind is not None:
            server.enqueue(endpoint, Fault(kind, message=echo))
            with pytest.raises(ImageRAGError) as failed:
                await generator.generate("a cat", references, variation=FIRST, size=None)
            error = failed.value
            assert error.__context__ is error.__cause__ is None
            said += [str(error), repr(error), "".join(traceback.format_exception(error)), repr(vars(error))]
        else:
            await generator.generate("a cat", references, variation=FIRST, size=None)
    said.append(caplog.text)
    for text in said:
        assert key not in text
        assert "SECRET" not in text
        assert image not in text
        assert "\\x89PNG" not in text


async def test_a_key_goes_only_where_it_belongs(server: MockOpenAIServer, key: str) -> None:
    await OpenAIImages("m", base_url=server.base_url, api_key=key).generate("a", [], variation=FIRST, size=None)
    assert key not in json.dumps(server.requests[0].body) + json.dumps(dict(server.requests[0].headers))


def status(code: int, body: Any, **headers: str) -> ImageRAGError:
    request = httpx2.Request("POST", "http://x/v1")
    response = httpx2.Response(code, headers=headers, json=body, request=request)
    error = openai.OpenAI(api_key="k")._make_status_error_from_response(response)
    known = to_imagerag_error(error, "openai:m")
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("code", "body", "meaning"),
    [
        (400, {"error": {"message": "no", "code": "content_policy_violation"}}, RefusalError),
        (400, {"error": {"message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, RefusalError),
        (400, {"error": {"message": "Your request was rejected by our safety system"}}, RefusalError),
        (
            403,
            {"error": {"message": "flagged", "metadata": {"reasons": ["sexual"], "flagged_input": "…"}}},
            RefusalError,
        ),
        (400, {"error": {"message": "bad size", "type": "image_generation_user_error"}}, BackendError),
        (402, {"error": {"message": "Insufficient credits"}}, QuotaError),
        (429, {"error": {"message": "quota", "type": "insufficient_quota"}}, QuotaError),
        (429, {"error": {"message": "slow down"}}, RateLimitedError),
        (401, {"detail": "no"}, AuthError),
        (403, {"error": {"message": "not verified"}}, AuthError),
        (408, {}, BackendTimeoutError),
        (404, {"error": {"message": "no such model"}}, BackendError),
        (422, {"detail": [{"msg": "field required"}]}, BackendError),
        (500, {"error": {"message": "the safety system is down", "code": "safety"}}, BackendError),
        (502, ["not", "an", "object"], BackendError),
        (400, "a string", BackendError),
    ],
)
def test_statuses_and_codes_of_many_services(code: int, body: Any, meaning: type[ImageRAGError]) -> None:
    known = status(code, body)
    assert type(known) is meaning
    if meaning is BackendError:
        assert known.retryable == (code >= 500)


def test_the_categories_of_a_refusal_are_told() -> None:
    body = {"error": {"message": "no", "code": "moderation_blocked", "categories": ["violence", "gore"]}}
    assert "[gore, violence]" in str(status(400, body))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e12"}, 86400),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert status(429, {"error": {"message": "slow"}}, **headers).retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ({"code": 429, "message": "slow"}, RateLimitedError),
        ({"code": 402, "message": "credits"}, QuotaError),
        ({"code": 502, "message": "down"}, BackendError),
        ({"code": "moderation_blocked", "message": "no"}, RefusalError),
        ({}, BackendError),
    ],
)
def test_an_error_inside_a_good_answer(error: Any, meaning: type[ImageRAGError]) -> None:
    with pytest.raises(meaning):
        check_error_field(error, "openai-chat:m")


def test_no_error_field_is_no_error() -> None:
    check_error_field(None, "openai-chat:m")
    check_error_field("", "openai-chat:m")


async def test_a_whole_answer_has_a_time_limit_and_mistakes_stay_mistakes() -> None:
    with pytest.raises(BackendTimeoutError):
        await map_openai_errors("m", asyncio.sleep(5), timeout_s=0.01)

    async def mistake() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        await map_openai_errors("m", mistake())


@given(st.text(), st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=8, max_size=60), st.text())
def test_a_secret_is_redacted_wherever_it_stands(before: str, secret: str, after: str) -> None:
    told = redact(f"{before}{secret}{after}", [secret])
    assert secret not in told.replace("<key>", "")
    assert len(told) <= 500


def test_long_data_is_redacted() -> None:
    import base64

    encoded = base64.b64encode(tiny_png("x") * 9).decode()
    assert redact(f"bad image {encoded}, {encoded[:200]}") == "bad image <data>, <data>"
    assert redact("key sk-proj-abc***xyz is wrong") == "key <key> is wrong"
    assert redact("an image of a kiosk-like thing") == "an image of a kiosk-like thing"
