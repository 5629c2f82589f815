"""Retries of arms and graders, by the retry policy of the graph."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.errors import BackendError, JudgeReplyError
from imagerag.agent.ports import Judge, ModelResponse
from imagerag.agent.types import SamplingParams

Answer = TypeVar("Answer")
Read = TypeVar("Read", bound=ModelResponse)


async def with_retries(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Retry while the backend's error is retryable, by the graph's own retry policy."""
    attempts = 0
    while True:
        try:
            return await ask()
        except BackendError as error:
            attempts += 1
            pause = pause_before(error, attempts)
            if pause is None:
                raise
        await asyncio.sleep(pause)


def pause_before(error: BackendError, attempts: int) -> float | None:
    """Seconds before the next try after `attempts` tries; None when there is no further one.

    `ModelCaller` obeys a service's own retry delay before it makes the next call.
    """
    from imagerag.graphs.generation import RETRY

    for policy in RETRY:
        if callable(policy.retry_on) and policy.retry_on(error):  # the first matching policy counts
            if attempts >= policy.max_attempts:
                return None
            return float(min(policy.initial_interval * policy.backoff_factor ** (attempts - 1), policy.max_interval))
    return None


def lowest_temperature(judge: Judge) -> SamplingParams:
    """Parameters of a first request: temperature 0, where the judge supports it."""
    return (
        SamplingParams(varied_parameter="temperature", temperature=0.0)
        if "temperature" in judge.honours
        else SamplingParams()
    )


async def parsed_or_retried(
    calls: ModelCaller,
    judge: Judge,
    role: str,
    kind: type[Read],
    content: Mapping[str, Any],
    ask: Callable[[SamplingParams], Awaitable[Read]],
) -> Read:
    """Request at temperature 0; retry once with a rephrased prompt where the response cannot be parsed.

    Raises:
        JudgeReplyError: neither response could be parsed.
        BackendError: the judge did not respond.
    """
    first = lowest_temperature(judge)
    again = first.model_copy(update={"attempt": 1, "varied_parameter": "seed_and_wording", "prompt_variant": 1})
    try:
        return await with_retries(lambda: calls.execute(role, judge.identity, kind, content, lambda: ask(first), first))
    except JudgeReplyError:
        return await with_retries(lambda: calls.execute(role, judge.identity, kind, content, lambda: ask(again), again))
