"""`imagerag batch`."""

import asyncio
import shlex
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imagerag.agent.errors import BudgetExceededError, ImageRAGError
from imagerag.cli import Globals
from imagerag.cli.dry_run import print_batch_estimate
from imagerag.cli.keep_web import check_batch_keeps_web, keep_web_option
from imagerag.cli.keep_web import keep_web as keep_web_of
from imagerag.cli.live_text import run_header
from imagerag.cli.options import (
    assume_option,
    deadline_option,
    generator_option,
    json_option,
    judge_option,
    library_option,
    pass_globals,
    preset_option,
    quiet_option,
    run_options,
)
from imagerag.cli.terminal.output import (
    accent,
    bold,
    columns,
    count,
    dim,
    message_lines,
    say,
    say_all,
    say_json,
    short,
    table,
    warning_lines,
)
from imagerag.client.client import ImageRAG
from imagerag.formatting import labels
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.labels import STOPPED
from imagerag.formatting.numbers import dollars
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.batch.results import BatchResult
    from imagerag.batch.runner import BatchRunner
    from imagerag.schemas.commands import BatchSummary

SHOWN: Final = 5
"""Lines that failed or cannot be run, which the summary names."""

TECHNICAL, BUDGET = labels.OUTCOMES["failed"].exit_code, labels.OUTCOMES["budget_exhausted"].exit_code


