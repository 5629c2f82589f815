"""Many runs at once against a provider that fails in every way it knows.

There are two storms. In the first every kind of fault comes up at 20 %: with fifteen kinds that can happen to a
request, hardly one in thirty gets through, and almost every run is ended by what it meets first. In the second one
request in five meets some fault, so runs go on through faults to each of their ends.

20 runs each here; `STORM=full python -m pytest -s` on this file makes it 200 each (minutes) and
prints what happened.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome
from imagerag.tools.testing.mock_openai import FaultRates, MockOpenAIServer

EVERY_KIND = 0.2
ONE_IN_FIVE = 1 - 0.8 ** (1 / 15)
"""Per kind: 15 of the 16 can happen to a request."""

AT_ONCE = 20
"""Most of a run is waiting for what hangs."""


async def weather(storm: Any, server: MockOpenAIServer, home: Path, runs: int) -> list[RunRecord]:
    """The runs, some at once, half of them fused and half stepwise; none may hang."""
    runner, gate = storm.make_runner(home, server.base_url), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> RunRecord:
        setup, name = storm.make_setup(("fused", "stepwise")[number % 2]), f"storm-{number:03}"
        async with gate:
            record: RunRecord = await storm.last(runner.start(f"picture {number}", setup, run_id=name))
            return record

    async with asyncio.timeout(60 + 3 * runs):
        return await asyncio.gather(*map(one, range(runs)))


def tell(server: MockOpenAIServer, records: list[RunRecord]) -> None:
    faults = Counter(request.fault or "none" for request in server.requests)
    print(f"\n{len(records)} runs: {dict(Counter(str(record.outcome) for record in records))}")
    print(f"{server.count()} requests, {len(server.answered)} answered, repeats {len(server.repeats)}; {dict(faults)}")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("rate", "outcomes"),
    [
        pytest.param(EVERY_KIND, {Outcome.FAILED, Outcome.REFUSED}, id="every kind at 20 %"),
        pytest.param(
            ONE_IN_FIVE,
            {Outcome.ALIGNED, Outcome.BEST_EFFORT, Outcome.FAILED, Outcome.JUDGE_UNAVAILABLE, Outcome.REFUSED},
            id="one request in five",
        ),
    ],
)
async def test_every_run_ends_by_name_and_pays_once(
    storm: Any, tmp_path: Path, rate: float, outcomes: set[Outcome]
) -> None:
    with MockOpenAIServer(storm.answer, faults=FaultRates.every(rate, seed=8)) as server:
        records = await weather(storm, server, tmp_path, 200 if storm.full else 20)
        server.settle()
        tell(server, records)
        assert server.errors == []
        assert server.repeats == []
        for record in records:
            traffic = storm.traffic(server, record.run_id)
            traffic.check_ending(record)
            traffic.check_keys()
            # Each request is in the record, and those whose answers were lost are shown as such.
            assert len(record.call_log) == len(traffic.requests)
            assert sum(not call.completed for call in record.call_log) == len(traffic.lost)
            assert storm.key not in record.model_dump_json()
    assert {record.outcome for record in records} >= outcomes
    assert len({request.fault for request in server.requests if request.fault}) >= 12
