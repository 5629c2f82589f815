"""Error messages for assistants: one line, and what to do instead, in terms of the tools."""

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
from imagerag.agent.pointed_text import without_caret
from imagerag.assistants.tool_terms import tool_terms
from imagerag.formatting.quoting import line

FOR_THE_USER: Final = (LibraryError, MissingExtraError, SpecError, BackendError)
"""Errors that only the person at the machine can mend; the message includes the command for it."""

_COMMAND: Final = re.compile(r"`?\bimagerag (?:--home (?:'[^']*'|\S+) )?[a-z]+\b")


def format_error(error: Exception) -> str:
    """The error in one line, and what to do instead."""
    message = line(tool_terms(without_caret(str(error))) or type(error).__name__, 600)
    if isinstance(error, FOR_THE_USER):
        return f"not done: {message} (The user has to mend this: tell them, in these words.)"
    if isinstance(error, UnknownRunError):
        return f"not done: {without_command(message)}. Run ids are in the answers of generate_image and continue_run."
    if isinstance(error, ImageRAGError):
        return f"not done: {without_command(message)}."
    return f"not done: unexpected {type(error).__name__}: {line(str(error), 300)}. Try once more, then tell the user."


def without_command(message: str) -> str:
    """A message without the clauses that tell a person what to type: an assistant has no command line."""
    while command := _COMMAND.search(_blanked(message)):
        plain = _blanked(message)
        opened = _open_bracket(plain[: command.start()])
        if opened is not None:
            start, end = opened, _closing(plain, command.end())
        else:
            start = max((match.end() for match in _MARK.finditer(plain, 0, command.start())), default=0)
            after = _MARK.search(plain, command.end())
            end = after.start() if after else len(message)
        lead = _lead(message[start : command.start()])
        rest = message[end:].lstrip(" .;,") if start == 0 and not lead else message[end:]
        before = message[:start] if lead else _MARKS_LEFT.sub("", message[:start])
        message = f"{before}{lead}{rest}"
    return message.rstrip(" .:;,(")


_QUOTED: Final = re.compile(r"“[^”]*”|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)")
_MARK: Final = re.compile(r"[.;] |, or ")
_MARKS_LEFT: Final = re.compile(r"(?:, or |[ .;,])+$")
_JOINT: Final = re.compile(r"[\s,(]*\b(?:or|and|with|see|to|from|by|of|in|run|type|use)$")


def _blanked(text: str) -> str:
    """The same, of the same length, without what is quoted: marks in a name end no clause."""
    return _QUOTED.sub(lambda match: "_" * len(match[0]), text)


def _open_bracket(before: str) -> int | None:
    """Position where the bracket around a command opens, from the space before it."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        depth += (before[at] == ")") - (before[at] == "(")
        if depth < 0:
            return at - 1 if at and before[at - 1] == " " else at
    return None


def _closing(text: str, at: int) -> int:
    """Behind the bracket that closes what is open at a place."""
    depth = 1
    for place in range(at, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if not depth:
            return place + 1
    return len(text)


def _lead(before: str) -> str:
    """The part of a clause before its command: the problem, where that is followed by a colon, else nothing."""
    problem, colon, way = before.rpartition(": ")
    if not colon:
        return ""
    way = _JOINT.sub("", way.rstrip()).rstrip(" ,")
    return f"{problem}: {way}" if way else problem
