"""Repeated timings, interleaved where two things are compared, as medians and ratios."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import ConfigDict, Field

from imagerag.agent.types import FrozenModel
from imagerag.evals.statistics.estimators import quartiles

Work = Callable[[], Awaitable[object]]


class TimingRow(FrozenModel):
    """One figure.

    Attributes:
        section: which part of the bench it belongs to.
        value: the median; None where it could not be measured, and `note` says why.
        spread: 25th and 75th percentile of the measurements.
        fastest: the shortest measurement, which other programs on the machine disturb least.
        n: how many measurements.
        ratio: `value` over that of the row called `against`, both measured in the same process, in turns.
    """

    section: str
    name: str
    value: float | None
    unit: str
    spread: tuple[float, float] | None = None
    fastest: float | None = None
    n: int = Field(default=0, ge=0)
    ratio: float | None = None
    against: str = ""
    note: str = ""


class BenchReport(FrozenModel):
    """All figures of one bench, `imagerag.bench/1`.

    Attributes:
        machine: what it ran on: cores, threads, versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.bench/1"] = Field(default="imagerag.bench/1", alias="schema")
    machine: Mapping[str, Any]
    rows: tuple[TimingRow, ...]
    elapsed_s: float

    def table(self) -> str:
        """The figures as text, one line each."""
        width = max((len(row.name) for row in self.rows), default=4)
        lines = [", ".join(f"{name} {value}" for name, value in self.machine.items())]
        section = ""
        for row in self.rows:
            if row.section != section:
                section = row.section
                lines += ["", section]
            lines.append(f"  {row.name:{width}}  {_figure(row)}".rstrip())
        return "\n".join(lines)


def _figure(row: TimingRow) -> str:
    if row.value is None:
        return f"{'-':>10}  {row.note}"
    fastest = "" if row.fastest is None else f"fastest {row.fastest:.1f}, "
    spread = f"({fastest}{row.spread[0]:.1f} to {row.spread[1]:.1f}, n {row.n})" if row.spread else f"(n {row.n})"
    ratio = f"{row.ratio:.2f} x {row.against}" if row.ratio is not None else ""
    return "  ".join(part for part in (f"{row.value:10.1f} {row.unit}", spread, ratio, row.note) if part)


async def interleaved(work: Mapping[str, Work], repeats: int, *, warm: int = 1) -> dict[str, list[float]]:
    """Measure the wall times of each work in seconds, alternating, so that a busy moment of the machine hits all alike.

    Args:
        work: name → the work to measure.
        repeats: measurements of each, at least 1.
        warm: number of rounds before, which are not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(warm + repeats):
        for name, do in work.items():
            began = time.perf_counter()
            await do()
            if turn >= warm:
                times[name].append(time.perf_counter() - began)
    return times


def row(
    section: str,
    name: str,
    seconds: Sequence[float],
    *,
    against: tuple[str, Sequence[float]] | None = None,
    note: str = "",
) -> TimingRow:
    """Make the row of wall times, in milliseconds."""
    low, middle, high = (1000 * value for value in quartiles(seconds))
    base = 1000 * quartiles(against[1])[1] if against else None
    return TimingRow(
        section=section,
        name=name,
        value=middle,
        unit="ms",
        spread=(low, high),
        fastest=1000 * min(seconds),
        n=len(seconds),
        ratio=middle / base if base else None,
        against=against[0] if against else "",
        note=note,
    )
