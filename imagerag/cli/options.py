"""Flags that several commands share, and what may be written after them."""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeVar

import click

from imagerag.cli import Globals

Function = TypeVar("Function", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, for programs.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
library_option = click.option(
    "--library", metavar="NAME", help="The library references come from  [env: IMAGERAG_LIBRARY]"
)
out_option = click.option("--out", metavar="FILE", help="Where to write the picture and its sidecar FILE.json.")
sheet_option = click.option("--sheet", metavar="FILE", help="Also write a contact sheet (PNG) of the whole run.")
events_option = click.option("--events", is_flag=True, help="Print each step on stdout as a line of JSON.")
live_option = click.option(
    "--live",
    type=click.Choice(["auto", "off", "kitty", "iterm", "blocks"]),
    default="auto",
    help="Show the pictures in the terminal: as it can (auto), not (off), or in this way.",
)
pass_globals = click.make_pass_decorator(Globals, ensure=True)


def threshold_of(ctx: click.Context, param: click.Parameter, value: str) -> float | str:
    """`auto`, `off`, or a cosine in [-1, 1]."""
    if value in ("auto", "off"):
        return value
    try:
        cosine = float(value)
    except ValueError:
        cosine = math.nan
    if not -1 <= cosine <= 1:
        raise click.BadParameter(f"{value!r} is no threshold: auto, off, or a cosine from -1 to 1", ctx, param)
    return cosine


def moment_of(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A day, a time, or how long ago (`90min`, `12h`, `3d`); what has no zone is local."""
    if value is None:
        return None
    ago = re.fullmatch(r"(\d{1,6})\s*(min|h|d|w)", value.strip())
    try:
        if ago:
            return datetime.now(UTC) - timedelta(minutes=int(ago[1]) * _MINUTES[ago[2]])
        return datetime.fromisoformat(value.strip()).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{value!r} is no time: 2026-11-30, 2026-11-30T18:00, 12h, 3d", ctx, param) from None


_MINUTES: Final = {"min": 1, "h": 60, "d": 60 * 24, "w": 60 * 24 * 7}


def pairs_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE`, several times; everything after the first `=` is the value."""
    pairs = {}
    for value in values:
        key, equals, wanted = value.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", ctx, param)
        pairs[key.strip()] = wanted
    return pairs


def threshold_option(function: Function) -> Function:
    """`--threshold`, the library's own by default."""
    return click.option(
        "--threshold",
        callback=threshold_of,
        default="auto",
        metavar="auto|off|COSINE",
        help="Cosine a reference must reach; auto is what the library was calibrated to.",
    )(function)


def filter_options(function: Function) -> Function:
    """`--where`, `--tag`, `--licence`: what may come out of the library."""
    for option in (
        click.option("--licence", "licences", multiple=True, metavar="L", help="Only pictures under one of these."),
        click.option("--tag", "tags", multiple=True, metavar="T", help="Only pictures that have all of these tags."),
        click.option(
            "--where",
            multiple=True,
            callback=pairs_of,
            metavar="KEY=VALUE",
            help="Only pictures whose metadata says so.",
        ),
    ):
        function = option(function)
    return function


Mode = Literal["human", "json", "events"]


def mode_of(as_json: bool, events: bool) -> Mode:
    """What stdout is for.

    Raises:
        UsageError: it cannot be for both.
    """
    if as_json and events:
        raise click.UsageError("--json prints one document, --events a line per step: take one of them")
    return "json" if as_json else "events" if events else "human"
