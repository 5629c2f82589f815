"""`imagerag replay`."""

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
    threshold_of,
)
from imagerag.cli.runs import named


def _optional_threshold(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
    return None if value is None else threshold_of(ctx, param, value)


@click.command("replay")
@click.argument("run")
@click.option("--from", "step", type=int, required=True, metavar="STEP", help="The first step that is done again.")
@click.option("--prompt", metavar="TEXT", help="Another prompt; the judge makes a new checklist of it.")
@click.option(
    "--threshold",
    callback=_optional_threshold,
    metavar="auto|off|COSINE",
    help="Another threshold; takes effect in a retrieve.",
)
@click.option("--references", metavar="ID,ID", help="Draw with these library pictures; the step is a regenerate.")
@click.option("--seed", type=int, metavar="N", help="Another seed.")
@click.option("--generator", metavar="SPEC", help="Another generator.")
@click.option("--judge", metavar="SPEC", help="Another judge.")
@click.option("--judge-mode", type=click.Choice(["fused", "stepwise"]), help="Ask once, or step by step.")
@click.option("--reranker", metavar="SPEC", help="Another reranker.")
@click.option("--library", metavar="NAME", help="Another library.")
@click.option("--max-rounds", type=int, metavar="N", help="Redrawings at most, 0 to 20.")
@click.option("--max-references", type=int, metavar="N", help="Pictures sent with the prompt at most, 1 to 16.")
@click.option("--max-calls", type=int, metavar="N", help="Model calls at most, with those before STEP.")
@click.option("--max-cost-usd", type=float, metavar="X", help="US dollars at most; needs prices that are known.")
@click.option("--fresh", is_flag=True, help="Ask the models anew instead of using what they answered before.")
@out_option
@sheet_option
@json_option
@events_option
@live_option
@quiet_option
@pass_globals
def replay_command(
    globals_: Globals,
    /,
    run: str,
    step: int,
    references: str | None,
    out: str | None,
    sheet: str | None,
    as_json: bool,
    events: bool,
    live: str,
    quiet: bool,
    **changes: Any,
) -> int:
    """Do RUN again from one of its steps, with something changed or nothing.

    RUN can be "last"; `imagerag show RUN` numbers the steps. It stays as it was: the replay is a run of its own, with
    the steps before copied and those from STEP on done again. Models are asked only what they were not asked before.
    """
    mode = mode_of(as_json, events)
    files = checked_out(out, sheet)
    wanted = [name.strip() for name in references.split(",") if name.strip()] if references is not None else None
    rag = ImageRAG(home=globals_.home)
    ask = asker(rag) if mode == "human" and someone_is_there() else None
    delivery = Delivery(
        rag,
        mode=mode,
        progress=not quiet,
        out=files[0],
        sheet=files[1],
        ask=ask,
        live=Live.wanted(rag, live, library=changes["library"]),
    )
    return conduct(delivery, rag.stream_replay(named(rag, run), step, references=wanted, **changes))
