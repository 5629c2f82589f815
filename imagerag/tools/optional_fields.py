"""Optional fields of responses that clients trip over although the response is usable.

ChatOpenAI adds up the counts in `usage`, compares `service_tier`, and validates names and ids: a response that was paid
for would be lost for a count that is a string. A field of another type than its protocol has counts as left out.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from imagerag.tools.pricing.token_usage import valid_usage

PATHS: Final = ("/chat/completions", "/responses")
"""Ends of the addresses whose responses ChatOpenAI parses."""

_TEXTS: Final = (
    "id", "model", "object", "service_tier", "system_fingerprint", "status", "user", "finish_reason",
    "native_finish_reason", "name", "refusal", "role",
)  # fmt: skip
_OBJECTS: Final = ("metadata", "incomplete_details", "logprobs", "function_call", "audio")
_NUMBERS: Final = ("created", "created_at")


def without_broken_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """A response whose optional fields have their types; others are None."""
    usable = _typed(body)
    if "usage" in body:
        usable["usage"] = valid_usage(body["usage"])
    if isinstance(choices := body.get("choices"), list):
        usable["choices"] = [_choice(one) if isinstance(one, Mapping) else one for one in choices]
    return usable


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    usable, message = _typed(choice), choice.get("message")
    if isinstance(message, Mapping):
        usable["message"] = _message(message)
    return usable


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    usable = {**_typed(message), "role": "assistant"}
    if "content" in message:
        usable["content"] = _content(message["content"])
    if "tool_calls" in message:
        calls = message["tool_calls"] if isinstance(message["tool_calls"], list) else []
        usable["tool_calls"] = [_tool_call(one) for one in calls if _is_call(one)] or None
    return usable


def _content(content: Any) -> Any:
    """Text, or a list of parts. A parsed response becomes its JSON again."""
    if isinstance(content, Mapping) and isinstance(content.get("type"), str):
        content = [content]
    if isinstance(content, list):
        return [part for part in content if isinstance(part, str | Mapping)]
    return content if content is None or isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _is_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, Mapping) else None
    return isinstance(function, Mapping) and isinstance(function.get("name"), str)


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["function"].get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {**_typed(call), "function": {**call["function"], "arguments": text}}


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value if _has_type(name, value) else None for name, value in fields.items()}


def _has_type(name: str, value: Any) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name in _OBJECTS:
        return isinstance(value, Mapping)
    return name not in _NUMBERS or (isinstance(value, int | float) and not isinstance(value, bool))
