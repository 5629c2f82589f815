"""Previews of a library's images: thumbnails in terminals that can show them, else a table; and those that an export
lacks."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from imagerag.agent.errors import UsageError
from imagerag.cli.terminal.output import bold, columns, dim, message_lines, say_all, short, table, tail
from imagerag.client.client import ImageRAG
from imagerag.formatting.text import clean, image_name

if TYPE_CHECKING:
    from imagerag.store.library.library import Library
    from imagerag.store.library.maintenance.image_selection import ImageSelection
    from imagerag.store.library.schema import ImageRecord

SHOWN: Final = 6
"""Images that a preview shows."""

BOX: Final = (16, 4)
"""Columns and rows of a thumbnail."""


async def show_images(rag: ImageRAG, name: str, selection: "ImageSelection") -> None:
    """Show some of the images on stderr, as thumbnails if the terminal can show them."""
    from imagerag.cli.terminal.images import way_of

    way = way_of(sys.stderr)
    if way == "none":
        say_all(example_lines(selection.rows, len(selection)), err=True)
        return
    library = await rag.libraries.open(name)
    for row in selection.rows[:SHOWN]:
        click.echo(await _thumbnail(library, row, way), err=True, nl=False)
    say_all(_more(len(selection)), err=True)


async def _thumbnail(library: "Library", row: "ImageRecord", way: Any) -> str:
    from imagerag.cli.terminal.images import Thumbnail

    lines = [
        bold(image_name(row.title, row.id)),
        clean(short(row.caption_or_description, 60)),
        dim(tail(image_path(row), 60)),
        row.id[:12],
    ]
    try:
        return Thumbnail.of(await library.thumbnail(row.id), way, cols=BOX[0], rows=BOX[1]).beside(lines)
    except UsageError:  # a thumbnail that cannot be read
        return "\n".join(lines) + "\n"


def example_lines(rows: "Sequence[ImageRecord]", total: int) -> list[str]:
    """Some of the images as a table, and the number of further ones.

    Args:
        total: the number of all images, of which `rows` are the first.
    """
    cells = [
        [
            dim(row.id[:12]),
            bold(short(image_name(row.title, row.id), 28)),
            clean(short(row.caption_or_description, 40)),
            image_path(row),
        ]
        for row in rows[:SHOWN]
    ]
    return [*table(cells, cut=(2, 3), paths={3}), *_more(total)] if rows else []


def missing_lines(missing: Mapping[str, str]) -> list[str]:
    """The first images that an export lacks, each with the reason."""
    room = columns()
    lines = [
        line
        for one, why in list(missing.items())[:SHOWN]
        for line in message_lines(why, room, indent=4, head=f"  {dim(one[:12])}  ")
    ]
    return [*lines, f"  and {len(missing) - SHOWN:,} more: --json lists them"] if len(missing) > SHOWN else lines


def _more(total: int) -> list[str]:
    return [f"  and {total - SHOWN:,} more"] if total > SHOWN else []


def image_path(row: "ImageRecord") -> str:
    """The path of an image, escaped for a terminal."""
    from imagerag.store.library.maintenance.image_selection import path_of

    return clean(path_of(row))
