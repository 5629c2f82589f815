"""Terminal output: safe text, aligned columns, similarity bars, one accent colour."""

import json
import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

import click

from imagerag.agent.pointed_text import without_caret
from imagerag.cli.terminal.text_width import width
from imagerag.formatting.interface_terms import as_commands, command_parts, document_in_commands, in_home
from imagerag.formatting.numbers import counted
from imagerag.formatting.text import clean

PLAIN: Final = {
    "✓": "+", "✗": "x", "█": "#", "░": ".", "│": "|", "·": "-", "…": "...", "≥": ">=", "→": "->", "—": "-", "×": "x",
    "“": '"', "”": '"', "↳": "^",
}  # fmt: skip
"""ASCII replacements for marks that the output cannot show."""

BAR: Final = 20
LEAST: Final = 14
"""Columns that a truncated cell of a table has at least."""


count: Final = counted

accent: Final = partial(click.style, fg="cyan")
"""The one colour."""
bold: Final = partial(click.style, bold=True)
dim: Final = partial(click.style, dim=True)


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line, replacing characters that the stream cannot show; its commands name the home, if they have to."""
    stream = sys.stderr if err else sys.stdout
    click.echo(printable(in_home(text), getattr(stream, "encoding", None) or "utf-8"), err=err)


def say_all(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines in one write: single prints would flush each line."""
    if printed := list(lines):
        say("\n".join(printed), err=err)


def warning_lines(warnings: Iterable[str]) -> list[str]:
    """Warnings, wrapped; commands stand on lines of their own."""
    room = min(columns(), 100)
    return ["\n".join(message_lines(f"warning: {warning}", room, indent=2)) for warning in warnings]


def message_lines(message: str, room: int, *, indent: int, head: str = "") -> list[str]:
    """Wrap a message in the terms of the Python API; if it takes several lines, each command has one of its own.

    Args:
        head: text before the first line, such as its indent.
    """
    message = without_caret(message)  # a caret would point nowhere once the lines are joined
    if width(head) + width(whole := clean(as_commands(message))) <= room:
        return [head + whole]
    lines: list[str] = []
    for at, part in enumerate(map(clean, command_parts(message))):
        if at % 2:
            lines.append(f"{' ' * (indent + 2)}{part}")
        elif text := part.strip(" ()") if at else part.rstrip(" ("):
            lines += hanging(text, room, indent=indent, head=" " * indent if lines else head)
    return lines


def hanging(text: str, room: int, *, indent: int, head: str = "") -> list[str]:
    """Wrap a text to `room` columns with a hanging indent; no word is split.

    Args:
        head: styled text before the first line.
    """
    first, *rest = wrapped(text, room - width(head), whole=True)
    below = wrapped(" ".join(rest), room - indent, whole=True) if rest else []
    return [head + first, *(" " * indent + line for line in below)]


def entry(label: str, text: str, *, at: int = 12) -> list[str]:
    """A label with text that starts at column `at`; a command in the text stays on its own line."""
    head = f"  {dim(label)}{' ' * (at - width(label))}"
    before, mark, command = text.partition("imagerag ")
    if width(head) + width(text) <= columns() or not mark:
        return hanging(text, columns(), indent=at + 2, head=head)
    if not before:
        return [head + text]
    return [*hanging(before, columns(), indent=at + 2, head=head), f"{' ' * (at + 2)}  {mark}{command}"]


def wrapped(text: str, room: int, *, whole: bool = False) -> list[str]:
    """Wrap clean text to `room` columns; wide characters count as two columns.

    Args:
        whole: do not split a word that is longer than a line, such as a path or a command.
    """
    text, lines, line = clean(text), [], ""
    if width(text) <= room:
        return [text]
    for word in text.split(" "):
        for part in [word] if whole or width(word) <= room else _chopped(word, room):
            if line and width(line) + 1 + width(part) > room:
                lines.append(line)
                line = part
            else:
                line = f"{line} {part}".strip()
    return [*lines, line]


