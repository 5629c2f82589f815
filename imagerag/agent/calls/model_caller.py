"""Model calls of a node: journal and budget before each call, a record after it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from imagerag.agent import clock
from imagerag.agent.calls import journal as journals
from imagerag.agent.calls import pending_calls
from imagerag.agent.calls.backend_errors import named_errors
from imagerag.agent.calls.call_budget import CallBudget, Reservation
from imagerag.agent.calls.call_context import CallContext, ProgressCallback, in_call
from imagerag.agent.calls.costs import Backends, spent_by_siblings
from imagerag.agent.calls.error_calls import attach_calls
from imagerag.agent.calls.journal import CallRequest, FailedCall, Journal, JournalEntry, variation_content
from imagerag.agent.calls.response_check import checked_response
from imagerag.agent.calls.service_waits import too_long_wait, wait_before
from imagerag.agent.errors import BudgetExceededError, JudgeReplyError, RefusalError, StorageError, UnreadableImageError
from imagerag.agent.observability import event_log
from imagerag.agent.observability.spans import model_call
from imagerag.agent.ports import ModelResponse
from imagerag.agent.state import RunState, SearchTask, next_round, run_name
from imagerag.agent.types import ModelCall, RunConfig, SamplingParams

if TYPE_CHECKING:
    from langgraph.runtime import Runtime  # lists of runs read records, and are to load no langgraph

Answer = TypeVar("Answer", bound=ModelResponse)
Failed = MutableMapping[str, list[ModelCall]]


@dataclass(kw_only=True)
class ModelCaller:
    """The calls one node makes: `made` goes into the node's update.

    Attributes:
        journal: where answers are kept; None keeps none.
        run_id: whose calls these are: `run_name`.
        before: the calls the run made before this node.
        round: the round they are booked under.
        failed: what earlier tries of a node's task called, by task. A try that fails returns no update, yet what it
            called counts, and belongs in the record of the try that succeeds.
        backends: what it calls, for their prices in a budget in money.
        again: the runs that this one does again, nearest first: their answers come first, and count as the calls they
            were.
        beside_others: other tasks of the same step make calls of the run meanwhile.
        scope: whose equal requests a service may take for one; empty is the run: another one pays for itself.
        siblings: callers that share the budget, this one included; a call of theirs under way counts at its most.
    """

    config: RunConfig
    journal: Journal | None
    run_id: str
    task: str
    before: list[ModelCall]
    round: int
    failed: Failed
    backends: Backends = field(default_factory=dict)
    again: Sequence[str] = ()
    beside_others: bool = False
    scope: str = ""
    siblings: Sequence["ModelCaller"] = ()
    made: list[ModelCall] = field(default_factory=list)
    _booked: list[ModelCall] = field(default_factory=list)
    _looked: bool = False

    @classmethod
    def for_search_task(
        cls,
        state: SearchTask,
        runtime: "Runtime[RunConfig]",
        journal: Journal | None,
        failed: Failed,
        backends: Backends,
    ) -> "ModelCaller":
        """The calls of one of a round's searches, which is not handed the run's state."""
        own = {"runs": state.get("runs", 1), "run_key": state.get("run_key", "")}
        mine = RunState(calls=[], parent_run=state.get("parent_run"), **own)  # type: ignore[typeddict-item]
        calls = cls.of(mine, runtime, journal, failed, backends)
        before = spent_by_siblings(state, runtime.context)
        return replace(calls, round=state["round"], before=before, beside_others=True)

    @classmethod
    def of(
        cls, state: RunState, runtime: "Runtime[RunConfig]", journal: Journal | None, failed: Failed, backends: Backends
    ) -> "ModelCaller":
        """The calls of a node that was handed `state`."""
        info = runtime.execution_info
        task = info.task_id if info else ""
        earlier = failed.pop(task, [])
        # What was answered is found again in the journal, by the same ask; counted here it would be asked anew.
        incomplete_calls = [call for call in earlier if not call.completed] if journal else earlier
        return cls(
            config=runtime.context,
            journal=journal,
            run_id=run_name(state, info.thread_id if info else None, info.checkpoint_ns if info else ""),
            task=task,
            before=state.get("calls") or [],
            round=next_round(state),
            failed=failed,
            backends=backends,
            again=lineage.done_again if (lineage := state.get("parent_run")) else (),
            made=incomplete_calls,
        )

    async def execute(
        self,
        role: str,
        backend: str,
        kind: type[Answer],
        content: Mapping[str, Any],
        ask: Callable[[], Awaitable[Answer]],
        variation: SamplingParams | None = None,
        progress: ProgressCallback | None = None,
    ) -> Answer:
        """Call a model, unless the journal has the response. A response is in the journal before it is returned.

        Args:
            role: which port is called, for instance "judge.critique".
            backend: the backend's identity.
            kind: the response's class.
            content: everything that decides the answer, JSON-able, images by hash.
            ask: makes the call.
            progress: the progress callback; by default a no-op.

        Raises:
            BudgetExceededError: it would be one call too many, could cost too much, or the deadline has come.
            ReplayMissError: a strict replay, and nothing was recorded.
        """
        varied = variation or SamplingParams()
        content = {**content, "variation": variation_content(varied)}
        request = CallRequest.of(role, backend, content, before=self._all())
        call = ModelCall(
            role=role, backend=backend, round=self.round, variation=varied, request=request.request, elapsed_s=0
        )
        try:
            entry = await self._from_journal(request)
            if entry is None:
                call, entry = await self._within_budget(call, request, _checked(ask, kind, backend), progress)
        except BudgetExceededError as error:
            raise attach_calls(self.made, error) from error.__cause__
        self.made.append(pending_calls.with_answer(call, entry, reused=entry.run_id != self.run_id))
        event_log.log_answered_call(self.run_id, self.made[-1])
        try:
            return journals.decode(entry, kind)
        except (JudgeReplyError, RefusalError, UnreadableImageError) as error:
            attach_calls(self.made, error)  # it was answered, and is to be in the record though it ends the run
            raise

    async def execute_and_parse(
        self,
        role: str,
        backend: str,
        kind: type[Answer],
        content: Mapping[str, Any],
        ask: Callable[[SamplingParams], Awaitable[Answer]],
        first: SamplingParams | None = None,
    ) -> Answer:
        """Call a model; call it once more, with a rephrased prompt, when the response cannot be parsed.

        Args:
            first: sampling parameters of the first call; None are the defaults.

        Raises:
            JudgeReplyError: neither response could be parsed.
        """
        first = first or SamplingParams()
        varied = "seed_and_wording" if first.varied_parameter == "none" else first.varied_parameter
        changed = {"attempt": first.attempt + 1, "prompt_variant": first.prompt_variant + 1, "varied_parameter": varied}
        again = first.model_copy(update=changed)
        try:
            return await self.execute(role, backend, kind, content, lambda: ask(first), first)
        except JudgeReplyError:
            return await self.execute(role, backend, kind, content, lambda: ask(again), again)

    async def _from_journal(self, request: CallRequest) -> JournalEntry | None:
        """The cache: what the run was answered before, or, where its config says so, another run."""
        if self.journal is None:
            return None
        # Together, because each crosses to the store's thread and back. What is taken over has no answer, and a key
        # counts answers, so that it is the same without.
        find = self.journal.find(request.key, run_id=self.run_id)
        entry = await find if self._looked else (await asyncio.gather(find, self.take_over()))[0]
        if entry is None and self.config.cache != "record":
            entry = await self._answered_before(request.key, self.journal)
        if entry is None and self.config.cache == "replay":
            raise journals.replay_miss(request, await self.journal.similar(request))
        return entry

    async def _answered_before(self, key: str, journal: Journal) -> JournalEntry | None:
        """The response to another run: one that this run does again, nearest first, else whoever asked last."""
        for run_id in self.again:
            if entry := await journal.find(key, run_id=run_id):
                return entry
        if self.again:
            self._budget.check(self._all())  # where that run ended, this one does, whatever others were answered
        entry = await journal.find(key, run_id=None)
        if entry is not None:
            await journal.keep(entry, used_by=self.run_id)  # who does this run again is to be answered the same
        return entry

    async def take_over(self) -> None:
        """Book what the run asked and was not answered, in a process that ended or a step that was cancelled."""
        if self.journal is None or self._looked:
            return
        self._looked = True
        if failed_calls := await self.journal.unanswered(self.run_id):
            of_task = self.task if self.beside_others else None
            self.made[:0] = pending_calls.pending_calls_of(failed_calls, self._all(), of_task=of_task)

    async def _within_budget(
        self,
        call: ModelCall,
        request: CallRequest,
        ask: Callable[[], Awaitable[Answer]],
        progress: ProgressCallback | None,
    ) -> tuple[ModelCall, JournalEntry]:
        """The budget: reserve what the call may take, wait as its service asked, and note it before it is made.

        Whatever ends the process or the task meanwhile, the note is left, and is booked.
        """
        reserved = self._budget.reserve(call, request.content, self._counted())
        if wait := wait_before(self.made):
            await asyncio.sleep(wait)
            reserved = self._budget.reserve(call, request.content, self._counted())
        booked = reserved.booked
        pending_calls.under_way.add(booked.call_id)
        self._booked.append(booked)
        try:
            if self.journal is not None:
                note = FailedCall(run_id=self.run_id, call=booked, at=clock.now(), task=self.task, under_way=True)
                await self.journal.keep_lost(note)
            context = CallContext(
                progress=progress or ProgressCallback(),
                run_id=self.run_id,
                idempotency_key=f"{self.scope or self.run_id}-{request.key}",
                requests_left=reserved.requests,
            )
            return reserved.call, await self._traced(reserved, request, ask, context)
        finally:
            self._booked.remove(booked)
            pending_calls.under_way.discard(booked.call_id)

    async def _traced(
        self, reserved: Reservation, request: CallRequest, ask: Callable[[], Awaitable[Answer]], context: CallContext
    ) -> JournalEntry:
        """The call itself, in a span; what it gave is kept: an answer, a refusal, or words that nobody can read."""
        limit, began = asyncio.timeout(reserved.seconds), time.monotonic()
        answer, failure = None, None
        try:
            with in_call(context):
                async with limit:
                    with model_call(reserved.booked) as answered:
                        answer = await ask()
                        answered(answer)
        except Exception as error:
            if journals.failure_of(error) is None:
                await self._failed(reserved.booked, error, time.monotonic() - began, expired=limit.expired())
                raise
            failure = error
        elapsed_s = time.monotonic() - began
        entry = journals.entry_of(
            self.run_id,
            request,
            answer,
            failure,
            round=self.round,
            elapsed_s=elapsed_s,
            max_cost_usd=reserved.booked.max_cost_usd,
        )
        if self.journal is not None:
            await self._keep(entry, reserved.booked, self.journal)
        return entry

    async def _keep(self, entry: JournalEntry, booked: ModelCall, journal: Journal) -> None:
        try:
            await journal.keep(entry, answers=booked.call_id)
        except StorageError as error:
            settled = booked.model_copy(update={"completed": True, "unsettled": False})
            # It was paid for all the same.
            raise attach_calls([*self.made, pending_calls.with_answer(settled, entry, reused=False)], error) from None

    async def _failed(self, booked: ModelCall, error: Exception, elapsed_s: float, *, expired: bool) -> None:
        """Book a call without an answer; raises what the run ends with, where it is no use to make it again."""
        unsettled = expired or bool(getattr(error, "unsettled", False))
        self.made.append(pending_calls.failed_call(booked, error, elapsed_s=elapsed_s, unsettled=unsettled))
        event_log.log_failed_call(self.run_id, self.made[-1], error)
        if self.journal is not None:
            failed_call = FailedCall(run_id=self.run_id, call=self.made[-1], at=clock.now(), task=self.task)
            await self.journal.keep_lost(failed_call)
        if expired:
            raise BudgetExceededError("the deadline came during a call") from None
        if (too_long := too_long_wait(error, self.made, self.config)) is not None:
            raise attach_calls(self.made, too_long) from None
        self.failed[self.task] = self.made
        attach_calls(self.made, error)
        paid = any(c.role == "generate" and c.completed and not c.cached and c.cost_usd != 0 for c in self._all())
        error.__dict__.update(deadline_at=self.config.deadline_at, after_payment=paid)

    async def unrecorded(self) -> list[ModelCall]:
        """The run's calls that no update holds: those of a node that failed in a process that was killed at once."""
        return await pending_calls.unrecorded_calls(self.journal, self.run_id, self._all()) if self.journal else []

    def _all(self) -> list[ModelCall]:
        return [*self.before, *self.made]

    def _counted(self) -> list[ModelCall]:
        others = [one for one in self.siblings if one is not self]
        return [*self._all(), *(call for one in others for call in (*one.made, *one._booked))]

    @cached_property
    def _budget(self) -> CallBudget:
        return CallBudget(config=self.config, backends=self.backends, done_again=bool(self.again))


def _checked(ask: Callable[[], Awaitable[Answer]], kind: type[Answer], backend: str) -> Callable[[], Awaitable[Answer]]:
    async def checked() -> Answer:
        with named_errors(backend):
            return checked_response(await ask(), kind, backend)

    return checked
