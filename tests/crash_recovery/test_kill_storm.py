"""A process is killed in the middle of its run, at any moment; another one finishes the run.

4 kills here; `STORM=full python -m pytest -s` on this file makes it 50 (minutes) and prints what
happened.

An answer can arrive in a process that dies before it has written it down: nobody can know of it then, and it is asked
for again, under the key it had, by which the service (the loopback does) gives the very same answer and is paid once.
What the journal holds is never asked for again.
"""

import asyncio
import random
import subprocess
import textwrap
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome
from imagerag.graphs.runs.runner import Runner
from imagerag.tools.testing.mock_openai import Fault, FaultKind, FaultRates, MockOpenAIServer, RecordedRequest
from tests.processes import Python, python

LATENCY_S = 0.05
RATE = 0.005
"""Per kind of fault: one request in fourteen meets one, so most runs live long enough to be killed anywhere."""

CHILD = """
    import asyncio, sys
    folder, home, url, run_id, mode = sys.argv[1:]
    sys.path.insert(0, folder)
    from conftest import hurry, make_runner, make_setup

    async def run():
        async for event in make_runner(home, url).start(f"picture {run_id}", make_setup(mode), run_id=run_id):
            pass

    hurry()
    asyncio.run(run())
"""


class Watched(MockOpenAIServer):
    """Says when its nth request has come."""

    def __init__(self, nth: int, answer: Any, **options: Any) -> None:
        super().__init__(answer, **options)
        self.left, self.came = nth, threading.Event()

    def note(self, request: RecordedRequest) -> None:
        """Record a request, and count it."""
        super().note(request)
        self.left -= 1
        if self.left <= 0:
            self.came.set()


@dataclass(frozen=True)
class Killed:
    """What was left of a killed run, and what its resume made of it.

    Attributes:
        before: requests that came before the kill.
        kept: the keys of those whose answers the journal holds at the kill.
        dead: False when the run was over before it could be killed.
    """

    before: int
    kept: frozenset[str]
    dead: bool
    record: RunRecord


async def kept_answers(runner: Runner, server: MockOpenAIServer, run_id: str) -> frozenset[str]:
    """The idempotency keys of the run's requests whose answers are in its journal."""
    keys = {request.idempotency_key or "" for request in server.requests}
    # RUN-REQUEST-NTH, and what a judge adds to it.
    journalled = {key: "-".join(key.removeprefix(f"{run_id}-").split("-")[:2]) for key in keys}
    async with runner.dependencies.journal() as journal:
        return frozenset([key for key, name in journalled.items() if await journal.find(name, run_id=run_id)])


def kill(server: Watched, arguments: list[str], after_s: float) -> bool:
    """Start a run in a process of its own and kill it; whether it was still there to be killed."""
    script = ("-c", textwrap.dedent(CHILD), Path(__file__).parent, *arguments)
    with Python(*script, stdout=subprocess.DEVNULL) as child:
        while not server.came.wait(0.05) and child.poll() is None:
            continue
        threading.Event().wait(after_s)
        child.kill()
        said = child.communicate()[1]
    assert child.returncode in (0, -9), said
    return child.returncode != 0


async def killed_and_resumed(storm: Any, server: Watched, home: Path, run_id: str, after_s: float) -> Killed:
    mode = random.Random(run_id).choice(("fused", "stepwise"))
    dead = await asyncio.to_thread(kill, server, [str(home), server.base_url, run_id, mode], after_s)
    server.settle()
    runner = storm.make_runner(home, server.base_url)
    before, kept = server.count(), await kept_answers(runner, server, run_id)
    if (await runner.record(run_id)).status != "ended":
        await storm.last(runner.resume(run_id))
    return Killed(before, kept, dead, await runner.record(run_id))


def check(storm: Any, server: Watched, killed: Killed) -> int:
    """It ended by name, and what was kept is not asked again; how many answers died with the process (0 or 1)."""
    traffic = storm.traffic(server, killed.record.run_id)
    traffic.check_ending(killed.record)
    traffic.check_keys()
    later = traffic.requests[killed.before :]
    assert not killed.kept & {request.idempotency_key for request in later}
    again = server.repeats
    # At most the one answer that was in hand, and it is the first thing that is asked.
    assert len(again) <= int(killed.dead)
    assert all(request.idempotency_key == later[0].idempotency_key for request in again)
    assert storm.key not in killed.record.model_dump_json()
    return len(again)


