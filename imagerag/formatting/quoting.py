"""Words for a model: foreign text as quoted data on one line, numbers, and answers that fit."""

from collections.abc import Sequence
from typing import Final

from imagerag.formatting.text import clean

MAX_TEXT: Final = 2_000
"""Characters of any answer."""


def line(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters, without control characters."""
    cut = clean(text[: 8 * limit])  # a caption can have megabytes, and be blank at first
    return cut if len(cut) <= limit and len(text) <= 8 * limit else cut[: limit - 1].rstrip() + "…"


def quoted(text: str, limit: int) -> str:
    """Foreign text as data: in quotes that it cannot close, at most `limit` characters with them."""
    return f'"{line(text, limit - 2).translate(_QUOTES)}"'


_QUOTES: Final = str.maketrans(dict.fromkeys('"“”„‟«»＂`', "'"))


def listed(texts: Sequence[str], limit: int, *, most: int = 4) -> str:
    """Foreign texts, quoted, at most `most` of them, each of at most `limit` characters."""
    more = len(texts) - most
    return ", ".join(quoted(text, limit) for text in texts[:most]) + (f" and {more} more" if more > 0 else "")


def fitted(head: Sequence[str], middle: Sequence[str], tail: Sequence[str], *, more: str = "more") -> str:
    """Lines as one text of at most `MAX_TEXT` characters: head and tail whole, of the middle what there is room for.

    Args:
        more: what the middle's lines that had no room are called.
    """
    room = MAX_TEXT - sum(len(text) + 1 for text in (*head, *tail)) - len(f" … and {len(middle)} {more}\n")
    lines: list[str] = []
    for text in middle:
        room -= len(text) + 1
        if room < 0:
            break
        lines.append(text)
    rest = len(middle) - len(lines)
    return "\n".join([*head, *lines, *([f" … and {rest} {more}"] if rest else []), *tail])
