"""Markdown that chats show, in which foreign text stays text: some front ends render HTML that stands in it."""

import re
from typing import Final

from imagerag.formatting.quoting import line

_MARKS: Final = re.compile(r"[!-/:-@\[-`{-~]")


def plain(text: str, limit: int = 400) -> str:
    """Foreign text on one line of at most `limit` characters, in which nothing is markup, a link or HTML."""
    return _MARKS.sub(r"\\\g<0>", line(text, limit))


def picture(url: str, name: str) -> str:
    """An image that opens on a click."""
    return f"[![{plain(name, 120)}]({url})]({url})"
