"""`imagerag diff`."""

import asyncio
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path

import click

from imagerag.agent.errors import UsageError
from imagerag.cli import Globals
from imagerag.cli.options import json_option, pass_globals
from imagerag.cli.output_files import PAGES, allowed, fresh, overwrite_option
from imagerag.cli.runs import run_name
from imagerag.cli.terminal.output import accent, bold, columns, dim, hanging, say, say_all, say_json, short, table
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import attempt, dollars, model_calls, percent, seconds
from imagerag.reports.run_diff.models import Difference, Divergence, RunDiff, RunSummary
from imagerag.reports.run_diff.text import (
    pair,
    place,
    related,
    standing_text,
    steps_of,
    unmatched_text,
    value_text,
    verdict_of,
)

DIFFERENT = 1
"""Exit code of `--exit-code` for runs that differ, as in `diff` and `git diff`."""


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@overwrite_option
@click.option("--out", metavar="FILE", help="Also write the comparison as an HTML page.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when the runs differ, for scripts.")
@json_option
@pass_globals
def diff_command(globals_: Globals, /, a: str, b: str, out: str | None, exit_code: bool, as_json: bool) -> int:
    """Compare runs A and B, the first divergence first.

    A and B are ids, starts of ids, or "last". Costs, dates and ids are not compared. The exit code is 0 for any result;
    with --exit-code it is 1 when they differ.
    """
    rag = ImageRAG(home=globals_.home)
    file = _page(out)
    run_diff = asyncio.run(_compared(rag, run_name(rag, a), run_name(rag, b), file))
    if as_json:
        say_json(run_diff.as_json())
    else:
        say_all(_lines(run_diff))
    if file is not None:
        say(f"page: {file}", err=as_json)
    return DIFFERENT if exit_code and not run_diff.same else 0


async def _compared(rag: ImageRAG, a: str, b: str, file: Path | None) -> RunDiff:
    from imagerag.reports.html.diff_writer import compare, write_page

    records = await rag.runs.get(a), await rag.runs.get(b)
    run_diff = await compare(rag.dependencies, *records)
    if file is not None:
        await write_page(rag.dependencies, run_diff, *records, file)
    return run_diff


def _page(out: str | None) -> Path | None:
    if out is None:
        return None
    file = Path(out).expanduser()
    if file.suffix.lower() not in PAGES:
        raise UsageError(f"--out {out}: the page's file ends in .html")
    return fresh(file, overwrite=allowed(click.get_current_context()))


def _lines(run_diff: RunDiff) -> list[str]:
    """The comparison for a terminal."""
    lines = [*_sides(run_diff.a, run_diff.b), dim(related(run_diff)), "", bold(verdict_of(run_diff))]
    if run_diff.setup:
        lines += ["", accent("inputs and settings"), *_differences(run_diff.setup)]
    for number, divergence in enumerate(run_diff.divergences):
        title = "first divergence" if number == 0 else "then"
        lines += ["", f"{accent(title)}: {bold(steps_of(divergence))}, {place(divergence)}", *_divergence(divergence)]
    if run_diff.result:
        lines += ["", accent("results"), *_differences(run_diff.result)]
    if max(len(run_diff.a.attempts), len(run_diff.b.attempts)):
        lines += ["", accent("images"), *_images(run_diff)]
    return lines


def _sides(a: RunSummary, b: RunSummary) -> list[str]:
    rows = [
        [
            bold(name),
            side.run_id,
            standing_text(side),
            "" if side.score is None else percent(side.score),
            model_calls(side.calls, side.cached_calls),
            dollars(side.cost_usd),
            seconds(side.elapsed_s),
        ]
        for name, side in (("A", a), ("B", b))
    ]
    lines = table(rows, right={3, 4, 5, 6}, indent=0)
    prompts = [a.prompt] if a.prompt == b.prompt else [a.prompt, b.prompt]
    wrapped = (hanging(prompt, columns(), indent=8, head=f"{dim('prompt')}  ") for prompt in prompts)
    return [*chain.from_iterable(wrapped), *lines]


def _differences(listed: Sequence[Difference]) -> list[str]:
    """One line per difference if both sides fit beside each other, else one below the other."""
    rows = [(short(difference.what, 24), *pair(difference)) for difference in listed]
    wide = max((len(name) for name, *_ in rows), default=0)
    room = (columns() - wide - 9) // 2
    lines: list[str] = []
    for name, a, b in rows:
        head = f"  {dim(name.ljust(wide))}  "
        if len(a) <= room and len(b) <= room:
            lines.append(f"{head}{short(a, room)} {dim('→')} {short(b, room)}")
        else:
            full = columns() - wide - 8
            below = " " * (wide + 4)
            for before, side, text in ((head, "A", a), (below, "B", b)):
                shortened = short(text, 2 * full)
                lines += hanging(shortened, columns() - 2, indent=wide + 6, head=f"{before}{dim(side)} ")
    return lines


def _divergence(divergence: Divergence) -> list[str]:
    if divergence.a is None or divergence.b is None:
        return hanging(short(unmatched_text(divergence), 2 * columns()), columns(), indent=4, head="  ")
    lines = []
    for word, listed in (("inputs", divergence.inputs), ("outputs", divergence.outputs)):
        if listed:
            lines += [f"  {dim(word)}", *(f"  {line}" for line in _differences(listed))]
    if divergence.same_inputs:
        lines = [dim("  the same inputs"), *lines]
    return lines


def _images(run_diff: RunDiff) -> list[str]:
    rows = []
    for index, (a, b) in enumerate(zip_longest(run_diff.a.attempts, run_diff.b.attempts)):
        message = "the same" if a == b else "another" if a and b else f"only {'A' if a else 'B'} has it"
        rows.append(
            [attempt(index), *(_name(sha, side) for sha, side in ((a, run_diff.a), (b, run_diff.b))), dim(message)]
        )
    return table(rows)


def _name(sha256: str | None, side: RunSummary) -> str:
    if sha256 is None:
        return "-"
    return f"{value_text(sha256)} {accent('result')}" if sha256 == side.image else value_text(sha256)
