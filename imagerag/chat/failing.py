"""What an error is told as: one line, and what to do instead, in terms of the tools."""

import re
from typing import Final

from imagerag.agent.errors import (
    BackendError,
    ImageRAGError,
    LibraryError,
    MissingExtraError,
    SpecError,
    UnknownRunError,
)
from imagerag.chat.words import line

FOR_THE_USER: Final = (LibraryError, MissingExtraError, SpecError, BackendError)
"""What only the person at the machine can mend; the command that mends it is part of the message."""

_COMMAND: Final = re.compile(r"`?\bimagerag [a-z]+\b")


def tell_error(error: Exception) -> str:
    """Why nothing was done, in one line, and what to do instead."""
    said = line(str(error) or type(error).__name__, 600)
    if isinstance(error, FOR_THE_USER):
        return f"not done: {said} (The user has to mend this: tell them, in these words.)"
    if isinstance(error, UnknownRunError):
        return f"not done: {without_command(said)}. Run ids are in the answers of generate_image and continue_run."
    if isinstance(error, ImageRAGError):
        return f"not done: {without_command(said)}."
    return f"not done: unexpected {type(error).__name__}: {line(str(error), 300)}. Try once more, then tell the user."


def without_command(said: str) -> str:
    """A message without the clause that tells a person what to type: an assistant has no command line."""
    if command := _COMMAND.search(said):
        before = said[: command.start()]
        clause = max(before.rfind(mark) for mark in (". ", "; ", " ("))
        said = before[:clause] if clause > 0 else before
    return said.rstrip(" .:;,(")
