"""Table of a run's steps from the checkpoint history, also for a run that another process makes."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from imagerag.cli.terminal.output import accent, bold, columns, dim, rest_of_line, say_all, table
from imagerag.cli.terminal.progress_line import StatusLine
from imagerag.cli.terminal.text_width import width
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.numbers import dollars, seconds
from imagerag.formatting.text import clean
from imagerag.reports.step_text import missing_of, passed_of, score_in, step_text, try_text, varied_parameter

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG
    from imagerag.graphs.runs.history import Step

EVERY_S: Final = 0.5
"""Seconds between two reads of a run of another process."""

LABELS: Final = ("", "node", "try", "varied", "score", "found", "time", "cost", "what it did")

ENOUGH: Final = 28
"""Columns that what a step did should have."""


def step_lines(steps: "Sequence[Step]") -> list[str]:
    """One line per step: action, number of the try and varied parameter, score, time and cost.

    If little width is left for the action, the costs (if all are 0) and then the times are left out: the summary has
    the sum of both.
    """
    rows = [[*LABELS], *(_row(step) for step in steps)]
    free = all(step.cost_usd == 0 for step in steps if step.calls)
    for name in ("cost", "time"):
        other_columns = sum(max(width(row[at]) for row in rows) for at in range(len(LABELS) - 1))
        if columns() - other_columns - 2 * len(LABELS) < ENOUGH and (free or name == "time"):
            at = LABELS.index(name)
            rows = [[*row[:at], "", *row[at + 1 :]] for row in rows]
    head, *lines = table(rows, right={0, 2, 6, 7}, cut=len(LABELS) - 1)
    return [dim(head), *lines]


def _row(step: "Step") -> list[str]:
    mark = {"failed": bold("✗"), "pending": bold("…"), "waiting": bold("?")}.get(step.status, "")
    tried = try_text(step)
    node = accent(step.node) if step.node in ("generate", "regenerate") else step.node
    missing = missing_of(step)
    return [
        dim(str(step.index)),
        f"{mark} {node}" if mark else node,
        str(tried) if tried > 1 else "",
        varied_parameter(step.calls),
        score_in(step),
        passed_of(step),
        seconds(step.elapsed_s) if step.elapsed_s else "",
        dollars(step.cost_usd) if step.calls else "",
        clean(f"missing: {missing}" if missing else as_commands(step_text(step))),
    ]


def raw_lines(steps: "Sequence[Step]") -> list[str]:
    """The raw responses of the models, call by call."""
    lines: list[str] = []
    for step in steps:
        for call in step.calls:
            about = [f"step {step.index}", call.role, call.backend, varied_parameter([call]), seconds(call.elapsed_s)]
            lines += [bold(" · ".join(filter(None, map(clean, about))))]
            lines += [f"  {clean(line)}" for line in call.raw_response.splitlines()] or [dim("  no words")]
            lines += [f"  error: {clean(call.error)}"] if call.error else []
    return lines or ["no model was asked"]


async def watch(rag: "ImageRAG", run_id: str) -> None:
    """Print the steps of a run as another process makes them, until it ends, waits for a human, or its process is gone.

    The checkpoints are only read.
    """
    from imagerag.graphs.runs.history import steps

    printed, stood = 0, time.monotonic()
    with contextlib.closing(StatusLine()) as line:
        while True:
            # Before the steps are read: a run that ends meanwhile has made more of them, and is no dead one.
            running = at_work(rag, run_id) and (await rag.runs.get(run_id)).outcome is None
            history = await steps(rag.dependencies, run_id)
            ended = [step for step in history if step.status in ("done", "failed")]
            if ended[printed:]:
                line.close()
                say_all(step_lines(ended)[printed + 1 :])
                printed, stood = len(ended), time.monotonic()
            waiting = [step for step in history if step.status == "waiting"]
            if waiting or not running:
                return
            at = ", ".join(dict.fromkeys(step.node for step in history if step.status == "pending"))
            line.show(rest_of_line(f"at {at}, for {seconds(time.monotonic() - stood)}", 4))
            await asyncio.sleep(EVERY_S)


def at_work(rag: "ImageRAG", run_id: str) -> bool:
    """Whether a process makes the run right now."""
    from imagerag.store.file_lock import is_locked

    return is_locked(rag.dependencies.home.lock(run_id))


def standing_lines(steps: "Sequence[Step]", *, running: bool) -> list[str]:
    """The status of a run that has not ended: stopped, or running right now."""
    at = [step for step in steps if step.status == "pending"]
    if not at:
        return []
    since = next((step.at for step in reversed(steps) if step.at), None)
    nodes = ", ".join(dict.fromkeys(step.node for step in at))
    how = "is being made:" if running else "was stopped:"
    return [
        f"{how} stands at step {at[0].index} ({nodes})"
        + (f", since {since[:19].replace('T', ' ')} UTC" if since else ""),
        "",
    ]
