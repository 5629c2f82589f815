"""What an adapter may know of the call that it serves."""

import asyncio

from imagerag.agent.calls.call_context import CallContext, ProgressCallback, current_call, in_call


async def test_outside_of_a_run_it_is_empty_and_does_nothing() -> None:
    call = current_call()
    assert (call.idempotency_key, call.requests_left, call.progress.partial_images) == (None, None, 0)
    call.progress.step(1, 2)
    await call.progress.partial(b"", 0)
    assert call.allowed(7) == 7


def test_at_least_the_request_that_the_call_is_may_be_made() -> None:
    assert [CallContext(requests_left=left).allowed(3) for left in (0, 1, 2, 9)] == [1, 1, 2, 3]


async def test_it_is_seen_by_tasks_and_threads_that_are_started_inside_and_ends_with_the_block() -> None:
    told: list[tuple[int, int]] = []
    context = CallContext(
        progress=ProgressCallback(step=lambda *step: told.append(step)), idempotency_key="k", requests_left=2
    )

    async def in_a_task() -> str | None:
        current_call().progress.step(1, 4)
        return current_call().idempotency_key

    with in_call(context):
        keys = [await asyncio.create_task(in_a_task()), await asyncio.to_thread(lambda: current_call().idempotency_key)]
        with in_call(CallContext()):
            assert current_call().idempotency_key is None
        assert current_call() is context
    assert (keys, told) == (["k", "k"], [(1, 4)])
    assert current_call().idempotency_key is None
