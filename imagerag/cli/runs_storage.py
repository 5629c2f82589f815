"""`imagerag runs mark`, `save`, `remove` and `prune`."""

import asyncio
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zipfile import ZipFile

import click

from imagerag.agent.errors import ImageRAGError
from imagerag.cli import Globals
from imagerag.cli.confirmation import confirm_removal, yes_option
from imagerag.cli.options import json_option, moment_of, pass_globals
from imagerag.cli.output_files import allowed, overwrite_option
from imagerag.cli.runs import run_name
from imagerag.cli.terminal.output import count, dim, say, say_all, say_json, table
from imagerag.client.client import ImageRAG
from imagerag.client.synchronous import run_sync
from imagerag.formatting.interface_terms import in_commands
from imagerag.formatting.numbers import size_of_bytes
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.runs.removal import RunsRemoved

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

MOST_LISTED: Final = 20
"""Runs that are named before one is asked; of more, their number."""


def size_of(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Parse a size in bytes from `2GB`, `500 MB`, `1.5g` or a number of bytes; units are powers of ten."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmgt]?)b?", value.strip().lower())
    if not match:
        raise click.BadParameter(f"{value!r} is no size: 2GB, 500MB", ctx, param)
    return int(float(match[1]) * _UNITS[match[2]])


dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would go, and how many bytes; remove nothing.")


@click.command("mark")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option("--favourite/--no-favourite", default=True, help="Make them favourites, or not any more.")
@json_option
@pass_globals
def mark_command(globals_: Globals, /, runs: tuple[str, ...], favourite: bool, as_json: bool) -> int:
    """Make runs favourites: imagerag runs --favourite lists them, and imagerag runs prune leaves them.

    The start of a run's id is enough, or "last".
    """
    rag = ImageRAG(home=globals_.home)
    entries = rag.runs.mark_sync(*(run_name(rag, run) for run in runs), favourite=favourite)
    if as_json:
        from imagerag.schemas.runs import RunsDocument

        say_json(RunsDocument(runs=list(entries)).as_json())
    else:
        state = "a favourite" if favourite else "no favourite"
        say_all(f"run {entry.run_id} is {state}" for entry in entries)
    return 0


@click.command("remove")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@dry_run_option
@yes_option
@json_option
@pass_globals
def remove_command(globals_: Globals, /, runs: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool) -> int:
    """Delete runs for good: steps, answers, result files in the home, and images that no other run refers to.

    The start of a run's id is enough, or "last". A run that is being made is refused. Files that were written to a
    place of your own (--out) stay.
    """
    rag = ImageRAG(home=globals_.home)
    run_ids = [run_name(rag, run) for run in runs]
    if not (dry_run or yes):
        command = f"imagerag runs remove {' '.join(runs)} --yes (--dry-run only looks)"
        _confirm(rag.runs.remove_sync(*run_ids, dry_run=True), command, as_json)
    _say(rag.runs.remove_sync(*run_ids, dry_run=dry_run), as_json)
    return 0


