"""`imagerag replay`."""

from typing import Any

import click

from imagerag.cli import Globals
from imagerag.cli.dry_run import dry_run_option, print_estimate
from imagerag.cli.options import cost_options, loop_options, other_threshold_option, pass_globals
from imagerag.cli.output_options import OutputOptions, output_options
from imagerag.cli.run_follower import RunOutputs, follow_run
from imagerag.cli.runs import run_name
from imagerag.client.client import ImageRAG


@click.command("replay")
@click.argument("run")
@click.option("--from", "step", type=int, required=True, metavar="STEP", help="First step to run again.")
@click.option("--prompt", metavar="TEXT", help="Another prompt, with a new checklist.")
@other_threshold_option
@click.option(
    "--set-references",
    "references",
    metavar="ID,ID",
    help="Send these library images; STEP must be a regenerate.",
)
@click.option("--seed", type=int, metavar="N", help="Another seed.")
@click.option("--generator", metavar="SPEC", help="Another generator.")
@click.option("--judge", metavar="SPEC", help="Another judge.")
@loop_options()
@click.option("--reranker", metavar="SPEC", help="Another reranker.")
@click.option("--library", metavar="NAME", help="Another library.")
@cost_options(", with what the steps before STEP took")
@click.option("--no-cache", is_flag=True, help="Call the models again instead of using stored responses.")
@dry_run_option
@output_options
@pass_globals
def replay_command(
    globals_: Globals,
    /,
    run: str,
    step: int,
    references: str | None,
    output: OutputOptions,
    dry_run: bool,
    **changes: Any,
) -> int:
    """Fork RUN at a step, optionally with changes.

    RUN can be "last"; `imagerag show RUN` numbers the steps. RUN stays as it was: the replay is a new run that copies
    the steps before STEP and runs the others again. Models are called only for requests without a stored response.
    """
    reference_names = (
        [name.strip() for name in references.split(",") if name.strip()] if references is not None else None
    )
    rag = ImageRAG(home=globals_.home)
    changes["references"] = reference_names
    if dry_run:
        return print_estimate(rag.runs.estimate_replay(run_name(rag, run), step, **changes), output.mode == "json")
    delivery = RunOutputs.from_options(rag, output, library=changes["library"])
    return follow_run(delivery, rag.runs.stream_replay(run_name(rag, run), step, **changes))
