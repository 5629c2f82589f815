"""Parse the body of a service's error, whatever its shape.

Known shapes are `{"error": {…}}` (OpenAI), `[{"error": {…}}]` (Gemini), `{"error": "text"}` (Ollama, Hugging Face),
`{"detail": …}` (FastAPI), `{"message": …}` (LiteLLM, Mistral), `{"errors": […]}` (Cloudflare), `{"object": "error", …}`
(vLLM), `{"choices": [{"error": {…}}]}` (OpenRouter), JSON inside text, an HTML page (proxies), and each of them with
status 200.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Final

WORDS: Final = ("message", "msg", "error_description", "detail", "details", "error_message", "error", "title", "reason")
"""Fields with a service's own message, in order of preference."""

RESULTS: Final = frozenset({"choices", "data", "output", "images", "object", "candidates"})
"""Fields of responses that are no errors."""

STATUS_OF: Final[Mapping[str, int]] = {
    "resource_exhausted": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "too_many_requests": 429,
    "insufficient_quota": 429,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "invalid_request_error": 400,
    "invalid_request": 400,
    "bad_request": 400,
    "badrequesterror": 400,
    "unauthenticated": 401,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_denied": 403,
    "permission_error": 403,
    "not_found": 404,
    "not_found_error": 404,
    "model_not_found": 404,
    "unavailable": 503,
    "overloaded_error": 503,
    "overloaded": 503,
    "deadline_exceeded": 504,
    "internal": 500,
    "server_error": 500,
}
"""HTTP status for an error's name, lower case: OpenAI's codes and types, Google's status names."""

UNTOLD_STATUS: Final = 502
"""HTTP status for an error in a 200 response that names none."""

IN_GOOD_ANSWER: Final = "imagerag.error_in_good_answer"
"""Header that marks a response whose error came with status 200."""

_PIXELS: Final = r";base64,|[\"'](?:iVBORw0KGgo|/9j/|UklGR|R0lGOD)|[A-Za-z0-9+/]{512}"
_ENCODED: Final = re.compile(_PIXELS)
_BEGUN: Final = re.compile(f"b64_json|{_PIXELS}")
_TAGS: Final = re.compile(r"<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]+>", re.I | re.S)
_TITLE: Final = re.compile(r"<title\b.*?</title>", re.I | re.S)
_PAGE: Final = re.compile(r"<(?:!doctype|html|head|body|h1|title)\b", re.I)
_DEEPEST: Final = 6


@dataclass(frozen=True)
class ErrorBody:
    """A parsed error body.

    Attributes:
        words: the service's message; empty if there is none.
        facts: the object with the error's fields: code, type, param and any others.
        where: the invalid fields of the request, for instance `("response_format",)`.
        whole: the body as text, for further searches.
    """

    words: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    whole: str = ""

    @property
    def codes(self) -> frozenset[str]:
        """Names of the error: its code, type and status, and those of an inner error; lower case."""
        inner = self.facts.get("innererror")
        names = [self.facts.get(name) for name in ("code", "type", "status")]
        names.append(inner.get("code") if isinstance(inner, Mapping) else None)
        return frozenset(str(name).lower() for name in names if name)

    @property
    def status(self) -> int | None:
        """The HTTP status that the body itself names."""
        for name in ("code", "status", "status_code", "http_status"):
            code = str(self.facts.get(name) or "")
            if code.isdigit() and 400 <= int(code) <= 599:
                return int(code)
        return next((STATUS_OF[code] for code in sorted(self.codes) if code in STATUS_OF), None)


def read_body(body: object) -> ErrorBody:
    """Parse an error's body: JSON that was already parsed, or text."""
    whole = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
    if isinstance(body, str):
        body = _parsed(body)
    if isinstance(body, Mapping) and (broken := _broken_choice(body)) is not None:
        body = {"error": broken}
    facts = _facts(body, 0)
    texts = [_words(body, 0), _upstream(facts), _beside(body)]
    words = " — ".join(dict.fromkeys(filter(None, texts))) or (whole if body else "")
    return ErrorBody(words, facts, _where(body, facts), "" if body is None else whole)


def body_of(error: BaseException) -> ErrorBody:
    """The parsed body of a client's exception."""
    response = getattr(error, "response", None)
    try:
        text = "" if response is None else response.text
    except Exception:  # a stream whose body was not read
        text = ""
    body = getattr(error, "body", None)
    return read_body(text or ("" if body is None else body))


