"""Calls in threads: each has one to itself, and threads serve again."""

import asyncio
import os
import subprocess
import sys
import threading
from contextvars import ContextVar

import pytest

from imagerag.agent.threads import cancellation, in_thread

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


async def test_calls_one_after_another_share_a_thread():
    assert len({await in_thread(threading.get_ident) for _ in range(20)}) == 1


async def test_calls_at_once_have_a_thread_each():
    meet = threading.Barrier(20)
    await asyncio.gather(*(in_thread(meet.wait, timeout=30) for _ in range(20)))


async def test_a_call_has_its_callers_context_and_no_earlier_one():
    VARIABLE.set("first")
    assert await in_thread(VARIABLE.get) == "first"
    VARIABLE.set("second")
    assert await in_thread(VARIABLE.get) == "second"


async def test_a_failure_reaches_the_caller_and_the_thread_serves_on():
    def fail() -> None:
        raise KeyError(threading.get_ident())

    with pytest.raises(KeyError) as error:
        await in_thread(fail)
    assert await in_thread(threading.get_ident) == error.value.args[0]


async def test_a_cancelled_call_holds_up_no_other():
    begun, go_on = threading.Event(), threading.Event()
    seen = []

    def work() -> None:
        begun.set()
        go_on.wait(30)
        seen.append(cancellation().cancelled)

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await in_thread(lambda: "served") == "served"
    go_on.set()
    while not seen:
        await asyncio.sleep(0.01)
    assert seen == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_starts_threads_of_its_own():
    program = """
import asyncio, os
from imagerag.agent.threads import in_thread
asyncio.run(in_thread(int))
child = os.fork()
if not child:
    os._exit(asyncio.run(in_thread(lambda: 7)))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "7"


def test_a_call_without_end_does_not_keep_the_process():
    program = """
import asyncio, threading
from imagerag.agent.threads import in_thread
async def main():
    asyncio.ensure_future(in_thread(threading.Event().wait))
    await asyncio.sleep(0.1)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
