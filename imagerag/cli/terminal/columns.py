"""Two texts side by side in a terminal, in two columns."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Final

from imagerag.cli.terminal.output import accent, bold, columns, dim, wrapped
from imagerag.cli.terminal.text_width import width

NARROW: Final = 50
"""Columns below which two texts stand below each other: less than 24 a side is no text any more."""
_GAP: Final = " │ "

Style = Callable[[str], str]


def beside(
    left: str, right: str, *, titles: tuple[str, str], styles: tuple[Style, Style] = (bold, dim)
) -> Iterator[str]:
    """Lines with `left` and `right` under their titles, as wide as the terminal."""
    if columns() < NARROW:
        for title, text, style in zip(titles, (left, right), styles, strict=True):
            yield accent(title)
            yield from map(style, wrapped(text, columns()))
        return
    room = (columns() - len(_GAP)) // 2
    yield f"{accent(_padded(titles[0], room))}{dim(_GAP)}{accent(titles[1])}"
    for one, other in zip_longest(wrapped(left, room), wrapped(right, room), fillvalue=""):
        yield f"{styles[0](_padded(one, room))}{dim(_GAP)}{styles[1](other)}".rstrip()


def _padded(text: str, room: int) -> str:
    return text + " " * (room - width(text))
