"""The options that commands share which run a suite: what works, which cases, and how much they may come to."""

from typing import Final

import click

from imagerag.cli.options import Decorator, assume_option, preset_option, together

allow_same_encoder_option: Final = click.option(
    "--allow-same-encoder", is_flag=True, help="Measure by an encoder that also retrieves or judges, and mark it."
)

measured_options: Final = together(
    click.option("--metrics", metavar="M,…", help="What to measure; imagerag eval list says what there is."),
    preset_option,
    click.option("--generator", metavar="SPEC", help="Image generator  [env: IMAGERAG_GENERATOR]"),
    click.option("--judge", metavar="SPEC", help="What looks, inside of the loop  [env: IMAGERAG_JUDGE]"),
)
"""What to measure, and the backends that run."""

budget_options: Final = together(
    click.option("--max-calls", type=click.IntRange(1), metavar="N", help="No case is begun after so many calls."),
    click.option("--max-cost-usd", type=float, metavar="X", help="No case is begun after so many US dollars."),
    assume_option,
    allow_same_encoder_option,
    click.option("--retry-failed", is_flag=True, help="Do the cases again in which something broke."),
)
"""How much all cases together may come to, and what is done once more."""


def case_options(seed: str) -> Decorator:
    """Which cases of a suite are run, and how many at a time.

    Args:
        seed: what `--seed` decides, for its help.
    """
    return together(
        click.option("--allow-outside", is_flag=True, help="Let SUITE name any file on this machine."),
        click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N cases."),
        click.option("--tag", "tags", multiple=True, metavar="T", help="Only cases that have all of these tags."),
        click.option("--seeds", type=click.IntRange(1), metavar="N", help="N seeds for every case."),
        click.option("--seed", type=int, default=0, metavar="N", help=seed),
        click.option("--template", default="a photo of a {name}", metavar="T", help="The prompt of class lists."),
        click.option(
            "--concurrency", type=click.IntRange(1, 256), default=4, show_default=True, help="Cases at a time."
        ),
    )
