"""Cancels a task at any of its awaits, so that a test can try them all."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any


class _Cancelled:
    """Awaits a coroutine and cancels the task that does so at the coroutine's nth suspension, or at all from there."""

    def __init__(self, work: Coroutine[Any, Any, Any], nth: int, *, again: bool) -> None:
        self.work, self.nth, self.again, self.count = work, nth, again, 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.work.__await__()
        resume: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                waits_for = resume()
            except StopIteration as end:
                return end.value
            self.count += 1
            if self.count == self.nth or (self.again and self.count > self.nth):
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                sent = yield waits_for
            except BaseException as error:
                resume = partial(steps.throw, error)
            else:
                resume = partial(steps.send, sent)


async def cancelled_at(work: Coroutine[Any, Any, Any], nth: int, *, again: bool = False) -> bool:
    """Run a coroutine in a task that is cancelled at its nth await; whether it had so many.

    Neither the task hangs, nor any that it began.

    Args:
        again: cancel it at each later await, too, as cancelled scopes of anyio do. LangGraph then leaves tasks behind,
            which end a moment later.
    """
    before = asyncio.all_tasks()
    stepped = _Cancelled(work, nth, again=again)

    async def awaited() -> Any:
        return await stepped

    await asyncio.wait({task := asyncio.create_task(awaited())}, timeout=20)
    assert task.done(), f"it hangs after it was cancelled at await {nth}"
    if left := asyncio.all_tasks() - before - {task}:
        _, pending = await asyncio.wait(left, timeout=20)
        assert not pending, f"{pending} go on after await {nth}"
    if not task.cancelled():
        task.result()
    return stepped.count >= nth
