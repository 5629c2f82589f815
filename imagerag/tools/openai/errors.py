"""Map errors of OpenAI-compatible services and clients to imagerag's; used by generators and judges.

The errors raised here hold no key, image or request: the client's own error, which holds all three, is not chained to
them.
"""

import asyncio
import re
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Final, TypeVar

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
from imagerag.tools.credentials import key_advice
from imagerag.tools.error_bodies import (
    ErrorBody,
    body_of,
    holds_image,
    is_page,
    read_body,
    told_in_good_answer,
)
from imagerag.tools.openai.retry_delay import retry_delay
from imagerag.tools.pricing.billed_cost import listen

Answer = TypeVar("Answer")

REFUSALS: Final = frozenset(
    {
        "moderation_blocked",
        "content_policy_violation",
        "content_filter",
        "responsibleaipolicyviolation",
        "prohibited_content",
        "image_safety",
        "safety",
    }
)
"""Error codes and finish reasons that mean content policy: OpenAI, Azure OpenAI, Gemini; lower case."""

QUOTA: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded", "insufficient_credits"}
)
"""Error codes for an exhausted balance or quota. OpenAI sends the first with 429, the second with 400."""

_POLICY: Final = re.compile(r"safety system|safety_violations|content (?:management )?policy|content policies", re.I)
_VIOLATIONS: Final = re.compile(r"safety_violations=\[([^\]]*)\]")
_SECRETS: Final = (
    (re.compile(r"\b(?:sk|pk|rk|key)-[A-Za-z0-9_*.-]{3,}"), "<key>"),
    (re.compile(r"\bAIza[\w-]{10,}"), "<key>"),
    (re.compile(r"(?i)\bbearer\s+\S+"), "Bearer <key>"),
    (re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]*"), "<image>"),
    (re.compile(r"[A-Za-z0-9+/_=-]{120,}"), "<data>"),
)
_MAX_MESSAGE: Final = 500


async def map_openai_errors(
    who: str, ask: Awaitable[Answer], *, timeout_s: float | None = None, secrets: Collection[str] = ()
) -> Answer:
    """Await a call and convert its client's exceptions to imagerag's. Imagerag's own pass through.

    Args:
        who: the backend's name in messages.
        timeout_s: for the whole response, in seconds. A client's own timeout is per read, which a server that sends a
            few bytes at a time never exceeds.
        secrets: strings that no message may contain, for instance the key.

    Raises:
        RefusalError: content policy.
        BackendError: any other failure of a service or connection, as its closest subclass.
    """
    import openai  # noqa: F401  # takes seconds the first time, which are not the service's

    listen()
    try:
        async with asyncio.timeout(timeout_s):
            return await ask
    except Exception as error:
        own_error = to_imagerag_error(error, who, secrets)
        if own_error is None:
            raise
    # Raised outside of the handler: `__context__` would keep the request, its key and its images alive.
    raise own_error


def to_imagerag_error(error: Exception, who: str, secrets: Collection[str] = ()) -> ImageRAGError | None:
    """Imagerag's error for a client's; None for imagerag's own errors and for programming errors."""
    import httpx2
    import openai

    if isinstance(error, ImageRAGError):
        return None
    if type(error).__name__ == "OpenAIRefusalError":
        return RefusalError(f"{who} declined: {redact(str(error), secrets)}")
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError):
        return _with_sent_mark(
            error, BackendTimeoutError(f"{who} did not answer in time; allow it longer (timeout), or try again")
        )
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return RefusalError(f"{who} declined: its content filter stopped the answer")
    if isinstance(error, openai.APIResponseValidationError):
        return unreadable(who, "something that is not the JSON it promised")
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, who, secrets)
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        return _with_sent_mark(
            error, BackendError(f"{who} cannot be reached, or broke off: {_cause(error)}; is the server up?")
        )
    if isinstance(error, openai.APIError):
        body = body_of(error)
        message = redact(body.words or error.message, secrets)
        return _from_body(body, f"{who}: {message}") or BackendError(
            f"{who} failed while it answered: {message}", retry_after_s=retry_delay({}, body.whole)
        )
    if isinstance(error, openai.OpenAIError | httpx2.HTTPError | httpx2.InvalidURL):
        return BackendError(f"{who}: {redact(str(error), secrets)}", retryable=False)
    if isinstance(error, ValueError) and type(error).__name__ in ("JSONDecodeError", "UnicodeDecodeError"):
        return unparsable(who, error)
    if isinstance(error, RecursionError) and "JSON" in str(error):
        return unreadable(who, "JSON that is nested too deep")
    return None


def unreadable(who: str, what: str) -> BackendError:
    """Error for a damaged response: a retry can help, and the service may charge for this one all the same."""
    error = BackendError(f"{who} answered with {what}", retryable=True)
    error.unsettled = True
    return error


def unparsable(who: str, error: Exception) -> BackendError:
    """Error for a response that is not the expected JSON; if it holds an image, it is kept and not paid for again."""
    text = str(getattr(error, "doc", None) or "")
    if holds_image(text, broken=True):
        broken = f"{who} answered with an image inside of JSON that breaks off"
        return UnreadableImageError(broken, data=text.encode("utf-8", "replace"))
    return unreadable(who, "something that is not JSON")


