"""`--dry-run` of commands that make runs: upper bounds on their calls and cost."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import click

from imagerag.cli.live_text import run_header
from imagerag.cli.terminal.output import (
    accent,
    bold,
    columns,
    count,
    dim,
    message_lines,
    say_all,
    say_json,
    short,
    table,
    warning_lines,
)
from imagerag.client.synchronous import run_sync
from imagerag.formatting.numbers import dollars

if TYPE_CHECKING:
    from imagerag.batch.batch_estimate import BatchEstimate
    from imagerag.batch.runner import BatchRunner
    from imagerag.graphs.cost_estimate import Estimate

NAMED: Final = 10
"""Lines that cannot be run, which are named."""


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the highest number of calls and cost, and do nothing."
)


def print_estimate(estimating: Awaitable["Estimate"], as_json: bool, *, header: str = "") -> int:
    """Print the estimate of a run; returns exit code 0.

    Args:
        header: a line above it for people.
    """
    estimate = run_sync(estimating)
    if as_json:
        say_json(estimate.model_dump(mode="json", by_alias=True))
    else:
        say_all(warning_lines(estimate.warnings), err=True)
        say_all([*filter(None, [header]), *_lines(estimate)])
    return 0


def print_batch_estimate(batch: "BatchRunner", as_json: bool) -> int:
    """Print the estimate for a batch; returns the exit code: 1 where lines cannot be run."""
    estimate = asyncio.run(batch.estimate())
    if as_json:
        say_json(estimate.model_dump(mode="json", by_alias=True))
    else:
        say_all(warning_lines(estimate.warnings), err=True)
        say_all([run_header(batch.settings), *_batch_lines(estimate)])
    return 1 if estimate.invalid else 0


def _batch_lines(estimate: "BatchEstimate") -> Iterator[str]:
    before = f" ({estimate.previously_done:,} done before)" if estimate.previously_done else ""
    yield f"{bold(count(estimate.lines, 'prompt'))} to run{before}"
    if estimate.lines:
        yield _totals(estimate)
    if estimate.has_unknown_cost:
        yield f"  {dim('price not known')}  {', '.join(estimate.has_unknown_cost)}"
    if estimate.invalid:
        yield f"{count(estimate.invalid, 'line')} cannot be run"
    for line in estimate.invalid_lines[:NAMED]:
        head = f"    {dim(short(line.id, 30))}  "
        yield from message_lines(line.reason, columns(), indent=6, head=head)
    if estimate.invalid > NAMED:
        yield f"    … and {estimate.invalid - NAMED:,} more"
    yield from _notes(estimate.notes)


def _totals(estimate: "Estimate | BatchEstimate") -> str:
    at_most, limit = count(estimate.max_calls, "call"), dollars(estimate.max_cost_usd)
    usual = f", {dollars(estimate.expected_cost_usd)}" if estimate.expected_cost_usd is not None else ""
    usually = f"{count(estimate.expected_calls, 'call')}{usual} or less"
    return f"at most {bold(at_most)} of models, {bold(limit)}; usually {usually}"


def _notes(notes: Iterable[str]) -> Iterator[str]:
    for note in notes:
        yield from map(dim, message_lines(note, columns(), indent=4, head="  "))


def _lines(estimate: "Estimate") -> Iterator[str]:
    yield _totals(estimate)
    rows = [[dim(head) for head in ("role", "usually", "at most", "usual cost", "cost at most", "backend")]]
    for role in estimate.roles:
        if role.max_calls:
            costs = [dollars(role.expected_cost_usd), dollars(role.max_cost_usd)]
            rows.append([accent(role.role), str(role.expected_calls), str(role.max_calls), *costs, role.backend])
    yield from table(rows, right={1, 2})
    yield from _notes(estimate.notes)
