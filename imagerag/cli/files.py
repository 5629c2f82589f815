"""The files a command is to write: refused at once, rather than when all is done and paid for."""

import os
from pathlib import Path

import click

from imagerag.agent.errors import UsageError
from imagerag.export import SUFFIXES


def writable(file: Path) -> Path:
    """The file, when it can be written.

    Raises:
        UsageError: the folder it would be in, or the first above it, is not one to write to.
    """
    above = next(folder for folder in file.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"cannot write {file}: {above} is not a folder one can write to")
    return file


def picture_of(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """`--out`: a picture's file, its suffix given or not, or a folder to put it in.

    Raises:
        UsageError: a suffix that no picture has, or nowhere to write to.
    """
    if not value:
        return None
    file = Path(value).expanduser()
    if not file.is_dir() and file.suffix.lower() not in {*SUFFIXES.values(), ".jpeg", ""}:
        raise UsageError(f"--out {value}: a picture's file ends in .png, .jpg, .webp or .gif")
    return writable(file)


def sheet_of(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """`--sheet`: a PNG file.

    Raises:
        UsageError: another suffix, or nowhere to write to.
    """
    if not value:
        return None
    file = Path(value).expanduser()
    if file.suffix.lower() != ".png":
        raise UsageError(f"--sheet {value}: a contact sheet's file ends in .png")
    return writable(file)