def refusal(who: str, reason: str, secrets: Collection[str] = ()) -> RefusalError:
    """Error for a response in which the model refuses."""
    return RefusalError(f"{who} declined: {redact(reason, secrets) or 'its content policy forbids it'}")


def check_error_field(error: object, who: str, secrets: Collection[str] = ()) -> None:
    """Raise the `error` object of a response with status 200, as OpenRouter sends it. None is no error.

    Raises:
        ImageRAGError: as for the HTTP status in its `code`.
    """
    if not isinstance(error, Mapping | str | list) or error == "":
        return
    body = read_body({"error": error})
    message = f"{who}: {redact(body.words, secrets)}"
    wait, status_error = retry_delay({}, body.whole), None
    if status := body.status:
        status_error = _by_status(status, f"{message} (code {status})", wait)
    raise _from_body(body, message, wait=wait) or status_error or BackendError(message, retry_after_s=wait)


def is_refusal_reason(reason: object) -> bool:
    """Whether a finish reason (OpenAI's or a provider's own) means content policy."""
    return isinstance(reason, str) and reason.lower() in REFUSALS


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """A service's text without keys, images and other long data, in one line of at most 500 characters."""
    for secret in secrets:
        # Shorter strings are no secrets, and occur inside words.
        text = text.replace(secret, "<key>") if len(secret) >= 6 else text
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    text = " ".join(text.split())
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def _from_status(error: Any, who: str, secrets: Collection[str]) -> ImageRAGError:
    body, status, hidden = body_of(error), int(error.status_code), told_in_good_answer(error)
    words = redact(body.words, secrets) or str(getattr(error.response, "reason_phrase", "")) or "an error without words"
    message = f"{who}: {words} ({'an error with HTTP 200' if hidden else f'HTTP {status}'})"
    if is_page(body.whole):
        message += "; it is a page of HTML: does the address end in /v1?"
    if 300 <= status < 400:
        return BackendError(
            f"{message}; it points elsewhere, which is not followed: name that address", retryable=False
        )
    wait = retry_delay(error.response.headers, body.whole)
    # A 5xx never ends a run, whatever its body says: "safety" can be the name of the failed service.
    bad_request = status in (400, 403, 422) or hidden
    by_body = _from_body(body, message, bad_request, wait) if status < 500 or hidden else None
    if by_body is None and status in (401, 403):
        request = error.response.request
        authorization = str(request.headers.get("authorization", ""))
        return AuthError(f"{message}; {key_advice(str(request.url), authorization, forbidden=status == 403)}")
    return by_body or _by_status(status, message, wait)


def _by_status(status: int, message: str, wait: float | None) -> BackendError:
    if status == 402:
        return QuotaError(f"{message}; the account has nothing left to spend", retry_after_s=wait)
    if status == 401:
        return AuthError(f"{message}; check the key")
    if status == 403:
        return AuthError(f"{message}; this key may not use it")
    if status == 404:
        return BackendError(f"{message}; check the model's name and the address", retryable=False)
    if status == 408:
        return BackendTimeoutError(message, retry_after_s=wait)
    if status == 429:
        return RateLimitedError(message, retry_after_s=wait)
    return BackendError(message, retryable=status >= 500 or status in (409, 425), retry_after_s=wait)


def _from_body(
    body: ErrorBody, message: str, bad_request: bool = True, wait: float | None = None
) -> ImageRAGError | None:
    """The error by its body's code, if that is more specific than the status."""
    metadata = _mapping(body.facts.get("metadata"))
    if body.codes & QUOTA and not (wait and "quota_exceeded" in body.codes):
        return QuotaError(f"{message}; the account has nothing left to spend", retry_after_s=wait)
    if body.codes & REFUSALS or "flagged_input" in metadata or (bad_request and _POLICY.search(message)):
        return RefusalError(message + _categories(body.facts, metadata, message))
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _categories(body: Mapping[str, Any], metadata: Mapping[str, Any], message: str) -> str:
    """Content policy categories beside the message, unless the message has them."""
    details = _mapping(body.get("moderation_details"))
    categories = metadata.get("reasons") or body.get("categories") or details.get("categories")
    if not isinstance(categories, list) or _VIOLATIONS.search(message):
        return ""
    return f" [{', '.join(sorted(map(str, categories)))[:200]}]"


def _with_sent_mark(error: Exception, own_error: BackendError) -> BackendError:
    """Mark whether the service got the request before the connection failed, and so may charge for it."""
    import httpx2

    never = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
    own_error.unsettled = own_error.sent = not any(isinstance(cause, never) for cause in _causes(error))
    return own_error


def _cause(error: Exception) -> str:
    """The kind of connection failure; its text may hold the request."""
    return type(_causes(error)[-1]).__name__


def _causes(error: Exception) -> list[Exception]:
    causes = [error]
    while causes[-1].__cause__ is not None and isinstance(causes[-1].__cause__, Exception):
        causes.append(causes[-1].__cause__)
    return causes