def told_in_good_answer(error: BaseException) -> bool:
    """Whether an error came with status 200."""
    response = getattr(error, "response", None)
    return bool((getattr(response, "extensions", None) or {}).get(IN_GOOD_ANSWER))


def in_good_answer(body: object) -> ErrorBody | None:
    """The error in a response with status 200; None if it holds none."""
    answer = body[0] if isinstance(body, list) and body else body
    if not isinstance(answer, Mapping):
        return None
    if _broken_choice(answer) is not None:
        return read_body(answer)
    error = answer.get("error") or answer.get("errors")
    unsaid = isinstance(answer.get("error"), Mapping | list) and not RESULTS & answer.keys()  # {"error": {}}
    if (error or unsaid) and not any(answer.get(name) for name in ("choices", "data", "output", "images")):
        return read_body(body)
    bare = not RESULTS & answer.keys() and any(answer.get(name) for name in ("detail", "message", "error_description"))
    if isinstance(body, Mapping) and (bare or answer.get("object") == "error"):
        return read_body(body)
    return None


def _broken_choice(answer: Mapping[str, Any]) -> object:
    """The error of a choice without an answer, as OpenRouter sends it where a provider fails halfway; None if none."""
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping) or not choice.get("error"):
        return None
    message = choice.get("message")
    held = isinstance(message, Mapping) and any(message.get(name) for name in ("content", "images", "tool_calls"))
    return None if held else choice["error"]


def holds_image(text: str, *, broken: bool = False) -> bool:
    """Whether a response holds an image, complete or in part.

    Args:
        broken: whether the response is cut off, perhaps before an image that it announces.
    """
    return (_BEGUN if broken else _ENCODED).search(text) is not None


def is_page(text: str) -> bool:
    """Whether a text is an HTML page."""
    return bool(_PAGE.search(text[:2000]))


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _facts(body: object, depth: int) -> Mapping[str, Any]:
    """The innermost object that describes the error."""
    if isinstance(body, list):
        return _facts(body[0], depth + 1) if body and depth < _DEEPEST else {}
    if not isinstance(body, Mapping):
        return {}
    for name in ("error", "errors", "detail"):
        inner = body.get(name)
        if isinstance(inner, Mapping | list) and depth < _DEEPEST and (inner_facts := _facts(inner, depth + 1)):
            return {**{key: value for key, value in body.items() if key != name}, **inner_facts}
    return body


def _words(body: object, depth: int) -> str:
    if isinstance(body, str):
        return _text(body, depth)
    if depth > _DEEPEST:
        return ""
    if isinstance(body, list):
        return "; ".join(dict.fromkeys(filter(None, (_words(item, depth + 1) for item in body))))
    if not isinstance(body, Mapping):
        return ""
    place = body.get("loc")
    prefix = f"{'.'.join(map(str, place))}: " if isinstance(place, list) else ""
    for name in ("error", "errors", *WORDS):
        if body.get(name) and (inner_text := _words(body[name], depth + 1)):
            return prefix + inner_text
    code = body.get("code") or body.get("type") or body.get("status")
    return str(code) if depth and isinstance(code, str | int) else ""


def _text(text: str, depth: int) -> str:
    """Plain text of a text, also if it is JSON again, or an HTML page."""
    text = text.strip()
    if text[:1] in "[{" and depth < _DEEPEST and not isinstance(inner := _parsed(text), str):
        return _words(inner, depth + 1) or text
    if is_page(text):
        without_title = _TITLE.sub(" ", text)
        pages = (unescape(_TAGS.sub(" ", page)).split() for page in (without_title, text))
        return " ".join(next(filter(None, pages), []))
    return text


def _upstream(facts: Mapping[str, Any]) -> str:
    """Message of the provider behind a router (OpenRouter's "Provider returned error")."""
    metadata = facts.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    return _words(raw, 1) if raw else ""


def _beside(body: object) -> str:
    """Message beside an error that is only a short name: `{"error": "invalid", "message": "…"}`."""
    if not isinstance(body, Mapping) or not isinstance(body.get("error"), str):
        return ""
    return next((words for name in WORDS if name != "error" and (words := _words(body.get(name), 1))), "")


def _where(body: object, facts: Mapping[str, Any]) -> tuple[str, ...]:
    fields = [str(facts["param"])] if facts.get("param") else []
    detail = body.get("detail") if isinstance(body, Mapping) else None
    for problem in detail if isinstance(detail, list) else []:
        place = problem.get("loc") if isinstance(problem, Mapping) else None
        fields += [str(part) for part in place if part != "body"] if isinstance(place, list) else []
    return tuple(fields)
