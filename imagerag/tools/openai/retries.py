"""Repeat a request that has no journal, where the service says that it helps."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from imagerag.agent.errors import BackendError

Answer = TypeVar("Answer")

PAUSES_S: Final = (1.0, 3.0, 9.0)
"""Pauses before further tries where a service does not say how long, in seconds."""

LONGEST_S: Final = 60.0
"""A service that asks for a longer pause is not waited for."""


async def with_retries(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Await a call, and repeat it after retryable errors: after the time that the service names, if it names one.

    Only for calls that change nothing and that nobody repeats elsewhere, such as the encoding of a batch.

    Raises:
        BackendError: it is not retryable, asks for a longer pause than `LONGEST_S`, or was the last try's.
    """
    for pause in PAUSES_S:
        try:
            return await ask()
        except BackendError as error:
            wait = pause if error.retry_after_s is None else error.retry_after_s
            if not error.retryable or wait > LONGEST_S:
                raise
        await asyncio.sleep(wait)
    return await ask()
