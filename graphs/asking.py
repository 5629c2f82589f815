"""Asking a library: a question in, a record out, follow-ups by thread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from imagerag.agent import clock
from imagerag.agent.answering.record import AnswerRecord, answer_record
from imagerag.agent.answering.state import AskInput, AskState, fresh
from imagerag.agent.answering.values import STATE_TYPES
from imagerag.agent.errors import UnknownThreadError, UsageError
from imagerag.agent.types import Knobs
from imagerag.graphs.answering import build_answering
from imagerag.graphs.given import checked_question, checked_thread
from imagerag.graphs.runner import new_run_id
from imagerag.graphs.warnings import question_warnings
from imagerag.graphs.wiring import Wiring
from imagerag.store.checkpoints import open_checkpointer
from imagerag.store.shared import Shared
from imagerag.store.space import check_writable

if TYPE_CHECKING:
    from imagerag.store.saver import GroupedSaver

Graph = CompiledStateGraph[AskState, Knobs, AskInput, AskState]


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Answers questions against one home directory.

    Attributes:
        wiring: how specs become ports.
    """

    wiring: Wiring

    async def ask(
        self,
        question: str,
        *,
        answerer: str,
        library: str | None,
        knobs: Knobs,
        compare: bool = False,
        thread: str | None = None,
        follow_up: bool = False,
        deadline_s: float | None = None,
    ) -> AnswerRecord:
        """Ask one question.

        Args:
            answerer: spec of what answers.
            library: what is asked.
            knobs: `candidates`, `threshold`, filters, `journal` and budgets are heeded.
            compare: ask the same without the library, too.
            thread: the conversation that it goes on with, or begins; a new one when None.
            follow_up: the thread, where one is named, must have had a question.

        Raises:
            UsageError: a question or thread that cannot be, an unknown library or answerer.
            UnknownThreadError: a follow-up in a thread that there is not.
            StorageError: the answer could not be kept; nothing was asked.
        """
        text, thread_id = checked_question(question), checked_thread(thread) or new_run_id()
        if deadline_s is not None:
            if deadline_s <= 0:
                raise UsageError(f"deadline_s: {deadline_s:g} leaves no time")
            knobs = knobs.model_copy(update={"deadline_at": clock.seconds() + deadline_s})
        config: RunnableConfig = {"configurable": {"thread_id": thread_id}, "recursion_limit": 25}
        async with self._graph(answerer, library) as (graph, identity):
            if follow_up and thread and not (await graph.aget_state(config)).values.get("earlier"):
                raise UnknownThreadError(f"there is no thread {thread!r}: leave it out to begin one")
            started = clock.now()
            given = fresh(text, compare=compare, library=library, answerer=identity, started_at=started)
            # What this call gives back, and not the thread's newest checkpoint: another question may have come since.
            state = await graph.ainvoke(given, config, context=knobs, durability="sync")
        record = answer_record(thread_id, state)
        warned = await question_warnings(self.wiring, library) if library else ()
        return record.model_copy(update={"notes": [*warned, *record.notes]})

    @asynccontextmanager
    async def _graph(self, spec: str, library: str | None) -> AsyncIterator[tuple[Graph, str]]:
        answerer = self.wiring.answerer(spec)
        opened = await self.wiring.library(library) if library else None
        await asyncio.to_thread(check_writable, self.wiring.home.root)  # before anything is paid for
        async with self._conversations.use() as saver, self.wiring.journal() as journal:
            workflow = build_answering(answerer=answerer, library=opened, journal=journal)
            yield workflow.compile(checkpointer=saver, name="imagerag-ask"), answerer.identity

    @cached_property
    def _conversations(self) -> "Shared[GroupedSaver]":
        return Shared(partial(open_checkpointer, self.wiring.home.conversations, STATE_TYPES))