@click.command("batch")
@click.argument("prompts", metavar="FILE")
@click.option("--out", required=True, metavar="DIR", help="Folder for results.jsonl and the images.")
@click.option("--concurrency", type=int, default=4, metavar="N", help="Runs at once, 1 to 64.")
@click.option("--resume", is_flag=True, help="Continue the batch in DIR, with the options it was started with.")
@click.option("--retry-failed", is_flag=True, help="With --resume: run failed lines again.")
@click.option("--allow-outside", is_flag=True, help="Let FILE name any file on this machine.")
@click.option("--max-cost-usd", type=float, metavar="X", help="US dollars at most for the whole batch.")
@click.option("--max-run-cost-usd", type=float, metavar="X", help="US dollars at most for each run.")
@assume_option
@click.option("--max-calls", type=int, metavar="N", help="Model calls at most for each run.")
@deadline_option(" for each run")
@library_option
@preset_option
@generator_option
@judge_option
@run_options()
@keep_web_option
@click.option("--dry-run", is_flag=True, help="Check the lines, print what they can cost, and do nothing.")
@json_option
@quiet_option
@pass_globals
def batch_command(
    globals_: Globals,
    /,
    prompts: str,
    out: str,
    concurrency: int,
    resume: bool,
    retry_failed: bool,
    allow_outside: bool,
    max_cost_usd: float | None,
    preset: str | None,
    generator: str | None,
    judge: str | None,
    library: str | None,
    keep_web: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Run every prompt of FILE, several at a time.

    FILE is JSON lines (a string, or an object with prompt and other options of generate: id, seed, size, library,
    initial_image, subjects, …), CSV with such columns, or text with a prompt per line; eval run reads the same files.
    filter, filter_tags and licences filter references; tags label prompts. Paths in FILE are relative to it. DIR gets
    results.jsonl with a line for every prompt, and each image with its sidecar.

    A batch that was stopped or killed continues with --resume; nothing is done or paid twice.

    Exit codes: 0 every run ended, aligned or not; 1 some failed or could not be run, or the disk is full; 5 the budget
    of the batch is spent.
    """
    from imagerag.batch.output_dir import started_with
    from imagerag.batch.row_reader import notes, read_rows
    from imagerag.batch.runner import BatchRunner

    saved = started_with(out) if resume else {}
    rag = ImageRAG(
        preset=preset,
        generator=generator or (None if preset else saved.get("generator")),
        judge=judge or (None if preset else saved.get("judge")),
        library=library or saved.get("library"),
        home=globals_.home,
    )
    settings = {name: value for name, value in options.items() if value not in (None, (), {})}
    batch = BatchRunner(
        rag.settings,
        rag.dependencies,
        prompts,
        Path(out),
        options=settings,
        resume=resume,
        retry_failed=retry_failed,
        concurrency=concurrency,
        max_cost_usd=max_cost_usd,
        allow_outside=allow_outside,
        warn=lambda warnings: say_all(warning_lines(warnings), err=True),
    )
    say_all(warning_lines(notes(prompts)), err=True)
    if keep_web:
        check_batch_keeps_web(read_rows(prompts, allow_outside=allow_outside), rag.settings.library)
    if dry_run:
        return print_batch_estimate(batch, as_json)
    if not quiet:
        say(run_header(rag.settings), err=True)
    began, code, bad = time.monotonic(), 0, _BadLines()
    try:
        asyncio.run(_follow(batch, quiet, bad))
    except ImageRAGError as error:
        if not batch.stop_reason:  # the run has not begun
            raise
        say(f"imagerag: {clean(as_commands(str(error)))}", err=True)
        code = BUDGET if isinstance(error, BudgetExceededError) else TECHNICAL
    except (KeyboardInterrupt, asyncio.CancelledError):
        _print_resume_hint(prompts, out)
        code = STOPPED
    if keep_web and code != STOPPED and not asyncio.run(_keep_web(rag, batch)):
        code = code or TECHNICAL
    failed = batch.counts["failed"] + batch.counts["invalid"]
    code = code or (TECHNICAL if failed else 0)
    summary = _summary(batch, time.monotonic() - began, code)
    say_json(summary.as_json()) if as_json else say_all(_lines(batch, prompts, out, bad))
    return code


@dataclass
class _BadLines:
    """The input lines that failed or are invalid: their number, and the first of them. A batch may have a million."""

    number: int = 0
    first: "list[BatchResult]" = field(default_factory=list)

    def add(self, result: "BatchResult") -> None:
        """Count one more."""
        self.number += 1
        self.first = sorted([*self.first, result], key=lambda one: one.index)[:SHOWN]


async def _follow(batch: "BatchRunner", quiet: bool, bad: _BadLines) -> None:
    """Run a batch, and collect the input lines that failed or are invalid."""
    finished = 0
    async with aclosing(batch.run()) as results:
        async for result in results:
            finished += 1
            if result.status != "done":
                bad.add(result)
            if not quiet:
                say(_progress(batch, batch.previously_done + finished, result), err=True)


async def _keep_web(rag: ImageRAG, batch: "BatchRunner") -> bool:
    """Take what the images from the web that lines were helped by into the library; whether nothing went wrong.

    It is done after all lines, so that no line depends on the ones before it, and for those of earlier starts too.
    """
    kept = True
    for result in batch.folder.read():
        if result.run_id and result.references:
            kept = await keep_web_of(rag, await rag.runs.get(result.run_id)) and kept
    return kept


def _progress(batch: "BatchRunner", finished: int, result: "BatchResult") -> str:
    """`[12/100] cat  ✓ aligned`."""
    place = dim(f"[{finished:,}/{batch.total:,}]" if batch.total else f"[{finished:,}]")
    standing = _standing(result)
    room = max(20, columns() - 40)
    rest = "" if result.outcome == "aligned" else dim(short(as_commands(result.reason), room))
    return f"  {place} {result.id}  {standing}  {rest}".rstrip()


def _standing(result: "BatchResult") -> str:
    if result.outcome is None:
        return bold(f"✗ {labels.BATCH_LINES[result.status].name}")
    word = labels.label(labels.OUTCOMES, result.outcome).name
    return accent(f"✓ {word}") if result.outcome == "aligned" else f"✗ {word}"


def _summary(batch: "BatchRunner", elapsed_s: float, code: int) -> "BatchSummary":
    from imagerag.schemas.commands import BatchSummary

    return BatchSummary(
        results=str(batch.folder.results),
        total=batch.total,
        remaining=(batch.total or 0) - sum(batch.counts.values()),
        previously_done=batch.previously_done,
        status={status: batch.counts[status] for status in ("done", "failed", "invalid")},
        outcomes=dict(batch.outcomes),
        cost_usd=None if batch.has_unknown_cost else batch.spent_usd,
        elapsed_s=elapsed_s,
        stop_reason=batch.stop_reason or ("stopped with Ctrl-C" if code == STOPPED else ""),
    )


def _lines(batch: "BatchRunner", prompts: str, out: str, bad: _BadLines) -> list[str]:
    """The summary as text."""
    finished = sum(batch.counts.values())
    before = f", {batch.previously_done:,} of them before" if batch.previously_done else ""
    rows = [[bold(f"{number:,}"), _word(outcome)] for outcome, number in batch.outcomes.most_common()]
    cost = dollars(None if batch.has_unknown_cost else batch.spent_usd)
    lines = [f"{count(finished, 'prompt')} of {batch.total or finished:,} run{before}", *table(rows, right={0})]
    for one in bad.first:
        lines += message_lines(one.reason, columns(), indent=6, head=f"    {dim(short(one.id, 30))}  ")
    if bad.number > SHOWN:
        lines.append(f"    … and {bad.number - SHOWN:,} more, see {batch.folder.results.name}")
    lines += [f"  {dim('cost')}     {cost}", f"  {dim('results')}  {clean(str(batch.folder.results))}"]
    if batch.counts["failed"]:
        again = shlex.join(["imagerag", "batch", prompts, "--out", out, "--resume", "--retry-failed"])
        lines.append(f"  {dim('next')}     {accent(again)}")
    return lines


def _word(outcome: str) -> str:
    label = labels.OUTCOMES.get(outcome)
    return label.name if label else labels.BATCH_LINES["invalid"].meaning


def _print_resume_hint(prompts: str, out: str) -> None:
    going_on = shlex.join(["imagerag", "batch", prompts, "--out", out, "--resume"])
    say(f"imagerag: stopped; nothing is lost. To go on: {going_on}", err=True)
