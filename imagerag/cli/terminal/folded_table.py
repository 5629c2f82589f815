"""Tables wider than the terminal, folded by rich; imported only when one is drawn."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagerag.cli.terminal.text_width import width

SHORT: Final = 16
"""Columns of a cell that is not folded."""
_TRAILING: Final = re.compile(r" +((?:\x1b\[\d*m)*)$")


def folded(
    cells: Mapping[int, Sequence[str]],
    room: int,
    *,
    right: Collection[int],
    whole: Collection[int],
    fold: int | None,
    indent: int,
) -> list[str]:
    """A table whose widest columns are folded between words so that the lines fit `room` columns.

    Args:
        cells: the cells of each column, styled or not. They are not parsed as markup: text in brackets stays as it is.
        right: columns of numbers, whose cells are never folded.
        whole: columns in which no word is split.
        fold: the only column that is folded.
    """
    grid, needed = Table.grid(padding=(0, 2, 0, 0)), 2 * (len(cells) - 1)
    for at, column in cells.items():
        widest, words = max(map(width, column)), max(width(word) for cell in column for word in [*cell.split(), ""])
        numbers = max(map(width, column[1:]), default=0) if at in right else 0
        fixed = at not in whole and (words > widest - 2 or widest <= (numbers or SHORT) or fold not in (None, at))
        least = widest if fixed else words if at in whole else max(numbers, min(words, SHORT))
        side: Literal["left", "right"] = "right" if at in right else "left"
        grid.add_column(justify=side, no_wrap=fixed, min_width=least, overflow="fold")
        needed += least
    for row in zip(*cells.values(), strict=True):
        grid.add_row(*map(Text.from_ansi, row))
    # Always with styles: the caller removes them where they are not wanted. rich drops columns that do not fit: then
    # use wider lines, which the terminal breaks.
    room = max(room, needed)
    console = Console(width=room, force_terminal=True, color_system="standard", legacy_windows=False, _environ={})
    with console.capture() as captured:
        console.print(grid, crop=False)
    return [" " * indent + _TRAILING.sub(r"\1", line) for line in captured.get().splitlines()]
