"""Tables that are wider than the terminal, folded by rich. It is imported only where one has to be drawn."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagerag.cli.terminal import width

SHORT: Final = 16
"""Columns of a cell that is not folded."""
_TRAILING: Final = re.compile(r" +((?:\x1b\[\d*m)*)$")


def folded(
    cells: Mapping[int, Sequence[str]], room: int, *, right: Collection[int], whole: Collection[int], indent: int
) -> list[str]:
    """Columns beside each other, the widest of them folded between words so that the lines fit `room` columns.

    Args:
        cells: the cells of each column, styled or not. They are no markup: what stands in brackets stays as it is.
        right: columns of numbers, of which only a heading is folded.
        whole: columns of which no word is cut.
    """
    drawn = Table.grid(padding=(0, 2, 0, 0))
    for at, column in cells.items():
        words = max(max(map(width, cell.split()), default=0) for cell in column)
        numbers = max(map(width, column[1:]), default=0) if at in right else 0
        fixed = words > max(map(width, column)) - 2 or max(map(width, column)) <= (numbers or SHORT)
        least = max(numbers, min(words, SHORT)) if at not in whole else words
        drawn.add_column(
            justify="right" if at in right else "left",
            no_wrap=fixed and at not in whole,
            min_width=least,
            overflow="fold",
        )
    for row in zip(*cells.values(), strict=True):
        drawn.add_row(*map(Text.from_ansi, row))
    # Always with styles: whoever prints the lines takes them off where they are not wanted.
    console = Console(width=room, force_terminal=True, color_system="standard", legacy_windows=False, _environ={})
    with console.capture() as captured:
        console.print(drawn, crop=False)
    return [" " * indent + _TRAILING.sub(r"\1", line) for line in captured.get().splitlines()]
