"""`imagerag index`."""

import asyncio
import contextlib
import os
import shlex
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.cli import Globals
from imagerag.cli.index_descriptions import estimate_text
from imagerag.cli.index_report import document, report_lines
from imagerag.cli.options import assume_option, json_option, pass_globals, quiet_option
from imagerag.cli.terminal.output import (
    count,
    say,
    say_all,
    say_json,
    warning_lines,
)
from imagerag.cli.terminal.progress_line import FileProgress
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.graphs.configuration.settings import PRESETS
from imagerag.store.library.database import is_there

if TYPE_CHECKING:
    from imagerag.agent.types import DescriptionEstimate
    from imagerag.store.library.indexing.index_report import IndexReport
    from imagerag.store.library.library_metadata import LibraryMetadata


@click.command("index")
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--library", metavar="NAME", help="The library; created if it does not exist  [env: IMAGERAG_LIBRARY]")
@click.option("--embedder", metavar="SPEC", help="Encoder of a new library.")
@click.option(
    "--manifest", multiple=True, metavar="FILE", help="CSV, JSON or Parquet: path, caption, …; the last one counts."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out files or folders: drafts, '*.gif', 'raw/*'.")
@click.option("--allow-outside", is_flag=True, help="Let the manifest and links name any file on this machine.")
@click.option("--copy", is_flag=True, help="Keep the images in the library too, not only links to the files.")
@click.option("--ocr", is_flag=True, help="Read the words in the images too, to find and filter by (extra ocr).")
@click.option(
    "--caption-embedder",
    metavar="SPEC|own|none",
    help="Encode the captions too, to search by them; later runs go on with it.",
)
@click.option("--describe", metavar="SPEC", help="Let a model describe images without a description; 'none' ends that.")
@click.option("--max-calls", type=click.IntRange(1), metavar="N", help="Calls of that model at most, in this run.")
@click.option("--max-cost-usd", type=click.FloatRange(0), metavar="X", help="US dollars at most for them, in this run.")
@assume_option
@click.option("--regions", is_flag=True, help="Encode parts of each image too, to find things among others.")
@click.option("--prune", is_flag=True, help="Take out images whose files are gone, however many and wherever.")
@click.option("--checksum", is_flag=True, help="Compare the bytes of all files, not only sizes and times.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--no-check", "check", is_flag=True, flag_value=False, default=True,
              help="Leave out the check after the first captions.")  # fmt: skip
@click.option("--watch", is_flag=True, help="Go on and follow changes until Ctrl-C.")
@click.option("--strict", is_flag=True, help="Exit with 1 when anything was skipped, or descriptions ended early.")
@json_option
@quiet_option
@pass_globals
def index_command(
    globals_: Globals,
    /,
    paths: tuple[str, ...],
    library: str | None,
    embedder: str | None,
    manifest: tuple[str, ...],
    exclude: tuple[str, ...],
    allow_outside: bool,
    copy: bool,
    ocr: bool,
    caption_embedder: str | None,
    describe: str | None,
    max_calls: int | None,
    max_cost_usd: float | None,
    assume_cost_usd_per_call: float | None,
    regions: bool,
    prune: bool,
    checksum: bool,
    dry_run: bool,
    check: bool,
    watch: bool,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Index images into a library: files, folders, archives, datasets.

    PATH is a file, a folder, a pattern ('photos/**/*.jpg', 'shard-{000..009}.tar'), a zip or tar archive, or a table
    with images in it (Parquet, Arrow: a Hugging Face dataset).

    The library links to the files. Indexed again, it follows the folders: unchanged files are not opened, moved ones
    keep their entry, changed ones are encoded anew, and images whose files are gone are taken out. Nothing is taken out
    because a path is missing or empty, or when more than half of its images are gone, unless --prune is given.

    Damaged files and files of other types are skipped and listed. Metadata in NAME.json, NAME.png.json or NAME.txt
    beside an image (caption, tags, licence, …) is stored with it. Hidden files, files of file servers (@eaDir,
    __MACOSX), and what .imagerag-ignore files name (as .gitignore does) are ignored.

    --describe sends each image without a description to a vision-language model, once. The library remembers the model
    and the budget, and later runs describe new images. --dry-run says what that costs.
    """
    if not paths and not manifest:
        raise UsageError("say what to index: imagerag index PATH --library NAME")
    # In quotes, as patterns are, a shell leaves `~` as it is.
    paths, manifest = tuple(map(os.path.expanduser, paths)), tuple(map(os.path.expanduser, manifest))
    rag = ImageRAG(library=library, home=globals_.home)
    name = chosen_library(rag, library, paths)
    progress = FileProgress(visible=not quiet)
    reading, describing, looking = (FileProgress(visible=not quiet, noun="image") for _ in range(3))
    encoding = FileProgress(visible=not quiet, noun="caption")

    def close() -> None:
        for one in (progress, reading, describing, looking, encoding):
            one.close()

    def warn(text: str) -> None:
        close()
        say_all(warning_lines([text]), err=True)

    def estimated(expected: "DescriptionEstimate") -> None:
        close()
        if not quiet and not dry_run:
            say(estimate_text(expected), err=True)

    options = {"embedder": embedder, "manifest": manifest or None, "exclude": exclude, "allow_outside": allow_outside,
             "ocr": ocr, "caption_embedder": caption_embedder, "regions": regions, "prune": prune,
             "checksum": checksum, "check": check, "progress": progress, "warn": warn, "ocr_progress": reading,
             "caption_progress": encoding, "regions_progress": looking, "describe": describe, "max_calls": max_calls,
             "max_cost_usd": max_cost_usd, "assume_cost_usd_per_call": assume_cost_usd_per_call,
             "describe_progress": describing, "estimated": estimated}  # fmt: skip

    def show(report: "IndexReport", metadata: "LibraryMetadata | None") -> None:
        close()
        if as_json:
            say_json(document(report, name, metadata).as_json())
        else:
            say_all(report_lines(report, name, metadata))

    with contextlib.ExitStack() as open_lines:
        open_lines.callback(close)
        if watch:
            return _watched(_watch(rag, name, paths, show, copy=copy, **options))
        try:
            report = run_sync(_index(rag, name, paths, show, copy=copy, dry_run=dry_run, **options))
        except KeyboardInterrupt:
            raise click.Abort("" if dry_run else _state_when_stopped(progress, name)) from None
    return 1 if strict and (report.skipped or report.descriptions_stopped) else 0


def _state_when_stopped(progress: FileProgress, name: str) -> str:
    """The state after indexing was stopped, and how to continue."""
    if not progress.done:
        return "nothing new is in the library yet; the same command begins again"
    return (
        f"{progress.done:,} of {count(progress.of, 'file')} are done, their images are in library {name}; "
        "the same command goes on"
    )


def chosen_library(rag: ImageRAG, flag: str | None, paths: tuple[str, ...] = ()) -> str:
    """The library that the user named. A preset's own library is never used implicitly.

    Args:
        paths: what is indexed, for the message: one of them may be meant as the library.

    Raises:
        UsageError: no library is named.
    """
    name, preset = rag.settings.library, PRESETS[rag.settings.preset]
    if name is None or (flag is None and name == preset.get("library")):
        message = "say which library the images go into: --library NAME"
        meant = [path for path in paths if not os.path.exists(path) and is_there(rag.dependencies.home, path)]
        rest = shlex.join(path for path in paths if path not in meant) or "PATH"
        raise UsageError(f"{message}; did you mean imagerag index {rest} --library {meant[0]}?" if meant else message)
    return name


Show = Callable[["IndexReport", "LibraryMetadata | None"], None]


async def _index(rag: ImageRAG, name: str, paths: tuple[str, ...], show: Show, **options: Any) -> "IndexReport":
    report = await rag.libraries.index(*paths, library=name, **options)
    show(report, await _metadata(rag, name))
    return report


async def _watch(rag: ImageRAG, name: str, paths: tuple[str, ...], show: Show, **options: Any) -> None:
    first = True
    async for report in rag.libraries.watch(*paths, library=name, **options):
        if first or report.did_something:
            show(report, await _metadata(rag, name))
        first = False


def _watched(watching: Coroutine[Any, Any, None]) -> int:
    """Watch until Ctrl-C, the normal end."""
    with contextlib.suppress(KeyboardInterrupt):
        run_sync(watching)
    say("stopped watching", err=True)
    return 0


async def _metadata(rag: ImageRAG, name: str) -> "LibraryMetadata | None":
    """A library's metadata; None where a dry run finds no library."""
    from imagerag.store.library.library_metadata import read_library_metadata

    try:
        return await asyncio.to_thread(read_library_metadata, rag.dependencies.home, name)
    except UnknownLibraryError:
        return None
