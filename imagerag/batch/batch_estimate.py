"""`batch --dry-run`: upper bounds on the calls and cost of a batch, and the lines that cannot be run."""

from collections.abc import AsyncIterator, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.graphs.cost_estimate import Estimate

NAMED: Final = 100
"""Invalid lines that an estimate names; it counts all. A batch may have a million."""


class InvalidLine(BaseModel):
    """A line that cannot be run.

    Attributes:
        index: its place in the input, from 1.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    index: int
    reason: str


class BatchEstimate(BaseModel):
    """The estimate of a batch: the sum over the lines that are left to run.

    Attributes:
        lines: how many lines would be run.
        previously_done: results that an earlier start left.
        invalid: how many lines cannot be run.
        invalid_lines: the first of them.
        expected_cost_usd: US dollars of the expected calls; None when a price is not known.
        max_cost_usd: US dollars at most; None when the most that a call can cost is not known, and no limit holds it.
        has_unknown_cost: backends whose price is not known.
        notes: what the numbers do not say.
        warnings: what is likely to go wrong, once for all lines, and what to type instead.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.batch-estimate/1"] = Field(default="imagerag.batch-estimate/1", alias="schema")
    lines: int = 0
    previously_done: int = 0
    invalid: int = 0
    invalid_lines: list[InvalidLine] = Field(default_factory=list)
    expected_calls: int = 0
    max_calls: int = 0
    expected_cost_usd: float | None = 0.0
    max_cost_usd: float | None = 0.0
    has_unknown_cost: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)

    def add(self, estimate: Estimate, most: float | None) -> None:
        """Add the run of a line.

        Args:
            most: US dollars that it can cost at most, its own limit counted.
        """
        self.lines += 1
        self.expected_calls += estimate.expected_calls
        self.max_calls += estimate.max_calls
        self.expected_cost_usd = _sum(self.expected_cost_usd, estimate.expected_cost_usd)
        self.max_cost_usd = _sum(self.max_cost_usd, most)
        for mine, others in ((self.has_unknown_cost, estimate.has_unknown_cost), (self.notes, estimate.notes)):
            mine.extend(one for one in others if one not in mine)


async def summed(
    estimates: AsyncIterator[tuple[Estimate, float | None] | InvalidLine],
    *,
    previously_done: int,
    budget: float | None,
    warnings: Sequence[str],
) -> BatchEstimate:
    """Sum the estimates of lines.

    Args:
        estimates: of each line, with the US dollars that it can cost at most; or why it cannot be run.
        budget: US dollars that the whole batch may spend.
    """
    total = BatchEstimate(previously_done=previously_done, warnings=list(warnings))
    async for one in estimates:
        if isinstance(one, InvalidLine):
            total.invalid += 1
            total.invalid_lines += [one] if len(total.invalid_lines) < NAMED else []
        else:
            total.add(*one)
    if budget is not None and total.max_cost_usd is not None and total.max_cost_usd > budget:
        total.max_cost_usd = budget
        total.notes.append("the batch stops before its budget is exceeded: some lines may be left")
    return total


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first + second
