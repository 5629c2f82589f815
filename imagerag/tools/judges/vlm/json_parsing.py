"""Find JSON objects in a model's text: bare, fenced, inside prose, or in Python's notation."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Final

_MOST_STARTS: Final = 16
"""Maximum number of positions at which an object is tried, which bounds the time for hostile texts."""

_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_TRAILING_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_LITERALS: Final = {"True": "true", "False": "false", "None": "null"}
_UNREADABLE: Final = (ValueError, SyntaxError, RecursionError, MemoryError)


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """All outermost JSON objects in a text, in order.

    Single quotes, trailing commas and True/False/None are repaired if the meaning is unambiguous; other invalid JSON is
    skipped. Raises nothing.
    """
    at, starts = text.find("{"), 0
    while at >= 0 and starts < _MOST_STARTS:
        value, end = _object_at(text, at)
        if value is not None:
            yield value
        at, starts = text.find("{", end), starts + 1


def _object_at(text: str, at: int) -> tuple[dict[str, Any] | None, int]:
    """Parse an object that starts at `at`, if there is one, and return the position to continue from."""
    decoder = json.JSONDecoder(strict=False)
    try:
        value, end = decoder.raw_decode(text, at)
        return value, end
    except _UNREADABLE:
        pass
    end = _end_of_object(text, at) or 0
    if not end:
        return None, at + 1
    try:
        return json.loads(_mended(text[at:end]), strict=False), end
    except _UNREADABLE:
        return None, at + 1


def _end_of_object(text: str, at: int) -> int | None:
    """End of the object that starts at `at`, ignoring braces inside strings; None if it does not end."""
    depth = 0
    for token in re.compile(_STRINGS.pattern + r"|[{}]", re.DOTALL).finditer(text, at):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0:
            return token.end()
    return None


def _mended(text: str) -> str:
    parts: list[str] = []
    last = 0
    for string in _STRINGS.finditer(text):
        parts += [_json_literals(text[last : string.start()]), _double_quoted(string.group())]
        last = string.end()
    joined = "".join([*parts, _json_literals(text[last:])])
    return _TRAILING_COMMA.sub(lambda match: match.group(1) or "", joined)


def _json_literals(between: str) -> str:
    return re.sub(r"\b(?:True|False|None)\b", lambda match: _LITERALS[match.group()], between)


def _double_quoted(string: str) -> str:
    return string if string.startswith('"') else json.dumps(ast.literal_eval(string), ensure_ascii=False)
