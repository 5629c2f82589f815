"""Map exceptions of ChatOpenAI to a refused option or to an imagerag error.

`tools/openai/errors.py` maps the services' own errors, for generators and judges alike.
"""

import re
from collections.abc import Collection
from typing import Final

from imagerag.agent.errors import AuthError, BackendTimeoutError, QuotaError, RefusalError
from imagerag.tools.error_bodies import body_of
from imagerag.tools.openai.errors import to_imagerag_error, unreadable
from imagerag.tools.openai.refused_options import may_refuse

FINAL_ERRORS: Final = (RefusalError, QuotaError, AuthError)
"""Errors that never mean a refused option, whatever their text."""

_NAMES: Final = {
    "temperature": ("temperature",),
    "seed": ("seed",),
    "detail": ("image_url.detail", "detail"),
    "max_tokens": ("max_tokens",),
    "json_schema": (
        "response_format",
        "json_schema",
        "json schema",
        "json mode",
        "response_mime_type",
        "structured output",
        "guided",
        "grammar",
    ),
    "tool": ("tool", "function call", "function_call", "functions"),
    "system": ("system role", "system message", "system instruction", "system prompt", "developer instruction"),
}
"""Names that servers use for the options they refuse."""

_SYSTEM: Final = re.compile(
    r"system (?:role|message|prompt|instruction)s?\b.{0,40}(?:support|allow|enabl|accept)|roles? must alternate"
    r"|only (?:support\w* )?user and assistant roles|(?:unsupported|unknown|invalid)\b.{0,20}\brole\b.{0,20}system"
    r"|developer instruction\w*.{0,20}not enabled",
    re.I | re.S,
)
"""Error texts of chat templates without a system message: Gemma's, Mistral's; llama.cpp sends a 500."""

_UNKEPT: Final = ("json_validate_failed", "tool_use_failed", "failed to generate json", "failed to call a function")
"""Error texts of servers whose model did not follow the form (Groq): the next form is tried."""

_FEW: Final = re.compile(
    r"(?:at most|up to|max(?:imum)?(?: of| is|:)?|limit(?:ed)?(?: of| is| to|:)?|only|exceeds?|more than)\D{0,24}?"
    r"(?P<before>\d+|one|a single)\s*(?:input )?images?"
    r"|images?\b\D{0,60}?(?:at most|max(?:imum)?|limit|up to|allowed)\D{0,24}?(?P<after>\d+)"
    r"(?!\d|\s*(?:[kmg]?i?b\b|px|pixels?|x|bytes?|mega|tokens?|char))"
    r"|limit-mm-per-prompt|[\"']image[\"']\s*:\s*(?P<field>\d+)"
    r"|(?:multiple|several|too many) images?\b|single image\b",
    re.I,
)
_NOT_A_COMPLETION: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)
"""Exceptions of ChatOpenAI and the SDK for a 200 whose body is JSON or text but no chat completion [run: `choices` null
or empty]."""


def refused_form(error: Exception, sent_fields: Collection[str]) -> str | None:
    """Option of the request that a server refuses, so that a request without it can help; None for other errors.

    Some servers answer 400, some 422 or 501, OpenRouter 404 ("No endpoints found that support tool use").

    Args:
        sent_fields: names of `_NAMES` that the request used.
    """
    body, status = body_of(error), getattr(error, "status_code", None)
    if "system" in sent_fields and status is not None and _SYSTEM.search(body.words):
        return "system"
    if not may_refuse(error):
        return None
    message = f"{body.words} {' '.join(body.codes)}".lower()
    for where in (" ".join(body.where).lower(), message):
        for form, names in _NAMES.items():
            if form in sent_fields and form != "system" and any(name in where for name in names):
                return form
    return None


def unkept_form(error: Exception, sent_fields: Collection[str]) -> str | None:
    """Response form that the model did not follow, as checked by its server; None for other errors."""
    body = body_of(error)
    message = f"{body.words} {' '.join(body.codes)}".lower()
    if getattr(error, "status_code", None) is None or not any(name in message for name in _UNKEPT):
        return None
    return next((form for form in ("json_schema", "tool") if form in sent_fields), None)


def image_limit(error: Exception) -> int | None:
    """Maximum number of images per request, if an error says that too many were sent."""
    if getattr(error, "status_code", None) not in (400, 413, 422, 500):
        return None
    words = body_of(error).words
    match = _FEW.search(words)
    if match is None:
        return None
    # The field is named first by vLLM ("You set or defaulted to '{"image": 1}' in `--limit-mm-per-prompt`").
    number = match["before"] or match["after"] or match["field"] or "1"
    return int(number) if number.isdigit() else 1


def failure_of(error: Exception, who: str, timeout_s: float, secrets: Collection[str]) -> Exception:
    """Convert an exception of a call to an imagerag error; the message holds neither the key nor the request."""
    if isinstance(error, TimeoutError):
        return BackendTimeoutError(f"{who} gave no answer within {timeout_s:g} s")
    own_error = to_imagerag_error(error, who, secrets)
    if own_error is None and isinstance(error, _NOT_A_COMPLETION):
        return unreadable(who, f"something that is no chat completion ({type(error).__name__})")
    return own_error or error
