"""`imagerag continue`."""

from typing import Any

import click

from imagerag.cli import Globals
from imagerag.cli.dry_run import dry_run_option, print_estimate
from imagerag.cli.keep_web import check_run_keeps_web, keep_web_option
from imagerag.cli.options import limit_options, pass_globals
from imagerag.cli.output_options import OutputOptions, output_options
from imagerag.cli.run_follower import RunOutputs, follow_run
from imagerag.cli.runs import run_name
from imagerag.client.client import ImageRAG


@click.command("continue")
@click.argument("run")
@click.option("--feedback", multiple=True, metavar="TEXT", help="What is to be different. It stays a requirement.")
@click.option("--prompt", metavar="TEXT", help="New prompt.")
@click.option("--seed", type=int, metavar="N", help="Draw anew with this seed.")
@click.option(
    "--more-rounds",
    type=int,
    default=2,
    metavar="N",
    help="Further rounds at most, 0 to 20.",
)
@click.option(
    "--exclude-image",
    "exclude_images",
    multiple=True,
    metavar="N|ID",
    help="Reference that is never used again.",
)
@click.option("--keep-image", "keep_images", multiple=True, metavar="N|ID", help="Reference that is sent every time.")
@click.option("--add-image", "add_images", multiple=True, metavar="ID", help="Image of the library to send next.")
@click.option("--library", metavar="NAME", help="Library of its references, when not as before.")
@limit_options
@dry_run_option
@keep_web_option
@output_options
@pass_globals
def continue_command(
    globals_: Globals,
    /,
    run: str,
    keep_web: bool,
    output: OutputOptions,
    dry_run: bool,
    **steering: Any,
) -> int:
    """Start a new run from the result of RUN: more rounds, feedback, other references, another prompt or seed.

    RUN stays as it was. The new run begins with its best image and its findings. Name references by their number in
    `imagerag show RUN`, or by id (six characters are enough where RUN has seen the image). Use `imagerag resume` for a
    run that was stopped.
    """
    rag = ImageRAG(home=globals_.home)
    name = run_name(rag, run)
    if keep_web:
        check_run_keeps_web(rag, name, steering["library"])
    if dry_run:
        return print_estimate(rag.runs.estimate_continue(name, **steering), output.mode == "json")
    delivery = RunOutputs.from_options(rag, output, keep_web=keep_web)
    return follow_run(delivery, rag.runs.stream_continue(name, **steering))
