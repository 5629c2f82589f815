"""Follow a run from the command line: progress, choices by hand, then files and a summary."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.cli.choose_prompt import asker, question_lines
from imagerag.cli.exit_codes import exit_code
from imagerag.cli.keep_web import keep_web
from imagerag.cli.live_text import step_line
from imagerag.cli.live_view import LiveView
from imagerag.cli.output_options import Mode, OutputOptions
from imagerag.cli.run_text import summary
from imagerag.cli.terminal.output import count, say, say_all, say_json, warning_lines
from imagerag.cli.terminal.progress_line import ProgressLine
from imagerag.client.client import ImageRAG
from imagerag.files.export import export, write_file
from imagerag.formatting.labels import STOPPED
from imagerag.graphs.runs.events import RunEvent


@dataclass
class RunOutputs:
    """Outputs of a run: stdout, progress, files and images.

    Attributes:
        mode: content of stdout.
        render: returns the progress lines of an event.
        progress: whether progress is shown.
        out: the image's file; by default one in the home's `images` folder, named by the run.
        sheet: the contact sheet's file.
        ask: lets the user choose among offered references; None without a user.
        live: shows images among the progress lines, if the terminal can show them.
        keep_web: whether the images from the web that helped go into the user's library.
    """

    rag: ImageRAG
    mode: Mode = "human"
    render: Callable[[RunEvent], Iterable[str]] = step_line
    progress: bool = True
    out: Path | None = None
    sheet: Path | None = None
    ask: Callable[[RunRecord], Sequence[str]] | None = None
    live: LiveView | None = None
    keep_web: bool = False
    run_id: str = field(default="", init=False)
    undelivered: bool = field(default=False, init=False)

    @classmethod
    def from_options(
        cls,
        rag: ImageRAG,
        output: OutputOptions,
        *,
        library: str | None = None,
        choosing: bool = True,
        keep_web: bool = False,
    ) -> "RunOutputs":
        """Make the outputs from the command line options.

        Args:
            library: library of the shown references, if not that of the settings.
            choosing: whether the user is asked to choose references.
            keep_web: whether the images from the web that helped go into the user's library.
        """
        return cls(
            rag,
            mode=output.mode,
            progress=not output.quiet,
            out=output.out,
            sheet=output.sheet,
            ask=asker(rag) if choosing and output.mode == "human" and _is_interactive() else None,
            live=LiveView.from_options(rag, output.live, library=library),
            keep_web=keep_web,
        )


def follow_run(delivery: RunOutputs, events: AsyncIterator[RunEvent], *, waiting: RunRecord | None = None) -> int:
    """Follow a run to its end, write its outputs, and return the exit code. Ctrl-C cancels the run.

    Args:
        waiting: a run that waits for a choice already; an interactive choice comes before all events.
    """
    asks = waiting is not None and waiting.status == "interrupted" and delivery.ask is not None
    try:
        if waiting is not None and asks:
            record, delivery.run_id = waiting, waiting.run_id
        else:
            record = asyncio.run(_follow(delivery, events))
        while record.status == "interrupted" and delivery.ask is not None:
            # Ask outside of the event loop: inside it Ctrl-C would not end the question.
            choice = delivery.ask(record)
            record = asyncio.run(_follow(delivery, delivery.rag.runs.stream_resume(record.run_id, choose=choice)))
    except (KeyboardInterrupt, click.Abort, asyncio.CancelledError):
        return _stopped(delivery)
    if delivery.mode == "json":
        say_json(record.as_json())
    elif delivery.mode == "human":
        say_all([*summary(record), *(question_lines(record.question) if record.question else [])])
    return exit_code(record) or int(delivery.undelivered)


async def _follow(delivery: RunOutputs, events: AsyncIterator[RunEvent]) -> RunRecord:
    record, ticker, moves = None, ProgressLine(delivery.rag.dependencies.blobs.path), False
    with contextlib.closing(ticker):
        async for event in events:
            delivery.run_id = event.run_id
            if moves and (delivery.mode == "events" or not _only_moves(event)):
                ticker.close()  # the progress line is overwritten: nothing else may be written while it is shown
            if event.warnings:
                say_all(warning_lines(event.warnings), err=True)
            if event.record:
                record = await write_outputs(delivery, event.record)
                event = replace(event, record=record)
            if delivery.mode == "events":
                _print_event(event)
            if delivery.progress:
                await _show_progress(delivery, ticker, event)
            moves = moves or event.kind == "progress"
    assert record is not None, "a run's last event carries its record"
    return record


def _only_moves(event: RunEvent) -> bool:
    """Whether an event changes nothing but the progress line."""
    return event.kind == "progress" and not (event.progress and event.progress.image)


async def _show_progress(delivery: RunOutputs, ticker: ProgressLine, event: RunEvent) -> None:
    if delivery.live is not None and await delivery.live.show(event):
        return
    if event.kind == "progress":
        ticker.show(event)
    else:
        say_all(delivery.render(event), err=True)
    if delivery.live is not None:
        await delivery.live.add(event)


def _print_event(event: RunEvent) -> None:
    """Print an event. When the pipe is closed, the run is cancelled cleanly at its next step."""
    try:
        say_json(event.as_json(), indent=None)
    except BrokenPipeError:
        task = asyncio.current_task()
        assert task is not None, "events are printed inside a task"
        task.cancel()


async def write_outputs(delivery: RunOutputs, record: RunRecord) -> RunRecord:
    """Write the image, its sidecar and the contact sheet, once the run has ended."""
    if record.outcome is None:
        if delivery.sheet is not None and record.question:
            await write_file(delivery.sheet, await delivery.rag.runs.contact_sheet(record))
        return record
    home = delivery.rag.dependencies.home
    out = delivery.out or home.images / record.run_id
    if out.is_dir():
        out = out / record.run_id
    try:
        record = await export(record, delivery.rag.dependencies.blobs, out)
        if delivery.sheet is not None:
            await write_file(delivery.sheet, await delivery.rag.runs.contact_sheet(record))
    except UsageError as error:
        # The work is done and paid for: print the result as usual, with the image's path in the home.
        delivery.undelivered = True
        say(f"imagerag: {error}", err=True)
        say(f"  the run itself is kept: imagerag show {record.run_id} --out FILE", err=True)
    if delivery.keep_web and not await keep_web(delivery.rag, record):
        delivery.undelivered = True
    return record


def _stopped(delivery: RunOutputs) -> int:
    """Print the status of a run that was stopped with Ctrl-C."""
    with contextlib.suppress(BrokenPipeError):
        if sys.stderr.isatty():
            say(err=True)  # the terminal has just shown ^C
        _print_status(delivery)
    return STOPPED


def _print_status(delivery: RunOutputs) -> None:
    if not delivery.run_id:
        say("imagerag: stopped before the run began", err=True)
        return
    try:
        record = asyncio.run(delivery.rag.runs.get(delivery.run_id))
    except ImageRAGError:
        say(f"imagerag: stopped; run {delivery.run_id} had not made its first step", err=True)
        return
    if delivery.mode == "json":
        say_json(record.as_json())
    if record.status == "interrupted":
        say(f"imagerag: run {record.run_id} is left waiting: imagerag resume {record.run_id} --select 1,2", err=True)
        return
    stands = f"{record.outcome or record.status}, with {count(len(record.attempts), 'image')}"
    say(f"imagerag: stopped; run {record.run_id} is {stands}: imagerag show {record.run_id}", err=True)


def _is_interactive() -> bool:
    """Whether the terminal is interactive."""
    return sys.stdin.isatty() and sys.stderr.isatty()
