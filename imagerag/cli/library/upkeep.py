"""`imagerag library stats`, `export`, `verify`, `optimize` and `rename`: whole libraries."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from imagerag.agent.retrieval.search_queries import split_name
from imagerag.cli import Globals
from imagerag.cli.library.check import last_check_lines
from imagerag.cli.library.library_command import LibraryCommand
from imagerag.cli.library.previews import missing_lines
from imagerag.cli.library.statistics_lines import disk_text, statistics_lines
from imagerag.cli.options import json_option, pass_globals, quiet_option
from imagerag.cli.output_files import all_fresh, allowed, overwrite_option
from imagerag.cli.terminal.output import bold, count, say, say_all, say_json, short, table
from imagerag.cli.terminal.progress_line import FileProgress
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.numbers import size_of_bytes
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.store.library.maintenance.verification import LibraryProblem, Verification

PROBLEMS: Final = 20
"""Problems that are shown; `--json` has all."""


@click.command("stats", cls=LibraryCommand)
@click.argument("name")
@json_option
@pass_globals
def stats_command(globals_: Globals, /, name: str, as_json: bool) -> int:
    """Count and measure what a library holds.

    Disk use by kind, formats, sizes, dates, licences, cameras, images that show the same thing, and how many captions
    reach the threshold, with those furthest from their own images.
    """
    libraries = ImageRAG(home=globals_.home, library=name).libraries
    stats, last_check = libraries.stats_sync(), libraries.last_check_sync()
    if as_json:
        from imagerag.schemas.libraries import StatisticsDocument

        say_json(StatisticsDocument(library=name, statistics=stats, last_check=last_check).as_json())
    else:
        lines = [*statistics_lines(stats), *last_check_lines(last_check, name)]
        say_all([f"library {bold(name)}: {count(stats.images, 'image')}", *lines])
    return 0


@click.command("export", cls=LibraryCommand)
@click.argument("name")
@click.argument("out", metavar="OUT")
@click.option(
    "--format",
    type=click.Choice(["parquet", "folder"]),
    help="A Parquet file, or a folder of images and sidecars; told by OUT's suffix.",
)
@click.option("--bytes", "with_bytes", is_flag=True, help="Write the images into the Parquet file, too.")
@overwrite_option
@quiet_option
@json_option
@pass_globals
def export_command(
    globals_: Globals,
    /,
    name: str,
    out: str,
    format: Literal["parquet", "folder"] | None,
    with_bytes: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Write a library for other programs.

    Parquet has the texts, the typed columns and the vectors. A folder has the images, each with a sidecar; imagerag
    index reads it back to the same rows.
    """
    from imagerag.store.library.maintenance.export_format import format_of

    kind = format or format_of(out)
    if kind == "parquet":
        all_fresh([Path(out)])
    rag = ImageRAG(home=globals_.home, library=name)
    with contextlib.closing(FileProgress()) as progress:
        result = run_sync(
            rag.libraries.export(
                out,
                format=kind,
                with_bytes=with_bytes,
                overwrite=allowed(click.get_current_context()),
                progress=None if quiet else progress,
            )
        )
    if as_json:
        from imagerag.schemas.libraries import ExportDocument

        say_json(ExportDocument(library=name, format=kind, export=result).as_json())
    else:
        say(f"{short(result.path, 60)}: {count(result.images, 'image')}, {size_of_bytes(result.bytes)}")
        say_all(missing_lines(result.missing))
    return 1 if result.missing else 0


@click.command("verify", cls=LibraryCommand)
@click.argument("name")
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@click.option("--no-files", "files", is_flag=True, flag_value=False, default=True, help="Do not read linked files.")
@json_option
@pass_globals
def verify_command(globals_: Globals, /, name: str, repair: bool, files: bool, as_json: bool) -> int:
    """Compare every image of a library with its bytes, its files and its vectors.

    --repair drops dead paths, encodes changed files and bad vectors again, makes thumbnails and copies anew, and
    deletes bad vectors of captions and regions, which the next index makes. Exit code 1: problems are left.
    """
    result = run_sync(ImageRAG(home=globals_.home, library=name).libraries.verify(repair=repair, files=files))
    if as_json:
        from imagerag.schemas.libraries import VerificationDocument
        from imagerag.store.library.maintenance.image_selection import LISTED

        first = result.model_copy(update={"problems": result.problems[:LISTED]})
        total, left = len(result.problems), len(result.left)
        say_json(VerificationDocument(library=name, count=total, left=left, verification=first).as_json())
    else:
        say_all(verification_lines(name, result, repair=repair))
    return 1 if result.left else 0


@click.command("optimize", cls=LibraryCommand)
@click.argument("name")
@json_option
@pass_globals
def optimize_command(globals_: Globals, /, name: str, as_json: bool) -> int:
    """Join fragments, extend the indexes, remove what no longer counts.

    Indexing and removing do this themselves; it serves after processes that were stopped.
    """
    before, after = run_sync(ImageRAG(home=globals_.home, library=name).libraries.optimize())
    if as_json:
        from imagerag.schemas.libraries import LibraryOptimized

        say_json(LibraryOptimized(library=name, disk_before=before, disk=after).as_json())
    else:
        say(f"library {bold(name)}: {size_of_bytes(before.total)} → {size_of_bytes(after.total)} ({disk_text(after)})")
    return 0


@click.command("rename", cls=LibraryCommand)
@click.argument("name")
@click.argument("new")
@json_option
@pass_globals
def rename_command(globals_: Globals, /, name: str, new: str, as_json: bool) -> int:
    """Give a library another name.

    Runs and settings that name the old one find it until a new library takes that name.
    """
    run_sync(ImageRAG(home=globals_.home).libraries.rename(name, new))
    if as_json:
        from imagerag.schemas.libraries import LibraryRenamed

        say_json(LibraryRenamed(library=new, renamed_from=name).as_json())
    else:
        say(f"library {bold(name)} is {bold(new)} now")
    return 0


COMMANDS: Final = (stats_command, export_command, verify_command, optimize_command, rename_command)


def verification_lines(name: str, result: "Verification", *, repair: bool) -> list[str]:
    """The result of a verification as text."""
    counts = f"{count(result.images, 'image')}, {count(result.files, 'file')}, {count(result.copies, 'copy', 'copies')}"
    head = f"library {bold(name)}: {counts} compared"
    if not result.problems:
        return [f"{head}; all in order"]
    lines = [f"{head}; {count(len(result.problems), 'problem')}, {len(result.left):,} left"]
    for one in result.problems[:PROBLEMS]:
        lines += table([[one.kind, bold(short(one.path, 60) or one.id[:12]), _problem_text(one)]], fold=2)
    if len(result.problems) > PROBLEMS:
        lines.append(f"  and {len(result.problems) - PROBLEMS:,} more, which --json lists up to 10,000")
    library, tag = split_name(name)
    if tag is not None:
        lines.append(f"a snapshot is only read: imagerag library verify {library} --repair mends the library itself")
    elif not repair:
        lines.append(f"mend what can be mended: imagerag library verify {name} --repair")
    return lines


def _problem_text(one: "LibraryProblem") -> str:
    after = f"; {one.repaired}" if one.repaired else f"; {one.advice}" if one.advice else ""
    return clean(as_commands(one.problem + after))
