"""Options of the commands that run a suite: backends, cases and budget."""

from typing import Final

import click

from imagerag.cli.options import Decorator, assume_option, preset_option, together

allow_same_encoder_option: Final = click.option(
    "--allow-same-encoder", is_flag=True, help="Allow metrics whose encoder also retrieves or judges; they are marked."
)

measured_options: Final = together(
    click.option("--metrics", metavar="M,…", help="Metrics; imagerag eval list shows them."),
    preset_option,
    click.option("--generator", metavar="SPEC", help="The generator  [env: IMAGERAG_GENERATOR]"),
    click.option("--judge", metavar="SPEC", help="The judge of the loop  [env: IMAGERAG_JUDGE]"),
)
"""Options for metrics and backends."""

budget_options: Final = together(
    click.option("--max-calls", type=click.IntRange(1), metavar="N", help="Begin no case after N calls."),
    click.option("--max-cost-usd", type=float, metavar="X", help="Begin no case after X US dollars."),
    assume_option,
    allow_same_encoder_option,
    click.option("--retry-failed", is_flag=True, help="Run the cases again that had an error."),
)
"""Options for the budget of all cases, and for retries."""


def case_options(seed: str) -> Decorator:
    """Options for the cases of a suite, and for their concurrency.

    Args:
        seed: help text on what `--seed` decides.
    """
    return together(
        click.option("--allow-outside", is_flag=True, help="Allow SUITE to name files anywhere on this machine."),
        click.option("--limit", type=click.IntRange(1), metavar="N", help="Run only the first N cases."),
        click.option("--tag", "tags", multiple=True, metavar="T", help="Run only cases that have all of these tags."),
        click.option("--seeds", type=click.IntRange(1), metavar="N", help="Run every case with N seeds."),
        click.option("--seed", type=int, default=0, metavar="N", help=seed),
        click.option("--template", default="a photo of a {name}", metavar="T", help="The prompt of class lists."),
        click.option(
            "--concurrency", type=click.IntRange(1, 256), default=4, show_default=True, help="Cases at a time."
        ),
    )
