"""Every way a service says how long to wait, over HTTP and in the words that services use."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import QuotaError, RateLimitedError
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.openai.retry_delay import duration, retry_delay
from imagerag.tools.testing.mock_openai import MockOpenAIServer
from imagerag.tools.testing.mock_openai.responses import Raw

NOT_SAID: list[str] = [
    "Rate limit reached: Limit 5 per 1 minute.",
    "please try again later (code 12)",
    "retry 3 times",
    "Try again at 5",
    "Slow down.",
    "",
]


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ("Rate limit reached for gpt-image-1: Limit 5, Used 5, Requested 1. Please try again in 12s.", 12),
        ("Please try again in 1m2s. Visit https://example.com", 62),
        ("Please try again in 250ms.", 0.25),
        ("Please try again in 7m12.5s.", 432.5),
        ("Please try again in 1h2m3s.", 3723),
        ("Please retry in 36.5s.", 36.5),
        ("Please retry after 6 seconds. Please contact support", 6),
        ("Please wait 1 minute and 2 seconds before trying", 62),
        ("Request was throttled. Expected available in 17 seconds.", 17),
        ("Try again in about 2 minutes.", 120),
        ("limit resets in 2h5m", 7500),
        ("You can retry in 20 seconds or use 3 images", 20),
        ("Retry after 15", 15),
        ('[{"error": {"details": [{"@type": "…RetryInfo", "retryDelay": "27s"}]}}]', 27),
        ('{"message": "upstream: {\\"retryDelay\\": \\"31.5s\\"}"}', 31.5),
        ('{"retryDelay": {"seconds": 9, "nanos": 0}}', 9),
        ("retry_delay {\n  seconds: 12\n}", 12),
        ('{"retry_after": 3.5}', 3.5),
        ('{"retry_after": "1m2s"}', 62),
        ('{"error": {"retryAfter": 7}}', 7),
        ('{"retry_after_ms": 1500}', 1.5),
        ('{"retry_after_seconds": 4}', 4),
        ('{"parameters": {"retry_after": 4}}', 4),
        *[(words, None) for words in NOT_SAID],
    ],
)
def test_the_words_and_fields_of_a_body(body: str, seconds: float | None) -> None:
    assert retry_delay({}, body) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, 12),
        ({"retry-after": "12s"}, 12),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"x-ratelimit-reset-requests": "1m12.5s"}, 72.5),
        ({"x-ratelimit-reset-images": "20ms"}, 0.02),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "12s",
                "x-ratelimit-remaining-tokens": "9000",
                "x-ratelimit-reset-tokens": "8h",
            },
            12,
        ),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "30s"}, 30),
        ({"x-ratelimit-reset-after": "2.5"}, 2.5),
        ({"ratelimit-reset": "17"}, 17),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "8h"}, 3),
        ({"x-ratelimit-reset": "soon"}, None),
    ],
)
def test_the_headers_of_an_answer(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_delay(headers, "") == seconds


def test_moments_are_counted_from_now() -> None:
    then, epoch = datetime.now(UTC) + timedelta(seconds=30), time.time() + 30
    for headers in (
        {"retry-after": format_datetime(then, usegmt=True)},
        {"x-ratelimit-reset": str(int(epoch))},
        {"x-ratelimit-reset": str(int(epoch * 1000))},
        {"anthropic-ratelimit-requests-reset": then.isoformat()},
    ):
        assert retry_delay(headers, "") == pytest.approx(30, abs=10), headers


def test_the_longest_that_is_asked_for_counts() -> None:
    assert retry_delay({"retry-after": "20"}, "Please try again in 20.5s.") == 20.5
    assert retry_delay({"retry-after": "1e9999"}, "") is not None


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_means_what_its_parts_mean(hours: int, minutes: int, seconds: int, millis: int) -> None:
    text = f"{hours}h{minutes}m{seconds}.{millis:03}s"
    assert duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + millis / 1000)
    assert retry_delay({}, f"Please try again in {text}. Thank you.") == duration(text)


@given(st.text(), st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset", "retry-after-ms"]), st.text()))
def test_no_words_and_no_headers_break_it(body: str, headers: dict[str, str]) -> None:
    wait = retry_delay(headers, body)
    assert wait is None or 0 <= wait <= 86400


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        ({"error": {"message": "Please try again in 12s.", "code": "rate_limit_exceeded"}}, {}, 12),
        ([{"error": {"code": 429, "message": "quota", "details": [{"retryDelay": "27s"}]}}], {}, 27),
        ({"error": "Please retry after 6 seconds"}, {}, 6),
        ({"detail": "slow", "retry_after": 4}, {}, 4),
        ({"error": {"message": "slow"}}, {"x-ratelimit-reset-requests": "1m12.5s"}, 72.5),
        ("<html><body>Please retry after 9 seconds</body></html>", {"retry-after": "40000"}, 40000),
    ],
)
async def test_over_http_the_error_says_it(
    server: MockOpenAIServer, body: Any, headers: dict[str, str], seconds: float
) -> None:
    server.enqueue("images.generate", Raw(429, body, headers))
    with pytest.raises(RateLimitedError) as failed:
        await OpenAIImages("m", base_url=server.base_url).generate("a", [], variation=SamplingParams(), size=None)
    assert failed.value.retry_after_s == seconds


async def test_an_account_without_money_is_not_waited_for(server: MockOpenAIServer) -> None:
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    server.enqueue("images.generate", Raw(429, body, {"retry-after": "5"}))
    with pytest.raises(QuotaError):
        await OpenAIImages("m", base_url=server.base_url).generate("a", [], variation=SamplingParams(), size=None)
