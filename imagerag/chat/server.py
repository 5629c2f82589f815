"""The chat behind HTTP: what `langgraph.json` names, for agent-chat-ui, Agent Inbox and Studio's chat."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables import RunnableConfig

from imagerag.agent.errors import UsageError
from imagerag.chat.graph import ChatGraph, build_chat
from imagerag.chat.messages import MessageReader
from imagerag.chat.runs import ChatRuns
from imagerag.files.access_policy import InputPolicy
from imagerag.graphs.runs.runner import Runner
from imagerag.graphs.server import configured
from imagerag.graphs.start_node import check_context

if TYPE_CHECKING:
    from langgraph_sdk.runtime import ServerRuntime

ALLOW_URLS: Final = "IMAGERAG_ALLOW_URLS"
"""Turns on that images of messages may be named by public addresses."""


@asynccontextmanager
async def chat(config: RunnableConfig, runtime: "ServerRuntime[Any]") -> AsyncIterator[ChatGraph]:
    """The uncompiled graph, for one run; for a look at its shape or at a thread, without its parts."""
    if runtime.execution_runtime is None:
        yield build_chat(None, await asyncio.to_thread(_reader))
        return
    check_context(runtime.execution_runtime.context)  # as it was sent: the server leaves out what is not known
    yield build_chat(await asyncio.to_thread(_runs), await asyncio.to_thread(_reader))


@cache
def _runs() -> ChatRuns:
    settings, dependencies = configured()
    return ChatRuns(runner=Runner(dependencies=dependencies), settings=settings)


@cache
def _reader() -> MessageReader:
    _, dependencies = configured()
    return MessageReader(blobs=dependencies.blobs, inputs=InputPolicy(urls=allows_urls()))


def allows_urls() -> bool:
    """Whether the server fetches images from addresses, as the environment says.

    Raises:
        UsageError: it says neither yes nor no.
    """
    words = os.environ.get(ALLOW_URLS, "").strip().lower()
    if words not in ("", "0", "1", "false", "true", "no", "yes"):
        raise UsageError(f"{ALLOW_URLS} is 1 or 0, not {words[:20]!r}")
    return words in ("1", "true", "yes")
