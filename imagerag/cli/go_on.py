"""`imagerag continue`."""

from typing import Any

import click

from imagerag.api import ImageRAG
from imagerag.cli import Globals
from imagerag.cli.choose import asker
from imagerag.cli.conduct import Delivery, checked_out, conduct, someone_is_there
from imagerag.cli.live import Live
from imagerag.cli.options import (
    events_option,
    json_option,
    live_option,
    mode_of,
    out_option,
    pass_globals,
    quiet_option,
    sheet_option,
)
from imagerag.cli.runs import named


@click.command("continue")
@click.argument("run")
@click.option("--prompt", metavar="TEXT", help="Draw this from now on.")
@click.option("--more-rounds", type=int, default=2, metavar="N", help="Redrawings at most, 0 to 20.")
@click.option("--without", multiple=True, metavar="N|ID", help="A reference that is never to be used again.")
@click.option("--keep", multiple=True, metavar="N|ID", help="A reference that is to go with every drawing.")
@click.option("--use", multiple=True, metavar="ID", help="A library picture to draw with next.")
@click.option("--max-calls", type=int, metavar="N", help="Model calls at most.")
@click.option("--max-cost-usd", type=float, metavar="X", help="US dollars at most; needs prices that are known.")
@click.option("--deadline-s", type=float, metavar="S", help="Seconds at most.")
@out_option
@sheet_option
@json_option
@events_option
@live_option
@quiet_option
@pass_globals
def continue_command(
    globals_: Globals,
    /,
    run: str,
    out: str | None,
    sheet: str | None,
    as_json: bool,
    events: bool,
    live: str,
    quiet: bool,
    **steering: Any,
) -> int:
    """Go on from where RUN ended: more rounds, other references, another prompt.

    RUN stays as it was: what goes on is a run of its own, which begins with the best picture so far and what was found
    out about it. References are named by number, as `imagerag show RUN` lists them, or by id (six characters are
    enough where the run has seen the picture). A run that was stopped half-way is for `imagerag resume`.
    """
    mode = mode_of(as_json, events)
    files = checked_out(out, sheet)
    rag = ImageRAG(home=globals_.home)
    ask = asker(rag) if mode == "human" and someone_is_there() else None
    delivery = Delivery(
        rag,
        mode=mode,
        progress=not quiet,
        out=files[0],
        sheet=files[1],
        ask=ask,
        live=Live.wanted(rag, live),
    )
    return conduct(delivery, rag.stream_continue(named(rag, run), **steering))
