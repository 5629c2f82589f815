"""A process is killed while a call hangs at the service, again and again; the budget is exact afterwards.

2 runs here; `STORM=full python -m pytest tests/crash_recovery/test_kills_in_flight.py -s` makes it 20 (minutes).
"""

import asyncio
import random
import signal
import subprocess
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.types import Outcome
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer
from tests.processes import Python

CHILD = """
    import asyncio, sys
    folder, home, url, run_id, mode, most = sys.argv[1:]
    sys.path.insert(0, folder)
    from conftest import hurry, make_runner, make_setup

    async def run():
        runner, setup = make_runner(home, url), make_setup(mode)
        config = setup.config.model_copy(update={"max_calls": int(most)})
        try:
            await runner.record(run_id)
            events = runner.resume(run_id)
        except Exception:
            events = runner.start(f"picture {run_id}", setup.model_copy(update={"config": config}), run_id=run_id)
        async for event in events:
            pass

    hurry()
    asyncio.run(run())
"""


async def one_run(storm: Any, home: Path, number: int) -> None:
    """Kill it in every call that hangs until it ends: how many kills that takes is the budget's affair."""
    chance = random.Random(number)
    most, name = chance.randint(2, 5 if storm.full else 3), f"flight-{number:02}"
    stop = signal.SIGKILL if number % 2 else signal.SIGTERM
    with MockOpenAIServer(storm.answer) as server:
        kills = 0
        while True:
            before = server.count()
            if chance.random() < 0.7 or not kills:  # this time the next call of its kind hangs
                server.enqueue(chance.choice(("images.generate", "chat")), Fault("hang"))
            script = ("-c", textwrap.dedent(CHILD), Path(__file__).parent, home, server.base_url, name)
            with Python(*script, chance.choice(("fused", "stepwise")), str(most), stdout=subprocess.DEVNULL) as child:
                hanging = await asyncio.to_thread(hangs, server, child, before)
                child.send_signal(stop)
                child.wait()
            kills += hanging
            if not hanging:
                assert child.returncode == 0
                break
            record = await storm.make_runner(home, server.base_url).record(name)
            assert sum(record.calls.values()) == server.count(), "at once, and not only at the next start"
        record = await storm.make_runner(home, server.base_url).record(name)
        assert kills >= 1
        assert record.status == "ended"
        assert server.count() == sum(record.calls.values()) <= most
        assert sum(call.unsettled for call in record.call_log) == kills
        assert record.outcome in set(Outcome) - {Outcome.CANCELLED}


def hangs(server: MockOpenAIServer, child: Python, before: int) -> bool:
    """Wait until a request hangs, or the process has ended; whether one does."""
    while child.poll() is None:
        time.sleep(0.05)
        if any(request.fault == "hang" for request in server.requests[before:]):
            return True
    return False


@pytest.mark.timeout(900)
async def test_a_run_killed_in_the_middle_of_its_calls_never_makes_more_than_it_may(storm: Any, tmp_path: Path) -> None:
    count, gate = 20 if storm.full else 2, asyncio.Semaphore(2)

    async def one(number: int) -> None:
        async with gate:
            await one_run(storm, tmp_path / str(number), number)

    await asyncio.gather(*map(one, range(count)))
