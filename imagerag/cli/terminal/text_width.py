"""The width of a text in a terminal."""

import click


def width(text: str) -> int:
    """Width of a text in columns, without styles."""
    plain = click.unstyle(text) if "\x1b" in text else text
    if plain.isascii():
        return len(plain)
    from rich.cells import cell_len

    return cell_len(plain)
