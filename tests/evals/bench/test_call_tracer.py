"""The call tracer counts steps between files of imagerag: calls, and resumptions of what was suspended."""

import asyncio

from imagerag.agent import clock
from imagerag.agent.threads import in_thread
from imagerag.evals.bench.call_tracer import CallTracer
from imagerag.evals.bench.timing import interleaved
from imagerag.formatting.numbers import dollars


def test_a_call_from_outside_the_package_enters_a_file_and_crosses_nothing() -> None:
    with CallTracer() as tracer:
        dollars(0.5)
    assert tracer.files >= {"formatting/numbers.py"}
    assert tracer.total == 0


async def test_calls_and_resumptions_between_files_are_crossings_and_those_within_one_are_not() -> None:
    async def work() -> None:
        await in_thread(clock.now)

    with CallTracer() as tracer:
        await interleaved({"work": work}, 1, warm=0)
    assert tracer.files >= {"evals/bench/timing.py", "agent/threads.py", "agent/clock.py"}
    assert all(caller != entered for caller, entered in tracer.crossings)
    assert tracer.total == sum(tracer.crossings.values())


def test_nothing_is_counted_after_the_block() -> None:
    with CallTracer() as tracer:
        pass
    asyncio.run(in_thread(clock.now))
    assert not tracer.files
