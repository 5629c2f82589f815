"""Halves of characters (lone surrogates), which cannot be stored: models that are cut off within an emoji send them."""

from collections.abc import Mapping
from typing import Any


def valid_text(text: str) -> str:
    """The text with U+FFFD for each half of a character; two halves in a row become the character."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def valid_json(value: Any) -> Any:
    """JSON-able data with valid text in it."""
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, Mapping):
        return {valid_json(key): valid_json(one) for key, one in value.items()}
    return [valid_json(one) for one in value] if isinstance(value, list | tuple) else value
