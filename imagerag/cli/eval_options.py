"""The options that commands share which run a suite: what works, which cases, and how much they may come to."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from imagerag.cli.options import assume_option, preset_option

Function = TypeVar("Function", bound=Callable[..., Any])

allow_same_encoder_option: Final = click.option(
    "--allow-same-encoder", is_flag=True, help="Measure by an encoder that also retrieves or judges, and mark it."
)


def measured_options(function: Function) -> Function:
    """What to measure, and the backends that run."""
    for option in (
        click.option("--judge", metavar="SPEC", help="What looks, inside of the loop  [env: IMAGERAG_JUDGE]"),
        click.option("--generator", metavar="SPEC", help="What draws  [env: IMAGERAG_GENERATOR]"),
        preset_option,
        click.option("--metrics", metavar="M,…", help="What to measure; imagerag eval list says what there is."),
    ):
        function = option(function)
    return function


def case_options(seed: str) -> Callable[[Function], Function]:
    """Which cases of a suite are run, and how many at a time.

    Args:
        seed: what `--seed` decides, for its help.
    """

    def decorate(function: Function) -> Function:
        for option in (
            click.option(
                "--concurrency", type=click.IntRange(1, 256), default=4, show_default=True, help="Cases at a time."
            ),
            click.option("--template", default="a photo of a {name}", metavar="T", help="The prompt of class lists."),
            click.option("--seed", type=int, default=0, metavar="N", help=seed),
            click.option("--seeds", type=click.IntRange(1), metavar="N", help="N seeds for every case."),
            click.option("--tag", "tags", multiple=True, metavar="T", help="Only cases that have all of these tags."),
            click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N cases."),
            click.option("--allow-outside", is_flag=True, help="SUITE may name files anywhere on this machine."),
        ):
            function = option(function)
        return function

    return decorate


def budget_options(function: Function) -> Function:
    """How much all cases together may come to, and what is done once more."""
    for option in (
        click.option("--retry-failed", is_flag=True, help="Do the cases again in which something broke."),
        allow_same_encoder_option,
        assume_option,
        click.option("--max-cost-usd", type=float, metavar="X", help="No case is begun after so many US dollars."),
        click.option("--max-calls", type=click.IntRange(1), metavar="N", help="No case is begun after so many calls."),
    ):
        function = option(function)
    return function
