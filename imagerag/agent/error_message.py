"""The message of an error, as records keep it."""

from typing import Final

LONGEST_MESSAGE: Final = 4_000
"""Characters of an error that a record keeps; the error of somebody's own backend may hold a whole image."""


def message_of(error: BaseException) -> str:
    """The message of an error, as text that can be stored; its type where it has none."""
    try:
        message = str(error) or type(error).__name__
    except Exception:  # an error of somebody's own backend
        message = type(error).__name__
    shortened = message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]} …"
    return shortened.encode("utf-8", "replace").decode()
