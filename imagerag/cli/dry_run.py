"""`imagerag generate --dry-run`: upper bounds on the calls and cost of a run."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imagerag.cli.live_text import run_header
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
from imagerag.client.client import ImageRAG
from imagerag.formatting.interface_terms import as_commands
from imagerag.formatting.numbers import dollars

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate


def print_estimate(rag: ImageRAG, prompt: str, as_json: bool, **options: Any) -> int:
    """Print the estimate for a run with these options; returns exit code 0."""
    estimate = asyncio.run(rag.estimate(prompt, **options))
    if as_json:
        say_json(estimate.model_dump(mode="json", by_alias=True))
    else:
        say_all(warning_lines(estimate.warnings), err=True)
        say_all([run_header(rag.settings), *_lines(estimate)])
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