@click.command("prune")
@click.option("--older-than", callback=moment_of, metavar="AGE", help="Runs begun before: 30d, 12h, 2026-11-30.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Never the N newest; alone: all but those.")
@click.option("--max-size", callback=size_of, metavar="SIZE", help="The oldest, until all runs take at most: 2GB.")
@click.option("--unfinished", is_flag=True, help="Also runs that wait for a choice, or were stopped.")
@click.option("--favourites", is_flag=True, help="Also favourites.")
@dry_run_option
@yes_option
@json_option
@pass_globals
def prune_command(
    globals_: Globals,
    /,
    older_than: datetime | None,
    keep: int | None,
    max_size: int | None,
    unfinished: bool,
    favourites: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete old runs for good. Give at least one limit; several together take the runs that any is for.

    Runs that have not ended stay, unless --unfinished is given, and favourites, unless --favourites is; those that are
    being made stay in any case. What goes with a run is what imagerag runs remove deletes. A prune that was stopped is
    finished by the next one.
    """
    if older_than is None and keep is None and max_size is None:
        raise click.UsageError("say which runs: --older-than 30d, --keep 100 or --max-size 2GB")
    rag = ImageRAG(home=globals_.home)

    def prune(*, dry: bool) -> "RunsRemoved":
        return rag.runs.prune_sync(
            older_than=older_than,
            keep=keep,
            max_bytes=max_size,
            unfinished=unfinished,
            favourites=favourites,
            dry_run=dry,
        )

    if not (dry_run or yes):
        _confirm(prune(dry=True), "imagerag runs prune … --yes (--dry-run only looks)", as_json)
    _say(prune(dry=dry_run), as_json)
    return 0


def _is_run(ctx: click.Context, name: str) -> bool:
    index = ImageRAG(home=ctx.ensure_object(Globals).home).dependencies.runs
    try:
        return name == "last" or bool(run_sync(index.get(name)))
    except ImageRAGError:
        return False


class _SaveCommand(click.Command):
    """`save`, whose error for a second argument suggests the option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; the folder is an option, not an argument."""
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            run, folder = ctx.params["run"], rest[0]
            if _is_run(ctx, folder) and not _is_run(ctx, run):
                run, folder = folder, run
            line = shlex.join([*ctx.command_path.split(), clean(run), "--out", clean(folder)])
            ctx.fail(f"the folder is given with --out: {line}")
        return rest


@click.command("save", cls=_SaveCommand)
@click.argument("run")
@overwrite_option
@click.option("--out", metavar="DIR|FILE.zip", help="The folder, or an archive. By default a folder named as the run.")
@json_option
@pass_globals
def save_command(globals_: Globals, /, run: str, out: str | None, as_json: bool) -> int:
    """Write RUN as a folder or a ZIP archive that stands alone: images, references with credits, report, record.

    Every attempt's image has its sidecar beside it; references/ holds what was drawn with, credits.json whose it is.
    The start of a run's id is enough, or "last".
    """
    rag = ImageRAG(home=globals_.home)
    record = asyncio.run(rag.runs.get(run_name(rag, run)))
    place = Path(out or record.run_id).expanduser()
    names = _save(rag, in_commands(record), place, overwrite=allowed(click.get_current_context()))
    if as_json:
        from imagerag.schemas.runs import RunSavedDocument

        say_json(RunSavedDocument(run_id=record.run_id, path=str(place), files=names).as_json())
    else:
        say(f"run {record.run_id} is saved: {place} ({count(len(names), 'file')})")
    return 0


def _save(rag: ImageRAG, record: "RunRecord", place: Path, *, overwrite: bool) -> list[str]:
    """Write a run into a folder, or an archive where the name ends in .zip, and give the names of its files."""
    if place.suffix.lower() != ".zip":
        files = rag.runs.save_folder_sync(record, place, overwrite=overwrite)
        return [str(file.relative_to(place)) for file in files]
    with ZipFile(rag.runs.save_zip_sync(record, place, overwrite=overwrite)) as archive:
        return archive.namelist()


def _confirm(planned: "RunsRemoved", command: str, as_json: bool) -> None:
    """Confirm a removal, which was planned first so that an unknown run is reported before the question."""
    what = count(len(planned.runs), "run") if planned.runs else ""
    confirm_removal(_lines(planned), what, command, as_json=as_json)


def _say(removal: "RunsRemoved", as_json: bool) -> None:
    if as_json:
        say_json(removal.as_json())
    else:
        say_all(_lines(removal))


def _lines(removal: "RunsRemoved") -> Iterator[str]:
    listed = removal.runs[:MOST_LISTED]
    yield from table([[one.run_id, size_of_bytes(one.bytes), clean(one.prompt)] for one in listed], right={1}, cut=2)
    if len(removal.runs) > len(listed):
        yield dim(f"and {len(removal.runs) - len(listed)} more")
    went = "would be removed" if removal.dry_run else "removed"
    yield f"{count(len(removal.runs), 'run')} {went}, {size_of_bytes(removal.freed_bytes)}; {removal.kept} kept"
    if removal.in_use:
        yield f"being made right now, and kept: {', '.join(removal.in_use)}"
