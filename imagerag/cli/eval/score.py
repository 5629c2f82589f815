"""`imagerag eval score`: further metrics of an evaluation."""

import asyncio
from pathlib import Path
from typing import Any

import click

from imagerag.cli import Globals
from imagerag.cli.eval.options import allow_same_encoder_option
from imagerag.cli.options import assume_option, json_option, pass_globals, quiet_option
from imagerag.cli.terminal.output import count, dim, say, say_note
from imagerag.client.client import ImageRAG


@click.command("score")
@click.argument("folder", metavar="DIR")
@click.option("--metrics", required=True, metavar="M,…", help="Metrics; imagerag eval list shows them.")
@click.option("--max-calls", type=click.IntRange(1), metavar="N", help="Begin no case after N calls.")
@click.option("--max-cost-usd", type=float, metavar="X", help="Begin no case after X US dollars.")
@assume_option
@allow_same_encoder_option
@click.option("--out", metavar="DIR", help="Directory of the new results  [default: DIR/scores]")
@json_option
@quiet_option
@pass_globals
def score_command(
    globals_: Globals, /, folder: str, metrics: str, out: str | None, as_json: bool, quiet: bool, **limits: Any
) -> int:
    """Compute other metrics of a finished evaluation, without generating or judging again.

    The results in DIR are not changed.
    """
    from imagerag.cli.eval.run import print_summary
    from imagerag.evals.harness.evaluation import EvalOptions, score_evaluation

    source = Path(folder).expanduser()
    target = Path(out).expanduser() if out else source / "scores"

    def progress(finished: int, total: int, what: str) -> None:
        if not quiet:
            say(f"  {dim(f'{finished:,} of {total:,}')}  {what}", err=True)

    specs = [spec.strip() for spec in metrics.split(",") if spec.strip()]
    options: Any = EvalOptions(users=ImageRAG(home=globals_.home).dependencies.home, progress=progress, **limits)
    number = asyncio.run(score_evaluation(source, target, specs, options))
    print_summary(target, as_json)
    if not as_json:
        say_note(f"{count(number, 'result')} measured anew; in {target}")
    return 0
