"""`imagerag continue`."""

from typing import Any

import click

from imagerag.cli import Globals
from imagerag.cli.options import OutputOptions, limit_options, output_options, pass_globals
from imagerag.cli.run_follower import RunOutputs, follow_run
from imagerag.cli.runs import run_name
from imagerag.client.client import ImageRAG


@click.command("continue")
@click.argument("run")
@click.option("--prompt", metavar="TEXT", help="Draw this from now on.")
@click.option("--more-rounds", type=int, default=2, metavar="N", help="Redrawings at most, 0 to 20.")
@click.option(
    "--exclude-image",
    "exclude_images",
    multiple=True,
    metavar="N|ID",
    help="A reference that is never to be used again.",
)
@click.option(
    "--keep-image", "keep_images", multiple=True, metavar="N|ID", help="A reference that is to go with every drawing."
)
@click.option("--add-image", "add_images", multiple=True, metavar="ID", help="A library picture to draw with next.")
@limit_options
@output_options
@pass_globals
def continue_command(
    globals_: Globals,
    /,
    run: str,
    output: OutputOptions,
    **steering: Any,
) -> int:
    """Go on from where RUN ended: more rounds, other references, another prompt.

    RUN stays as it was: what goes on is a run of its own, which begins with the best picture so far and what was found
    out about it. References are named by number, as `imagerag show RUN` lists them, or by id (six characters are
    enough where the run has seen the picture). A run that was stopped half-way is for `imagerag resume`.
    """
    rag = ImageRAG(home=globals_.home)
    return follow_run(RunOutputs.wanted(rag, output), rag.runs.stream_continue(run_name(rag, run), **steering))
