"""`imagerag runs`, `show` and `resume`."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imagerag.agent.errors import UsageError
from imagerag.agent.types import Outcome
from imagerag.cli import Globals
from imagerag.cli.choose_prompt import parse_choice, question_lines
from imagerag.cli.command_group import FullHelpGroup
from imagerag.cli.dry_run import dry_run_option, print_estimate
from imagerag.cli.keep_web import check_run_keeps_web, keep_web_option
from imagerag.cli.lineage_text import lineage_lines
from imagerag.cli.options import image_option, json_option, moment_of, pass_globals, sheet_option
from imagerag.cli.output_files import all_fresh, apart
from imagerag.cli.output_options import OutputOptions, output_options
from imagerag.cli.run_follower import RunOutputs, follow_run
from imagerag.cli.run_text import render_run, run_header, summary
from imagerag.cli.step_table import at_work, raw_lines, standing_lines, step_lines, watch
from imagerag.cli.terminal.output import accent, columns, dim, say, say_all, say_json, table
from imagerag.client.client import ImageRAG
from imagerag.files.export import write_file
from imagerag.formatting import labels
from imagerag.formatting.numbers import dollars, percent
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.runs.history import Step
    from imagerag.store.run_index import RunEntry

STANDINGS: Final = {"unfinished": "running", "waiting": "interrupted"}
"""Statuses that are shown while a run has no outcome."""


WIDE: Final = 100
"""Columns from which on a run's age is listed; its id begins with the time."""

MARK: Final = "↳"
"""Marks a run that comes from another one: a replay, or one that goes on from it."""


STAR: Final = "★"
"""Marks a favourite."""


@click.group("runs", cls=FullHelpGroup, invoke_without_command=True)
@click.option("-n", "limit", type=click.IntRange(1), default=20, metavar="N", help="Number of runs.")
@click.option(
    "--outcome",
    type=click.Choice([*(outcome.value for outcome in Outcome), *STANDINGS]),
    metavar="OUTCOME",
    help=f"Only those that ended so ({', '.join(Outcome)}), or that are unfinished or waiting.",
)
@click.option("--text", metavar="T", help="Only runs whose prompt contains T.")
@click.option("--library", metavar="NAME", help="Only runs with this library.")
@click.option(
    "--since", callback=moment_of, metavar="WHEN", help="Only runs since: 2026-11-30, 2026-11-30T18:00, 3d, 12h."
)
@click.option("--until", callback=moment_of, metavar="WHEN", help="Only runs before this time.")
@click.option("--min-cost", type=click.FloatRange(0), metavar="USD", help="Only runs that cost at least this.")
@click.option("--max-cost", type=click.FloatRange(0), metavar="USD", help="Only runs that cost at most this.")
@click.option("--favourite/--no-favourite", default=None, help="Only favourites, or only other runs.")
@json_option
@click.pass_context
def runs_command(ctx: click.Context, /, limit: int, outcome: str | None, as_json: bool, **filters: Any) -> int:
    """List runs, newest first. ↳ marks a run that comes from another: a replay or a continuation; ★ a favourite."""
    if ctx.invoked_subcommand is not None:
        return 0
    globals_ = ctx.ensure_object(Globals)
    criteria = {name: value for name, value in filters.items() if value is not None}
    if outcome is not None:
        criteria |= {"status": STANDINGS[outcome]} if outcome in STANDINGS else {"outcome": outcome}
    rag = ImageRAG(home=globals_.home)
    entries = asyncio.run(rag.runs.list(limit, **criteria))
    if as_json:
        from imagerag.schemas.runs import RunsDocument

        say_json(RunsDocument(runs=list(entries)).as_json())
    elif entries:
        wide = columns() >= WIDE
        rows = [_row(entry, wide=wide, under_way=rag.runs.is_under_way_sync) for entry in entries]
        say_all(table(rows, right={1, 3, 4}, cut=6))
    else:
        say("no runs like that" if criteria else "no runs yet: imagerag demo")
    return 0


def _row(entry: "RunEntry", *, wide: bool, under_way: Callable[[str], bool]) -> list[str]:
    score = "" if entry.score is None else percent(entry.score)
    return [
        entry.run_id,
        dim(ago(entry.created)) if wide else "",
        run_standing(entry, under_way),
        score,
        dim(dollars(entry.cost_usd)) if entry.cost_usd else "",
        accent((MARK if entry.parent_run else "") + (STAR if entry.favourite else "")),
        clean(entry.prompt),
    ]


def run_standing(entry: "RunEntry", under_way: Callable[[str], bool]) -> str:
    """The outcome or status of a run.

    Args:
        under_way: whether a process makes the unfinished run with an id.
    """
    if entry.status == "running":
        return f"… {labels.UNFINISHED[under_way(entry.run_id)].name}"
    word = labels.standing(entry.status, entry.outcome).name
    if entry.outcome is Outcome.ALIGNED:
        return accent(f"✓ {word}")
    return f"✗ {word}" if entry.outcome else f"… {word}"


