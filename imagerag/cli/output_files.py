"""Validation of output files before any work is done or paid for."""

import os
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import RESULT_SUFFIXES
from imagerag.files.sidecar import is_sidecar, sidecar_path

PAGES: Final = (".html", ".htm")
"""Suffixes of pages."""

OVERWRITE = "name another, or add --overwrite"


def _note_overwrite(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[__name__] = value


overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    is_eager=True,  # parsed before the options of these files, in any order
    expose_value=False,
    callback=_note_overwrite,
    help="Replace existing files.",
)


def writable(file: Path) -> Path:
    """Check that a file can be written, and return it.

    Raises:
        UsageError: it is a folder or a write-protected file, or its nearest existing parent is not a writable folder.
    """
    try:
        above = next(folder for folder in file.absolute().parents if folder.exists())
        if not above.is_dir():
            raise UsageError(f"cannot write {file}: {above} is not a folder one can write to")
        _try_to_write(above, file)
        if file.is_dir():
            raise UsageError(f"cannot write {file}: it is a folder")
        if os.path.lexists(file) and not file.is_file():
            raise UsageError(f"cannot write {file}: it is there, and is not a file")
        if file.exists() and not os.access(file, os.W_OK):
            raise UsageError(f"cannot write {file}: it may only be read")
        if len(os.fsencode(file.name)) > _LONGEST:
            raise UsageError(f"cannot write {file.name[:40]}…: the name is too long")
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"cannot write {str(file)[:60]!r}: {getattr(error, 'strerror', None) or error}") from error
    return file


_LONGEST = 200
"""Bytes of a name: file systems take 255, and a sidecar's and a half-written file's are longer."""


def _try_to_write(folder: Path, file: Path) -> None:
    """Create a file in a folder as a test: permissions alone do not decide."""
    from imagerag.store.storage_errors import CAUSES

    try:
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        cause = CAUSES[error.errno][0] if error.errno in CAUSES else error.strerror or str(error)
        message = f"cannot write {file}: {folder} is not a folder one can write to ({cause})"
        raise UsageError(message) from error


def fresh(file: Path, *, overwrite: bool = False) -> Path:
    """Check that a file can be written without overwriting an existing one, and return it.

    Raises:
        UsageError: as `writable`, or the file exists and `--overwrite` is not given.
    """
    writable(file)
    if file.exists() and not overwrite:
        raise UsageError(f"{file} is there already: {OVERWRITE}")
    return file


def all_fresh(files: Iterable[Path]) -> None:
    """Check that all of several files can be written without overwriting existing ones.

    Raises:
        UsageError: as `fresh`.
    """
    overwrite = allowed(click.get_current_context())
    for file in files:
        fresh(file, overwrite=overwrite)


def allowed(ctx: click.Context) -> bool:
    """Whether `--overwrite` was given."""
    return bool(ctx.meta.get(__name__))


def image_file_of(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """`--out`: an image file, with or without suffix, or a folder for it.

    Raises:
        UsageError: not a suffix of images, not writable, or the file exists already.
    """
    if not value:
        return None
    file = Path(value).expanduser()
    if _is_folder(file):
        writable(file / "image")
        return file
    if value.endswith(("/", os.sep)):
        raise UsageError(f"--out {value}: there is no such folder: make it, or name a file")
    if file.suffix.lower() not in {*RESULT_SUFFIXES.values(), ".jpeg", ""}:
        raise UsageError(f"--out {value}: an image's file ends in .png, .jpg, .webp or .gif")
    names = [file] if file.suffix else [file.with_suffix(suffix) for suffix in RESULT_SUFFIXES.values()]
    for name in names:
        fresh(name, overwrite=allowed(ctx))
        beside = sidecar_path(name)
        writable(beside)
        if beside.exists() and not is_sidecar(beside) and not allowed(ctx):
            raise UsageError(f"{beside} is there already, and not ours: {OVERWRITE}")
    return file


def sheet_of(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """`--sheet`: a PNG file.

    Raises:
        UsageError: another suffix, nowhere to write to, or a file that is there already.
    """
    return _fresh_file(ctx, value, (".png",), f"--sheet {value}: a contact sheet's file ends in .png")


def document_of(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """`--out` of an answer: a page (HTML), or Markdown.

    Raises:
        UsageError: another suffix, nowhere to write to, or a file that is there already.
    """
    return _fresh_file(ctx, value, (*PAGES, ".md"), f"--out {value}: an answer's file ends in .html or .md")


def page_of(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """`--html`: a page.

    Raises:
        UsageError: another suffix, nowhere to write to, or a file that is there already.
    """
    return _fresh_file(ctx, value, PAGES, f"--html {value}: a page's file ends in .html")


def _fresh_file(ctx: click.Context, value: str | None, suffixes: Collection[str], wrong: str) -> Path | None:
    """The file of an option, None without one; its suffix is checked, and that it can be written."""
    if not value:
        return None
    file = Path(value).expanduser()
    if file.suffix.lower() not in suffixes:
        raise UsageError(wrong)
    return fresh(file, overwrite=allowed(ctx))


def apart(outputs: Iterable[Path | None], inputs: Iterable[str | Path | None] = ()) -> None:
    """Check that no file is written twice, and that none is both read and written.

    Raises:
        UsageError: one is; the message names it.
    """
    output_paths: dict[str, Path] = {}
    for file in outputs:
        if file is not None and output_paths.setdefault(os.path.realpath(file), file) is not file:
            raise UsageError(f"{file} would be written twice: name two files")
    for source in inputs:
        if source and os.path.realpath(Path(source).expanduser()) in output_paths:
            raise UsageError(f"{source} is what is read: name another file for what is written")


def _is_folder(file: Path) -> bool:
    try:
        return file.is_dir()
    except (OSError, ValueError):
        return False
