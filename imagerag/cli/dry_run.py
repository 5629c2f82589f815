"""`--dry-run` of commands that make a run: upper bounds on its calls and cost."""

from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING

import click

from imagerag.cli.terminal.output import (
    accent,
    bold,
    columns,
    count,
    dim,
    hanging,
    say_all,
    say_json,
    table,
    warning_lines,
)
from imagerag.client.synchronous import run_sync
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.numbers import dollars

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate


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


def _lines(estimate: "Estimate") -> Iterator[str]:
    at_most, limit = count(estimate.max_calls, "call"), dollars(estimate.max_cost_usd)
    usual = f", {dollars(estimate.expected_cost_usd)}" if estimate.expected_cost_usd is not None else ""
    usually = f"{count(estimate.expected_calls, 'call')}{usual} or less"
    yield f"at most {bold(at_most)} of models, {bold(limit)}; usually {usually}"
    rows = [[dim(head) for head in ("role", "usually", "at most", "usual cost", "cost at most", "backend")]]
    for role in estimate.roles:
        if role.max_calls:
            costs = [dollars(role.expected_cost_usd), dollars(role.max_cost_usd)]
            rows.append([accent(role.role), str(role.expected_calls), str(role.max_calls), *costs, role.backend])
    yield from table(rows, right={1, 2})
    for note in estimate.notes:
        yield from map(dim, hanging(as_commands(note), columns(), indent=4, head="  "))
