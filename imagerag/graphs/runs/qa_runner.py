"""The runner of questions to a library: a question in, a record out, follow-ups by thread."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from imagerag.agent import clock
from imagerag.agent.calls.pending_calls import unrecorded_calls
from imagerag.agent.completion import to_completion
from imagerag.agent.errors import UnknownThreadError, UsageError
from imagerag.agent.ports import ReferenceLibrary
from imagerag.agent.qa.qa_record import AnswerRecord, answer_record
from imagerag.agent.qa.state import QAInput, QAState, QAUpdate, fresh, question_name
from imagerag.agent.qa.types import STATE_TYPES, AnswerOutcome, QAResult, SearchBy
from imagerag.agent.types import ImageRef, ModelCall, RunConfig, SnapshotPins
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.earlier_versions import check_version
from imagerag.graphs.library_warnings import warnings_of
from imagerag.graphs.qa import build_qa
from imagerag.graphs.runs.records import new_run_id
from imagerag.graphs.runs.threads import unknown_thread
from imagerag.graphs.snapshot_pins import check_hashes, snapshot_hashes
from imagerag.graphs.validation import validate_match_reason, validate_question, validate_thread
from imagerag.store.disk_space import check_writable
from imagerag.store.room_reserve import keep_reserve
from imagerag.store.sqlite.checkpoint_types import open_checkpointer
from imagerag.store.sqlite.pool import PerLoopResource
from imagerag.store.sqlite.stored_threads import stored_threads
from imagerag.store.thread_lock import question_lock
from imagerag.tools.automatic import reason_of

if TYPE_CHECKING:
    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver

_NEW_THREAD: Final = "Without `thread` a new one is begun"

Graph = CompiledStateGraph[QAState, RunConfig, QAInput, QAState]


@dataclass(frozen=True, kw_only=True)
class QARunner:
    """Answers questions against one home directory.

    Attributes:
        dependencies: how specs become ports.
    """

    dependencies: Dependencies

    async def ask(
        self,
        question: str,
        *,
        answerer: str,
        library: str | None,
        config: RunConfig,
        compare: bool = False,
        thread: str | None = None,
        follow_up: bool = False,
        deadline_s: float | None = None,
        images: Sequence[ImageRef] = (),
        by: SearchBy | None = None,
        reranker: str | None = None,
        judge: str = "",
    ) -> AnswerRecord:
        """Ask one question. A question that is cancelled keeps its record (see `record`).

        Args:
            answerer: spec of what answers.
            library: what is asked.
            config: `candidates`, `threshold`, filters, `journal` and budgets are heeded.
            compare: ask the same without the library, too.
            thread: the conversation that it goes on with, or begins; a new one when None.
            follow_up: the thread, where one is named, must have had a question.
            images: the person's own images that the question comes with, in the blob store.
            by: what the library is searched with; all that the question comes with when None.
            reranker: spec of what orders the images that are near enough.
            judge: spec of the judge that a reranker asks.

        Raises:
            UsageError: a question or thread that cannot be, an unknown library or answerer, or a snapshot that holds
                something else than when the thread was begun.
            UnknownThreadError: a follow-up in a thread that there is not.
            RunStateError: an earlier version of imagerag made the thread.
            StorageError: the answer could not be kept; nothing was asked.
        """
        text, thread_id = validate_question(question), validate_thread(thread) or new_run_id()
        by = validate_match_reason(by, images)
        if deadline_s is not None:
            if deadline_s <= 0:
                raise UsageError(f"deadline_s: {deadline_s:g} leaves no time")
            config = config.model_copy(update={"deadline_at": clock.seconds() + deadline_s})
        thread_config: RunnableConfig = {"configurable": {"thread_id": thread_id}, "recursion_limit": 25}
        snapshots = await snapshot_hashes(self.dependencies, library)
        lock = self.dependencies.home.thread_lock(thread_id)
        async with (
            self._graph(answerer, library, reranker, judge, snapshots) as (graph, identity, opened),
            question_lock(lock, thread_id),
        ):
            if thread:
                before = (await graph.aget_state(thread_config)).values
                check_version(before, f"thread {thread}")
                noted: SnapshotPins = before.get("snapshots") or SnapshotPins()
                check_hashes(snapshots, noted.hashes, f"thread {thread!r} was begun", _NEW_THREAD)
                if follow_up and not before.get("earlier"):
                    raise UnknownThreadError(f"there is no thread {thread!r}: leave it out to begin one")
            started = clock.now()
            graph_input = fresh(
                text, compare=compare, library=library, answerer=identity, started_at=started, images=images, by=by
            )
            try:
                # What this call gives back, and not the newest checkpoint: another question may have come since.
                state = await graph.ainvoke(graph_input, thread_config, context=config, durability="sync")
            except (asyncio.CancelledError, KeyboardInterrupt):
                await to_completion(self._cancel(graph, thread_config, started))
                raise
        record = answer_record(thread_id, state)
        warned = warnings_of(opened) if opened is not None else []
        if reason := reason_of(answerer):
            warned = [f"answerer {reason}", *warned]
        return record.model_copy(update={"notes": [*warned, *record.notes]})

    async def record(self, thread: str) -> AnswerRecord:
        """The record of a thread's last question, also of one that was stopped, with what its calls may have cost.

        Raises:
            UnknownThreadError: there is no such thread.
            RunStateError: an earlier version of imagerag made it.
        """
        from imagerag.tools.answerers.metadata import MetadataAnswerer

        thread_config: RunnableConfig = {"configurable": {"thread_id": validate_thread(thread)}}
        async with self._conversations.use() as saver:
            graph = build_qa(answerer=MetadataAnswerer(), library=None).compile(checkpointer=saver)
            values = (await graph.aget_state(thread_config)).values
        if not values.get("question"):
            stored = await asyncio.to_thread(stored_threads, self.dependencies.home.conversations)
            raise unknown_thread(thread, [one.thread_id for one in stored])
        check_version(values, f"thread {thread}")
        if not values.get("result"):
            values = {**values, "calls": [*(values.get("calls") or []), *await self._left_out(values, thread)]}
        return answer_record(thread, values)

    async def _left_out(self, values: Mapping[str, Any], thread: str) -> list[ModelCall]:
        """The calls of a question that its state does not hold: it was stopped during them."""
        async with self.dependencies.journal() as journal:
            return await unrecorded_calls(journal, question_name(values, thread), values.get("calls") or [])

    async def _cancel(self, graph: Graph, thread_config: RunnableConfig, started: str) -> None:
        """End a question as cancelled, with what its calls may have cost; one that has no first step has no record."""
        values = (await graph.aget_state(thread_config)).values
        if not values or values.get("result") or values.get("started_at") != started:
            return
        calls = await self._left_out(values, str(thread_config["configurable"]["thread_id"]))
        result = QAResult(outcome=AnswerOutcome.CANCELLED, reason="cancelled by the caller", at=clock.now())
        update: QAUpdate = {"result": result, "calls": [*(values.get("calls") or []), *calls]}
        await graph.aupdate_state(thread_config, cast(dict[str, Any], update), as_node="finish")

    @asynccontextmanager
    async def _graph(
        self, spec: str, library: str | None, reranker: str | None, judge: str, snapshots: Mapping[str, str]
    ) -> AsyncIterator[tuple[Graph, str, ReferenceLibrary | None]]:
        answerer = self.dependencies.answerer(spec)
        order = self.dependencies.reranker(reranker, judge) if reranker else None
        opened = await self.dependencies.library(library) if library else None
        await asyncio.to_thread(check_writable, self.dependencies.home.root)  # before anything is paid for
        await asyncio.to_thread(keep_reserve, self.dependencies.home)
        async with self._conversations.use() as saver, self.dependencies.journal() as journal:
            workflow = build_qa(
                answerer=answerer,
                library=opened,
                blobs=self.dependencies.blobs,
                reranker=order,
                journal=journal,
            ).pin(snapshots)
            yield workflow.compile(checkpointer=saver, name="imagerag-ask"), answerer.identity, opened

    @cached_property
    def _conversations(self) -> "PerLoopResource[BatchedSqliteSaver]":
        return PerLoopResource(partial(open_checkpointer, self.dependencies.home.conversations, STATE_TYPES))
