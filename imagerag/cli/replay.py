"""`imagerag replay`."""

from typing import Any

import click

from imagerag.cli import Globals
from imagerag.cli.options import (
    OutputOptions,
    cost_options,
    loop_options,
    other_threshold_option,
    output_options,
    pass_globals,
)
from imagerag.cli.run_follower import RunOutputs, follow_run
from imagerag.cli.runs import run_name
from imagerag.client.client import ImageRAG


@click.command("replay")
@click.argument("run")
@click.option("--from", "step", type=int, required=True, metavar="STEP", help="The first step that is done again.")
@click.option("--prompt", metavar="TEXT", help="Another prompt; the judge makes a new checklist of it.")
@other_threshold_option
@click.option(
    "--set-references",
    "references",
    metavar="ID,ID",
    help="Draw with these library pictures; the step is a regenerate.",
)
@click.option("--seed", type=int, metavar="N", help="Another seed.")
@click.option("--generator", metavar="SPEC", help="Another generator.")
@click.option("--judge", metavar="SPEC", help="Another judge.")
@loop_options()
@click.option("--reranker", metavar="SPEC", help="Another reranker.")
@click.option("--library", metavar="NAME", help="Another library.")
@cost_options(", with what the steps before STEP took")
@click.option("--no-cache", is_flag=True, help="Ask the models anew instead of using what they answered before.")
@output_options
@pass_globals
def replay_command(
    globals_: Globals,
    /,
    run: str,
    step: int,
    references: str | None,
    output: OutputOptions,
    **changes: Any,
) -> int:
    """Do RUN again from one of its steps, with something changed or nothing.

    RUN can be "last"; `imagerag show RUN` numbers the steps. It stays as it was: the replay is a run of its own, with
    the steps before copied and those from STEP on done again. Models are asked only what they were not asked before.
    """
    wanted = [name.strip() for name in references.split(",") if name.strip()] if references is not None else None
    rag = ImageRAG(home=globals_.home)
    delivery = RunOutputs.wanted(rag, output, library=changes["library"])
    return follow_run(delivery, rag.runs.stream_replay(run_name(rag, run), step, references=wanted, **changes))
