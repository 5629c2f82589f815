"""What an exception from ChatOpenAI means for a judge: an option it does not take, or an error of ours.

The services' own errors are read in `tools/generators/failures.py`, for generators and judges alike.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from imagerag.agent.errors import BackendTimeoutError
from imagerag.tools.generators.failures import translate, unreadable

_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "temperature": ("temperature",),
    "seed": ("seed",),
    "extra_body": ("response_format", "json_schema", "json schema", "structured output", "guided", "grammar"),
    "tools": ("tool", "function call", "function_call", "functions"),
}
"""How servers name what they refuse, by the option that we sent."""

_NAMES: Final = {"extra_body": "json_schema", "tools": "tool"}
_NOT_A_COMPLETION: Final = (ValueError, KeyError, TypeError, IndexError, AttributeError)
"""What ChatOpenAI and the SDK raise on a 200 whose body is JSON or text, but no chat completion [run: an HTML page,
`choices` null or empty, an `error` in the body]."""


def refused_option(error: Exception, options: Mapping[str, Any]) -> str | None:
    """Which of the options sent a server says that it does not take: leaving it out can help. None when it is not that.

    Some servers answer 400, some 422 or 501, OpenRouter 404 ("No endpoints found that support tool use").
    """
    status, said = getattr(error, "status_code", None), str(error).lower()
    if status not in (400, 404, 405, 422, 501) or (status == 404 and "support" not in said):
        return None
    param = str(getattr(error, "param", None) or "").lower()
    for where in (param, said):
        for option, names in _OPTIONS.items():
            if option in options and any(name in where for name in names):
                return _NAMES.get(option, option)
    return None


def failure_of(error: Exception, who: str, timeout_s: float, secrets: Collection[str]) -> Exception:
    """Our error for what a call raised; its message holds neither the key nor the request."""
    if isinstance(error, TimeoutError):
        return BackendTimeoutError(f"{who} gave no answer within {timeout_s:g} s")
    known = translate(error, who, secrets)
    if known is None and isinstance(error, _NOT_A_COMPLETION):
        return unreadable(who, f"something that is no chat completion ({type(error).__name__})")
    return known or error
