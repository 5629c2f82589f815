"""Options that several commands share, and parsers of their values."""

import functools
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from imagerag.cli import Globals
from imagerag.cli.output_files import image_file_of, overwrite_option, sheet_of

if TYPE_CHECKING:
    from imagerag.agent.types.filters import FilterInput

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

image_option = click.option(
    "--out", callback=image_file_of, metavar="FILE", help="Write the image here, and its sidecar to FILE.json."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, for programs.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
library_option = click.option(
    "--library", metavar="NAME[,NAME]", help="The library references come from  [env: IMAGERAG_LIBRARY]"
)
_hybrid_option = functools.partial(
    click.option,
    "--hybrid",
    is_flag=True,
    help="Also rank by captions, and by the words of captions, titles, tags and OCR.",
)
hybrid_option = _hybrid_option()
generator_option = click.option(
    "--generator", metavar="SPEC", help="Image generator, provider:model[@url]  [env: IMAGERAG_GENERATOR]"
)
judge_option = click.option(
    "--judge", metavar="SPEC", help="Judge, provider:model[@url], or auto: the first there  [env: IMAGERAG_JUDGE]"
)
preset_option = click.option(
    "--preset", metavar="P", help="Bundle of backends: sketch, openai, local  [env: IMAGERAG_PRESET]"
)
reranker_option = click.option(
    "--reranker",
    metavar="SPEC",
    help="Reranker of the candidates: vlm (the judge), bm25, http:MODEL@URL, transformers:MODEL  "
    "[env: IMAGERAG_RERANKER]",
)
assume_option = click.option(
    "--assume-cost-usd-per-call",
    type=click.FloatRange(0),
    metavar="X",
    help="Cost to assume for a call without a known price.",
)


def sheet_option(function: Function) -> Function:
    """`--sheet` with its `--overwrite`."""
    sheet = click.option(
        "--sheet", callback=sheet_of, metavar="FILE", help="Also write a contact sheet (PNG) of the whole run."
    )
    return overwrite_option(sheet(function))


pass_globals = click.make_pass_decorator(Globals, ensure=True)


def threshold_of(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
    """Parse a threshold: `auto`, `off`, or a cosine in [-1, 1]; None where nothing is given."""
    if value in ("auto", "off", None):
        return value
    try:
        cosine = float(value)
    except ValueError:
        cosine = math.nan
    if not -1 <= cosine <= 1:
        raise click.BadParameter(f"{value!r} is no threshold: auto, off, or a cosine from -1 to 1", ctx, param)
    return cosine


def moment_of(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Parse a date, a time, or an age (`90min`, `12h`, `3d`); a time without a zone is local."""
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


def filter_of(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> "FilterInput | None":
    """Parse filters; several are combined with AND, and an empty one overrides the configured filter.

    Raises:
        FilterError: a filter is invalid.
    """
    from imagerag.agent.types.filters import parse_filter

    return parse_filter([value for value in values if value.strip()]) or ("" if values else None)


def together(*options: Decorator) -> Decorator:
    """Combine options into one decorator, in the order of the help."""

    def decorate(function: Any) -> Any:
        return functools.reduce(lambda under, option: option(under), reversed(options), function)

    return decorate


threshold_option = click.option(
    "--threshold",
    callback=threshold_of,
    default="auto",
    metavar="auto|off|COSINE",
    help="Cosine a reference must reach; auto: the library's calibrated one.",
)
other_threshold_option = click.option(
    "--threshold",
    callback=threshold_of,
    metavar="auto|off|COSINE",
    help="Another cosine that a reference must reach.",
)
filter_option = click.option(
    "--filter",
    multiple=True,
    callback=filter_of,
    metavar="FILTER",
    help="Only such images: KEY=VALUE, 'taken>=2024-05 and not tag=draft'; see the page Filters.",
)
filter_options = together(
    filter_option,
    click.option("--tag", "tags", multiple=True, metavar="T", help="Only images that have all of these tags."),
    click.option("--licence", "licences", multiple=True, metavar="L", help="Only images under one of these licences."),
)


def cost_options(of: str = "", *, checked: bool = False) -> Decorator:
    """`--max-calls`, `--max-cost-usd` and `--assume-cost-usd-per-call`.

    Args:
        of: the limited unit for the help text; by default one run.
        checked: validate ranges here, if no run does so at once.
    """
    return together(
        click.option(
            "--max-calls", type=click.IntRange(1) if checked else int, metavar="N", help=f"Model calls at most{of}."
        ),
        click.option(
            "--max-cost-usd",
            type=click.FloatRange(0) if checked else float,
            metavar="X",
            help=f"US dollars at most{of}; needs prices that are known.",
        ),
        assume_option,
    )


def deadline_option(of: str = "", *, checked: bool = False) -> Decorator:
    """`--deadline-s`; see `cost_options`."""
    seconds = click.FloatRange(0, min_open=True) if checked else float
    return click.option("--deadline-s", type=seconds, metavar="S", help=f"Seconds at most{of}.")


limit_options = together(
    cost_options(),
    deadline_option(),
    click.option(
        "--patience-s",
        type=click.FloatRange(0),
        metavar="S",
        help="Longest wait for a service that says when to retry, in seconds; 120 by default.",
    ),
)
"""Limits of one run: calls, cost and time."""


server_run_options = together(
    library_option,
    preset_option,
    generator_option,
    judge_option,
    click.option("--max-rounds", type=click.IntRange(0, 20), metavar="N", help="Rounds at most, of each run."),
    cost_options(", of each run", checked=True),
    deadline_option(", of each run", checked=True),
)
"""Options of the runs of a server: backends, library, and the limits of each."""


def loop_options(*, defaults: bool = False) -> Decorator:
    """Options of the loop: judging and generating again.

    Args:
        defaults: whether missing options get default values; not if a line of a file or an earlier run may set them.
    """
    return together(
        click.option(
            "--judge-mode",
            type=click.Choice(["fused", "stepwise"]),
            default="fused" if defaults else None,
            help="Judge in one request, or in several steps.",
        ),
        click.option(
            "--max-rounds",
            type=int,
            default=3 if defaults else None,
            metavar="N",
            help="Rounds at most, 0 to 20.",
        ),
        click.option("--max-references", type=int, metavar="N", help="Images sent with a prompt at most, 1 to 16."),
        click.option(
            "--references-per-concept",
            type=int,
            metavar="N",
            help="References for each missing concept, 1 to 16 (usually 1).",
        ),
    )


def run_options(*, defaults: bool = False) -> Decorator:
    """Options of new runs: those of `loop_options`, and start, search and generation.

    Args:
        defaults: whether missing options get default values.
    """
    return together(
        click.option(
            "--start",
            type=click.Choice(["generate", "retrieve"]),
            default="generate" if defaults else None,
            help="Generate first, or retrieve first.",
        ),
        loop_options(defaults=defaults),
        threshold_option if defaults else other_threshold_option,
        click.option(
            "--candidates",
            type=int,
            default=8 if defaults else None,
            metavar="K",
            help="Candidates per search, 1 to 100.",
        ),
        _hybrid_option(default=False if defaults else None),
        click.option(
            "--reference-crop",
            type=click.Choice(["auto", "region", "whole"]),
            default="auto" if defaults else None,
            help="Send the region that was found in an image, or the whole image.",
        ),
        filter_options,
        click.option(
            "--seed",
            type=int,
            default=0 if defaults else None,
            metavar="N",
            help="Seed, where the generator supports one.",
        ),
        click.option(
            "--size",
            metavar="SIZE",
            help="WxH in pixels, an aspect ratio (16:9), a resolution (512, 1K, 2K, 4K), or both (16:9@2K).",
        ),
        click.option(
            "--cache",
            type=click.Choice(["record", "reuse", "replay"]),
            default="record" if defaults else None,
            help="Also use responses of other runs (reuse), or make no call (replay).",
        ),
    )
