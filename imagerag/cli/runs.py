"""`imagerag runs`, `show` and `resume`."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from imagerag.agent.types import Outcome
from imagerag.api import ImageRAG
from imagerag.cli import Globals
from imagerag.cli.choose import parse_choice, question_lines
from imagerag.cli.conduct import Delivery, checked_out, conduct, write_sheet
from imagerag.cli.options import (
    events_option,
    json_option,
    mode_of,
    out_option,
    pass_globals,
    quiet_option,
    sheet_option,
)
from imagerag.cli.story import OUTCOMES, story
from imagerag.cli.view import accent, columns, dim, say, say_all, say_json, short, table

if TYPE_CHECKING:
    from imagerag.store.runs import RunEntry


@click.command("runs")
@click.option("-n", "limit", type=click.IntRange(1), default=20, metavar="N", help="How many, newest first.")
@click.option("--outcome", type=click.Choice([outcome.value for outcome in Outcome]), help="Only those that ended so.")
@click.option("--text", metavar="T", help="Only those whose prompt contains it.")
@json_option
@pass_globals
def runs_command(globals_: Globals, /, limit: int, outcome: str | None, text: str | None, as_json: bool) -> int:
    """List the runs made so far."""
    entries = asyncio.run(ImageRAG(home=globals_.home).runs(limit, outcome=outcome, text=text))
    if as_json:
        say_json({"schema": "imagerag.runs/1", "runs": [entry.model_dump(mode="json") for entry in entries]})
    elif entries:
        say_all(table([_row(entry) for entry in entries], right={1, 3}))
    else:
        say("no runs like that" if outcome or text else "no runs yet: imagerag demo")
    return 0


def _row(entry: "RunEntry") -> list[str]:
    score = "" if entry.score is None else f"{100 * entry.score:.0f} %"
    return [
        entry.run_id,
        dim(ago(entry.created)),
        standing(entry),
        score,
        short(entry.prompt, max(20, columns() - 66)),
    ]


def standing(entry: "RunEntry") -> str:
    """How a run stands, in a word or two."""
    if entry.outcome is Outcome.ALIGNED:
        return accent("✓ aligned")
    if entry.outcome:
        return f"✗ {OUTCOMES[entry.outcome]}"
    return "… waits for a choice" if entry.status == "interrupted" else "… unfinished"


def ago(moment: datetime) -> str:
    """`12 s ago`, `3 days ago`."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


@click.command("show")
@click.argument("run")
@sheet_option
@json_option
@pass_globals
def show_command(globals_: Globals, /, run: str, sheet: str | None, as_json: bool) -> int:
    """Tell what RUN did, step by step. The start of its id is enough."""
    rag = ImageRAG(home=globals_.home)
    _, file = checked_out(None, sheet)
    record = asyncio.run(rag.record(run))
    if as_json:
        say_json(record.as_json())
    else:
        say_all(story(record))
        if record.question:
            say_all(question_lines(record.question))
    if file is not None:
        asyncio.run(write_sheet(rag, record, file))
        say(f"contact sheet: {file}", err=True)
    return 0


@click.command("resume")
@click.argument("run")
@click.option("--choose", metavar="1,2|none", help="For a run that waits: the references to use, best first.")
@out_option
@sheet_option
@json_option
@events_option
@quiet_option
@pass_globals
def resume_command(
    globals_: Globals,
    /,
    run: str,
    choose: str | None,
    out: str | None,
    sheet: str | None,
    as_json: bool,
    events: bool,
    quiet: bool,
) -> int:
    """Continue RUN where it was stopped, or tell one that waits which references to use.

    The start of its id is enough. Nothing that was drawn or judged before is done again.
    """
    mode = mode_of(as_json, events)
    files = checked_out(out, sheet)
    chosen = None if choose is None else parse_choice(choose)
    rag = ImageRAG(home=globals_.home)
    delivery = Delivery(rag, mode=mode, progress=not quiet, out=files[0], sheet=files[1])
    return conduct(delivery, rag.stream_resume(run, choose=chosen))
