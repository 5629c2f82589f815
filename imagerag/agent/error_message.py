"""The message of an error, as records and checkpoints keep it: bounded, and without what is secret."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from imagerag.agent.lone_surrogates import valid_text
from imagerag.agent.url_redaction import SECRET_NAME
from imagerag.formatting.messages import invalid

LONGEST_MESSAGE: Final = 4_000
"""Characters of an error that a record keeps; the error of somebody's own backend may hold a whole image."""

LONGEST_TEXT: Final = 1 << 16
"""Characters of an error that are looked at at all."""

SHORTEST_SECRET: Final = 8
"""Characters of a variable's value that is taken for a secret; shorter ones occur in other words."""

_SECRET_VARIABLE: Final = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)S?$", re.I)
_QUERY: Final = re.compile(rf"([?&][\w-]{{0,40}}(?:{SECRET_NAME.pattern})[\w-]{{0,40}}=)[^&\s'\"<>]+", re.I)
_PATTERNS: Final = (
    (re.compile(r"\b(?:sk|pk|rk|key)-[A-Za-z0-9_*.-]{16,}"), "<key>"),
    (re.compile(r"\bAIza[\w-]{10,}"), "<key>"),
    (re.compile(r"\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.I), r"\1<key>"),
    (re.compile(r"\b(\w{1,20}:/{2})[^\s/@?#]+@"), r"\1"),
    (_QUERY, r"\1<key>"),
    (re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]*"), "<image>"),
)


def message_of(error: BaseException) -> str:
    """The message of an error, as text that can be stored; its type where it has none."""
    try:
        message = _text(error) or type(error).__name__
    except Exception:  # an error of somebody's own backend
        message = type(error).__name__
    return _bounded(message)


def _bounded(text: str) -> str:
    clean = without_secrets(text[:LONGEST_TEXT])
    shortened = clean if len(clean) <= LONGEST_MESSAGE else f"{clean[:LONGEST_MESSAGE]} …"
    return valid_text(shortened)


def _text(error: BaseException) -> str:
    from pydantic import ValidationError

    return f"{error.title}: {invalid(error)}" if isinstance(error, ValidationError) else str(error)


def repr_of(error: BaseException) -> str:
    """The repr of an error with that message, of which `restore_exception` makes the error again."""
    return f"{type(error).__name__}({repr(message_of(error)) if error.args else ''})"


@contextmanager
def redacted_errors() -> Iterator[None]:
    """Shorten the arguments of an error, and remove what is secret: checkpointers of LangGraph keep its repr."""
    try:
        yield
    except Exception as error:
        redacted = tuple(map(_argument, error.args))
        if any(new is not old for new, old in zip(redacted, error.args, strict=True)):
            error.args = redacted
        raise


def _argument(value: object) -> object:
    if isinstance(value, bytes):
        return value if len(value) < SHORTEST_SECRET else f"{len(value)} bytes"
    return _bounded(value) if isinstance(value, str) else value


def without_secrets(text: str) -> str:
    """A text without keys, passwords in addresses, values of secret variables, and images."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and value in text and _SECRET_VARIABLE.search(name):
            text = text.replace(value, "<key>")
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text