def ago(moment: datetime) -> str:
    """`12 s ago`, `3 days ago`."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _write_image(rag: ImageRAG, record: "RunRecord", out: Path) -> "RunRecord":
    """Write a run's image to a file that `image_file_of` has checked, or into a folder, which may hold that file
    already.

    Raises:
        UsageError: there is no image, or the file exists already.
    """
    from imagerag.files.export import export_path
    from imagerag.files.sidecar import sidecar_path

    if record.image is None:
        raise UsageError(f"run {record.run_id} has no image to write to {out}")
    if out.is_dir():
        out = export_path(record.image, out / record.run_id)
        all_fresh((out, sidecar_path(out)))
    return asyncio.run(rag.runs.save(record, out, overwrite=True))


@click.command("show")
@click.argument("run")
@click.option("--rounds", is_flag=True, help="Show rounds instead of steps: every check and candidate.")
@click.option("--raw", is_flag=True, help="Show the raw responses of the models.")
@click.option("--watch", "follow", is_flag=True, help="Follow a run of another process until it ends.")
@sheet_option
@image_option
@json_option
@pass_globals
def show_command(
    globals_: Globals,
    /,
    run: str,
    rounds: bool,
    raw: bool,
    follow: bool,
    sheet: Path | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Show what RUN did, a line for each step. RUN is an id, the start of one, or "last".

    `imagerag replay RUN --from STEP` takes a step's number. "try" counts the attempts at a step, "varied" says what was
    changed for it, "found" how many candidates reached the threshold.
    """
    apart((out, sheet))
    rag = ImageRAG(home=globals_.home)
    record = asyncio.run(rag.runs.get(run_name(rag, run)))
    if follow:
        _follow(rag, record)
        record = asyncio.run(rag.runs.get(record.run_id))
    if out is not None:
        record = _write_image(rag, record, out)
    if as_json:
        say_json(record.as_json())
    elif raw:
        say_all(raw_lines(asyncio.run(rag.runs.steps(record))))
    else:
        say_all(render_run(record) if rounds else _run_lines(rag, record, followed=follow))
        if record.question:
            say_all(question_lines(record.question))
    if sheet is not None:
        asyncio.run(_write_sheet(rag, record, sheet))
        say(f"contact sheet: {sheet}", err=True)
    if out is not None and record.image is not None:
        say(f"image: {record.image.path}", err=True)
    return 0


async def _write_sheet(rag: ImageRAG, record: "RunRecord", file: Path) -> None:
    await write_file(file, await rag.runs.contact_sheet(record))


def _run_lines(rag: ImageRAG, record: "RunRecord", *, followed: bool) -> list[str]:
    if followed:
        return ["", *summary(record, steps_shown=True)]
    steps = asyncio.run(rag.runs.steps(record))
    return [
        *_opening(rag, record),
        "",
        *step_lines(steps),
        "",
        *_standing(rag, record, steps),
        *summary(record, steps_shown=True),
    ]


def _standing(rag: ImageRAG, record: "RunRecord", steps: "list[Step]") -> list[str]:
    return standing_lines(steps, running=at_work(rag, record.run_id))


def _opening(rag: ImageRAG, record: "RunRecord") -> list[str]:
    """The prompt, backends and lineage of a run."""
    from imagerag.reports.html.report_writer import parent_of

    return [*run_header(record), *lineage_lines(record, asyncio.run(parent_of(rag.dependencies, record)))]


def _follow(rag: ImageRAG, record: "RunRecord") -> None:
    say_all([*_opening(rag, record), ""])
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(watch(rag, record.run_id))


@click.command("resume")
@click.argument("run")
@click.option("--select", "choose", metavar="1,2|none", help="References to use in a run that waits, best first.")
@click.option("--edit", metavar="N", help="Candidate to edit in a run that waits, instead of a new image.")
@dry_run_option
@keep_web_option
@output_options
@pass_globals
def resume_command(
    globals_: Globals,
    /,
    run: str,
    choose: str | None,
    edit: str | None,
    dry_run: bool,
    keep_web: bool,
    output: OutputOptions,
) -> int:
    """Finish RUN where it was stopped, or answer one that waits for a choice of references.

    RUN is an id, the start of one, or "last". Nothing is generated or judged twice. In a terminal, a run that waits
    asks for the choice again unless --select gives it.
    """
    choice = None if choose is None else parse_choice(choose)
    rag = ImageRAG(home=globals_.home)
    name = run_name(rag, run)
    if keep_web:
        check_run_keeps_web(rag, name)
    if dry_run:
        return print_estimate(rag.runs.estimate_resume(name), output.mode == "json")
    delivery = RunOutputs.from_options(rag, output, keep_web=keep_web)
    waiting = asyncio.run(rag.runs.get(name)) if delivery.ask and choice is None and edit is None else None
    return follow_run(delivery, rag.runs.stream_resume(name, choose=choice, edit=edit), waiting=waiting)


def run_name(rag: ImageRAG, run: str) -> str:
    """Resolve the name of a run: `last` is the one that began last."""
    newest = asyncio.run(rag.runs.list(1)) if run == "last" else []
    return newest[0].run_id if newest else run