def _chopped(word: str, room: int) -> list[str]:
    """Split a word into parts that fit a line, as needed for languages without spaces."""
    from rich.cells import chop_cells

    return chop_cells(word, room)


def say_note(text: str) -> None:
    """Print a remark, dimmed and wrapped."""
    say_all(map(dim, hanging(text, columns(), indent=2)))


def say_json(document: Any, *, indent: int | None = 2) -> None:
    """Print one JSON document; letters that the stream cannot show are escaped."""
    document = document_in_commands(document)
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=indent)
    click.echo(text)


def printable(text: str, encoding: str) -> str:
    """`text` without characters that `encoding` cannot represent."""
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
    if text.isascii():
        return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
    if width(text) <= limit:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(text[: 4 * limit], limit - 1).rstrip() + "…"  # measure only the beginning of a long prompt


def rest_of_line(text: str, taken: int, *, least: int = 8) -> str:
    """Clean text for what is left of a line of which `taken` columns are used, at least `least` columns."""
    return short(text, max(least, columns() - taken))


def tail(path: str, limit: int) -> str:
    """The end of a path, its most informative part, in at most `limit` columns."""
    path = clean(path)
    while width(path) > limit:
        path = "…" + path[2:]
    return path


def columns() -> int:
    """Width of the terminal in columns; 100 without a terminal, at most 120."""
    return min(shutil.get_terminal_size((100, 24)).columns, 120)


def table(
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    indent: int = 2,
    cut: int | Sequence[int] = (),
    paths: Collection[int] = (),
    whole: Collection[int] = (),
    fold: int | None = None,
) -> list[str]:
    """Rows as aligned lines, no wider than the terminal; columns without any text are left out.

    Args:
        right: columns that are aligned to the right.
        cut: columns whose cells are truncated to the remaining width, so that a row stays on one line: the first of
            them, and the next ones as far as that is not enough.
        paths: columns of plain paths, of which the end is shown where they are truncated.
        whole: columns in which no word is split, such as paths and commands; other cells are folded if necessary.
        fold: the only column that is folded.
    """
    filled = [i for i in range(max(map(len, rows), default=0)) if any(row[i] for row in rows)]
    if not filled:
        return [""] * len(rows)
    cells = {i: [row[i] for row in rows] for i in filled}
    widths = {i: [width(cell) for cell in cells[i]] for i in filled}
    widest = {i: max(widths[i]) for i in filled}
    room = columns() - indent - 2 * (len(filled) - 1)
    for at in [cut] if isinstance(cut, int) else cut:
        if at in widest and sum(widest.values()) > room:
            least = max(LEAST, room - sum(widest.values()) + widest[at])
            cells[at] = [(tail if at in paths else _cut)(cell, least) for cell in cells[at]]
            widths[at], widest[at] = [width(cell) for cell in cells[at]], min(least, widest[at])
    if sum(widest.values()) > room:
        from imagerag.cli.terminal.folded_table import (
            folded,  # imported here: rich takes 45 ms, and a search draws no such table
        )

        return folded(cells, columns() - indent, right=right, whole=whole, fold=fold, indent=indent)
    aligned = [_aligned(cells[i], widths[i], widest[i], right=i in right) for i in filled]
    return [(" " * indent + "  ".join(line)).rstrip() for line in zip(*aligned, strict=True)]


def _cut(cell: str, room: int) -> str:
    """A cell of at most `room` columns, in its style."""
    plain = click.unstyle(cell)
    return cell if width(plain) <= room else cell.replace(plain, short(plain, room))


def _aligned(cells: Sequence[str], widths: Sequence[int], most: int, *, right: bool) -> list[str]:
    """The cells of one column, filled up to the same width."""
    spaces = [" " * (most - one) for one in widths]
    return [space + cell if right else cell + space for cell, space in zip(cells, spaces, strict=True)]


def scale(values: Iterable[float]) -> float:
    """Upper end of the bars: 1, or 0.5 for encoders with low cosines between texts and images."""
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


def tick(passed: bool) -> str:
    """✓ or ✗."""
    return accent("✓") if passed else bold("✗")
