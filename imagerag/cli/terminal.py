"""How things look in a terminal: safe text, aligned columns, similarity bars, one accent colour."""

import json
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import click

from imagerag.formatting.numbers import counted
from imagerag.formatting.text import clean

PLAIN: Final = {
    "✓": "+", "✗": "x", "█": "#", "░": ".", "│": "|", "·": "-", "…": "...", "≥": ">=", "→": "->", "—": "-", "×": "x",
    "“": '"', "”": '"', "↳": "^",
}  # fmt: skip
"""What stands for a mark where the output cannot show it."""

BAR: Final = 20

count: Final = counted


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, in whatever the stream can show."""
    stream = sys.stderr if err else sys.stdout
    click.echo(printable(text, getattr(stream, "encoding", None) or "utf-8"), err=err)


def say_all(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines, all at once: one by one, each is flushed."""
    if told := list(lines):
        say("\n".join(told), err=err)


def warning_lines(warnings: Iterable[str]) -> list[str]:
    """Warnings, wrapped for the eye; what is to be typed is never cut."""
    return [
        "\n".join(
            textwrap.wrap(
                f"warning: {clean(warning)}",
                min(columns(), 100),
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
        for warning in warnings
    ]


def say_json(document: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document; letters that the stream cannot show are escaped."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=indent)
    click.echo(text)


def printable(text: str, encoding: str) -> str:
    """`text` with nothing in it that `encoding` cannot say."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for mark, plain in PLAIN.items():
            text = text.replace(mark, plain)
        return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def short(text: str, limit: int) -> str:
    """Clean text of at most `limit` columns."""
    text = clean(text)
    if width(text) <= limit:
        return text
    text = text[: 4 * limit]  # the rest would be taken off letter by letter, which takes minutes for a long prompt
    if text.isascii():
        return text[: limit - 1].rstrip() + "…"
    while width(text) > limit - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def tail(path: str, limit: int) -> str:
    """The end of a path, which tells more than its beginning, in at most `limit` columns."""
    path = clean(path)
    while width(path) > limit:
        path = "…" + path[2:]
    return path


def width(text: str) -> int:
    """Columns that a text takes, styles left out."""
    plain = click.unstyle(text) if "\x1b" in text else text
    return len(plain) if plain.isascii() else _measured(plain)


@lru_cache(4096)  # letter by letter is slow, and a long list says the same few things in every row
def _measured(text: str) -> int:
    return sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or letter == "\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def columns() -> int:
    """How wide the terminal is; 100 where there is none, 120 at most."""
    return min(shutil.get_terminal_size((100, 24)).columns, 120)


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = (), indent: int = 2) -> list[str]:
    """Rows as aligned lines; columns in `right` are aligned to the right, empty ones are left out."""
    used = [i for i in range(max(map(len, rows), default=0)) if any(row[i] for row in rows)]
    if not used:
        return [""] * len(rows)
    aligned = [_aligned([row[i] for row in rows], right=i in right) for i in used]
    return [(" " * indent + "  ".join(cells)).rstrip() for cells in zip(*aligned, strict=True)]


def _aligned(cells: Sequence[str], *, right: bool) -> list[str]:
    """The cells of one column, all of the same width."""
    widths = list(map(width, cells))
    most = max(widths)
    spaces = [" " * (most - wide) for wide in widths]
    return [space + cell if right else cell + space for cell, space in zip(cells, spaces, strict=True)]


def scale(values: Iterable[float]) -> float:
    """Where bars end: 1, or 0.5 for encoders whose cosines between words and pictures stay low."""
    return 1.0 if max(values, default=0.0) > 0.5 else 0.5


def bar(value: float, threshold: float | None, top: float) -> str:
    """A cosine as a bar from 0 to `top`, with the threshold marked in it."""
    filled = _cells(value, top)
    cells = ["█" if at < filled else "░" for at in range(BAR)]
    if threshold is not None and 0 < threshold < top:
        cells[_cells(threshold, top)] = "│"
    text = "".join(cells)
    return accent(text) if threshold is None or value >= threshold else dim(text)


def _cells(value: float, top: float) -> int:
    return int(max(0.0, min(value / top, 1.0)) * BAR)


def tick(met: bool) -> str:
    """✓ or ✗."""
    return accent("✓") if met else bold("✗")


def accent(text: str) -> str:
    """The one colour."""
    return click.style(text, fg="cyan")


def bold(text: str) -> str:
    """What the eye should find."""
    return click.style(text, bold=True)


def dim(text: str) -> str:
    """What it may skip."""
    return click.style(text, dim=True)