@pytest.mark.timeout(900)
async def test_a_run_killed_anywhere_is_finished_and_pays_once(storm: Any, tmp_path: Path) -> None:
    count, gate = 50 if storm.full else 4, asyncio.Semaphore(2)
    chance = random.Random(11)
    moments = [(chance.randint(1, 6), chance.uniform(0, 2.5 * LATENCY_S)) for _ in range(count)]

    async def one(number: int, nth: int, after_s: float) -> tuple[Killed, int]:
        faults = FaultRates.every(RATE, seed=number)
        async with gate:
            with Watched(nth, storm.answer, faults=faults, latency_s=LATENCY_S, idempotent=True) as server:
                name = f"kill-{number:02}-at-{nth}"
                killed = await killed_and_resumed(storm, server, tmp_path / name, name, after_s)
                assert server.errors == []
                again = check(storm, server, killed)
        # A run that was over before its moment came is no kill: another one has an earlier moment.
        return (killed, again) if killed.dead or nth == 1 else await one(number, nth // 2, after_s)

    async with asyncio.timeout(60 + 15 * count):
        ended = await asyncio.gather(*(one(number, *moment) for number, moment in enumerate(moments)))
    dead = [killed for killed, _ in ended if killed.dead]
    outcomes = Counter(str(killed.record.outcome) for killed, _ in ended)
    print(f"\n{count} runs, {len(dead)} killed in time: {dict(outcomes)}")
    print(f"answers that died unwritten and were asked for again under their key: {sum(again for _, again in ended)}")
    assert len(dead) >= 0.9 * count


GIVING_UP = """
    import asyncio, os, signal, sys
    folder, home, url, run_id = sys.argv[1:]
    sys.path.insert(0, folder)
    from conftest import hurry, make_runner, make_setup
    from imagerag.graphs import generation
    from langgraph.errors import NodeError

    def dies(state: dict, error: NodeError):
        os.kill(os.getpid(), signal.SIGKILL)

    generation.give_up = dies

    async def run():
        async for event in make_runner(home, url).start("a picture", make_setup("fused"), run_id=run_id):
            pass

    hurry()
    asyncio.run(run())
"""


@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [("refusal", Outcome.REFUSED, "safety_violations"), ("quota", Outcome.FAILED, "nothing left to spend")],
)
async def test_a_run_killed_between_a_failure_and_its_ending_still_ends_by_name(
    storm: Any, tmp_path: Path, fault: FaultKind, outcome: Outcome, words: str
) -> None:
    """The error comes back from the checkpoint as text."""
    with MockOpenAIServer(storm.answer) as server:
        server.enqueue("images.generate", Fault(fault))
        script = ("-c", textwrap.dedent(GIVING_UP), Path(__file__).parent, tmp_path, server.base_url, "failed")
        child = await asyncio.to_thread(python, *script)
        assert child.returncode == -9, child.stderr
        record = await storm.last(storm.make_runner(tmp_path, server.base_url).resume("failed"))
        assert server.count() == 1
    assert record.outcome is outcome
    assert words in record.reason
    # What the dead process asked is in the record all the same: once, and as what it was.
    (call,) = record.call_log
    assert (call.role, call.completed, call.round) == ("generate", fault == "refusal", 0)
    assert words in (call.error or "")


async def test_a_run_killed_after_its_last_try_tells_of_every_try(storm: Any, tmp_path: Path) -> None:
    """A drawing that was answered, and a judge that failed three times: all of it in another process, then nothing."""
    with MockOpenAIServer(storm.answer) as server:
        server.enqueue("chat", *[Fault("error_500")] * 3)
        script = ("-c", textwrap.dedent(GIVING_UP), Path(__file__).parent, tmp_path, server.base_url, "tried")
        child = await asyncio.to_thread(python, *script)
        assert child.returncode == -9, child.stderr
        record = await storm.last(storm.make_runner(tmp_path, server.base_url).resume("tried"))
        assert server.count() == 4
    assert record.outcome is Outcome.JUDGE_UNAVAILABLE
    told = [(call.role, call.completed) for call in record.call_log]
    assert told == [("generate", True), *[("judge.critique", False)] * 3]
