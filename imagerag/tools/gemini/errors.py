"""Map errors of the Gemini API to imagerag's.

Its errors come over the same HTTP client as those of OpenAI-compatible services, and are mapped like them
(`tools/openai/errors.py`), except for keys and quotas, which have forms of their own (google.rpc.Status).
"""

import asyncio
import re
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from imagerag.agent.errors import AuthError, BackendError, ImageRAGError, QuotaError
from imagerag.tools.error_bodies import body_of, is_page
from imagerag.tools.gemini.client import GeminiCredentials
from imagerag.tools.openai.errors import redact, to_imagerag_error
from imagerag.tools.pricing.billed_cost import listen

if TYPE_CHECKING:
    import openai

Answer = TypeVar("Answer")

_KEY: Final = re.compile(r"API_?KEY_(?:INVALID|\w+_BLOCKED)|api key (?:not|exp)", re.I)
_OF_DAY: Final = re.compile(r"PerDay|per day", re.I)
_NONE_LEFT: Final = re.compile(r"\"quotaValue\"\s*:\s*\"?0\b|\blimit: 0\b|credits? (?:are|is|have been) depleted", re.I)


async def map_gemini_errors(
    who: str, ask: Coroutine[Any, Any, Answer], account: GeminiCredentials, *, timeout_s: float | None = None
) -> Answer:
    """Await a call and convert the exceptions of the SDK and the HTTP client. Imagerag's own pass through.

    Args:
        who: the backend's name in messages.
        timeout_s: for the whole response, in seconds.

    Raises:
        MissingExtraError: google-genai is not installed.
        AuthError: a key is required and there is none; nothing was sent.
        RefusalError: content policy.
        BackendError: any other failure of the service or the connection, as its closest subclass.
    """
    try:
        account.client(who)  # takes a second the first time, which is not the service's
    except ImageRAGError:
        ask.close()
        raise
    listen()
    try:
        async with asyncio.timeout(timeout_s):
            return await ask
    except Exception as error:
        gemini_error = to_gemini_error(error, who, account)
        if gemini_error is None:
            raise
    # Raised outside of the handler: `__context__` would keep the request, its key and its images alive.
    raise gemini_error


def to_gemini_error(error: Exception, who: str, account: GeminiCredentials) -> ImageRAGError | None:
    """Imagerag's error for one of a call; None for imagerag's own errors and for programming errors."""
    answered = status_error(error)
    if answered is None:
        return to_imagerag_error(error, who, account.secrets)
    body, status = body_of(answered), answered.status_code
    message = f"{who}: {redact(body.words, account.secrets) or 'an error without words'} (HTTP {status})"
    if is_page(body.whole):
        advice = "it is a page of HTML: name the address of a Gemini API, without its paths"
        return BackendError(f"{message}; {advice}", retryable=status >= 500)
    if status in (401, 403) or (status == 400 and _KEY.search(body.whole)):
        return AuthError(f"{message}; {_key_advice(account, status)}")
    if status == 429 and (_OF_DAY.search(body.whole) or _NONE_LEFT.search(body.whole)):
        return QuotaError(f"{message}; this quota is spent, and does not come back within a run")
    return to_imagerag_error(answered, who, account.secrets)


def status_error(error: Exception) -> "openai.APIStatusError | None":
    """The HTTP response of an error of the SDK, in the form that the shared mapping takes; None without a response."""
    response: Any = getattr(error, "response", None)
    if type(error).__module__ != "google.genai.errors" or response is None:
        return None
    import openai

    return openai.APIStatusError("", response=response, body=None)


def _key_advice(account: GeminiCredentials, status: int) -> str:
    if not account.key:
        return "no key went there: put its key into a variable, and name that, ?key_env=NAME@URL"
    key_name = f"the key in {account.variable}" if account.variable else "its key"
    return f"{key_name} may not use it" if status == 403 else f"check {key_name}"
