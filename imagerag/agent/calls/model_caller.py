"""Every model call of a node goes through here: the journal and the budget before it, a record after it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

from imagerag.agent import clock
from imagerag.agent.calls import journal as journals
from imagerag.agent.calls import pending_calls
from imagerag.agent.calls.budget import (
    Tariffs,
    budget_violation,
    estimator_for,
    max_cost,
    max_observed_cost,
    requests_made,
    spent_by_siblings,
    told_by,
)
from imagerag.agent.calls.call_context import request_budget
from imagerag.agent.calls.idempotency import idempotency_key
from imagerag.agent.calls.journal import CallRequest, FailedCall, Journal, JournalEntry
from imagerag.agent.errors import (
    BudgetExceededError,
    JudgeReplyError,
    RefusalError,
    StorageError,
    UnreadableImageError,
    WaitTooLongError,
)
from imagerag.agent.observability import event_log
from imagerag.agent.observability.spans import model_call
from imagerag.agent.ports import ModelResponse, PriceEstimator
from imagerag.agent.retry_policy import describe_delay
from imagerag.agent.state import RunState, SearchTask, next_round, run_name
from imagerag.agent.types import ModelCall, RunConfig, SamplingParams

if TYPE_CHECKING:
    from langgraph.runtime import Runtime  # lists of runs read records, and are to load no langgraph

Answer = TypeVar("Answer", bound=ModelResponse)
Failure = TypeVar("Failure", bound=Exception)
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
        tariffs: what is known of the backends' prices, for budgets in money.
        again: the runs that this one does again, nearest first: their answers come first, and count as the calls they
            were.
        beside_others: other tasks of the same step make calls of the run meanwhile.
    """

    knobs: RunConfig
    journal: Journal | None
    run_id: str
    task: str
    before: list[ModelCall]
    round: int
    failed: Failed
    tariffs: Tariffs = field(default_factory=dict)
    again: Sequence[str] = ()
    beside_others: bool = False
    made: list[ModelCall] = field(default_factory=list)
    _looked: bool = False

    @classmethod
    def of_search(
        cls, state: SearchTask, runtime: "Runtime[RunConfig]", journal: Journal | None, failed: Failed, tariffs: Tariffs
    ) -> "ModelCaller":
        """The calls of one of a round's searches, which is not handed the run's state."""
        own = {"runs": state.get("runs", 1), "run_key": state.get("run_key", "")}
        mine = RunState(calls=[], continues=state.get("continues"), **own)  # type: ignore[typeddict-item]
        calls = cls.of(mine, runtime, journal, failed, tariffs)
        before = spent_by_siblings(state, runtime.context)
        return replace(calls, round=state["round"], before=before, beside_others=True)

    @classmethod
    def of(
        cls, state: RunState, runtime: "Runtime[RunConfig]", journal: Journal | None, failed: Failed, tariffs: Tariffs
    ) -> "ModelCaller":
        """The calls of a node that was handed `state`."""
        info = runtime.execution_info
        task = info.task_id if info else ""
        earlier = failed.pop(task, [])
        # What was answered is found again in the journal, by the same ask; counted here it would be asked anew.
        lost = [call for call in earlier if not call.answered] if journal else earlier
        return cls(
            knobs=runtime.context,
            journal=journal,
            run_id=run_name(state, info.thread_id if info else None, info.checkpoint_ns if info else ""),
            task=task,
            before=state.get("calls") or [],
            round=next_round(state),
            failed=failed,
            tariffs=tariffs,
            again=lineage.done_again if (lineage := state.get("continues")) else (),
            made=lost,
        )

    async def make(
        self,
        role: str,
        backend: str,
        kind: type[Answer],
        content: Mapping[str, Any],
        ask: Callable[[], Awaitable[Answer]],
        variation: SamplingParams | None = None,
    ) -> Answer:
        """Make one call, unless the journal has its answer; an answer is kept before it is given back.

        Args:
            role: which port is called, for instance "judge.critique".
            backend: the backend's identity.
            kind: the answer's class.
            content: everything that decides the answer, JSON-able, images by hash.
            ask: makes the call.

        Raises:
            BudgetExceededError: it would be one call too many, could cost too much, or the deadline has come.
            ReplayMissError: a strict replay, and nothing was recorded.
        """
        varied = variation or SamplingParams()
        content = {**content, "variation": written(varied)}
        asked = CallRequest.of(role, backend, content)
        asked = asked.again(sum(call.request == asked.request and call.answered for call in self._all()))
        call = ModelCall(
            role=role, backend=backend, round=self.round, variation=varied, request=asked.request, elapsed_s=0
        )
        entry = await self._known(asked)
        if entry is None:
            call = self._priced(call, content)
            entry = await self._ask(call, asked, ask, content)
        self.made.append(pending_calls.answered_by(call, entry, reused=entry.run_id != self.run_id))
        event_log.answered(self.run_id, self.made[-1])
        try:
            return journals.decode(entry, kind)
        except (JudgeReplyError, RefusalError, UnreadableImageError) as error:
            attach_calls(self.made, error)  # it was answered, and is to be in the record though it ends the run
            raise

    async def make_readable(
        self,
        role: str,
        backend: str,
        kind: type[Answer],
        content: Mapping[str, Any],
        ask: Callable[[SamplingParams], Awaitable[Answer]],
        first: SamplingParams | None = None,
    ) -> Answer:
        """Make one call, and once more with other words when the answer cannot be read.

        Args:
            first: how it is asked first, where that is another way than the usual one.

        Raises:
            JudgeReplyError: neither answer could be read.
        """
        first = first or SamplingParams()
        again = first.model_copy(update={"attempt": first.attempt + 1, "wording": first.wording + 1})
        if again.lever == "none":
            again = again.model_copy(update={"lever": "seed_and_wording"})
        try:
            return await self.make(role, backend, kind, content, lambda: ask(first), first)
        except JudgeReplyError:
            return await self.make(role, backend, kind, content, lambda: ask(again), again)

    async def _known(self, asked: CallRequest) -> JournalEntry | None:
        if self.journal is None:
            return None
        # Together, because each crosses to the store's thread and back. What is taken over has no answer, and a key
        # counts answers, so that it is the same without.
        find = self.journal.find(asked.key, run_id=self.run_id)
        entry = await find if self._looked else (await asyncio.gather(find, self.take_over()))[0]
        if entry is None and self.knobs.journal != "record":
            entry = await self._answered_before(asked.key, self.journal)
        if entry is None and self.knobs.journal == "replay":
            raise journals.replay_miss(asked, await self.journal.similar(asked))
        return entry

    async def _answered_before(self, key: str, journal: Journal) -> JournalEntry | None:
        """What another run was answered: one that this run does again, nearest first, else whoever asked last."""
        for run_id in self.again:
            if entry := await journal.find(key, run_id=run_id):
                return entry
        if self.again:
            self._check_budget()  # where that run ended, this one does, whatever others were answered
        entry = await journal.find(key, run_id=None)
        if entry is not None:
            await journal.keep(entry, used_by=self.run_id)  # who does this run again is to be answered the same
        return entry

    async def take_over(self) -> None:
        """Book what the run asked and was not answered, in a process that ended or a step that was cancelled."""
        if self.journal is None or self._looked:
            return
        self._looked = True
        lost = await self.journal.unanswered(self.run_id)
        found = pending_calls.pending_of(lost, self._all(), of_task=self.task if self.beside_others else None)
        self.made[:0] = found

    async def _ask(
        self, call: ModelCall, asked: CallRequest, ask: Callable[[], Awaitable[Answer]], content: Mapping[str, Any]
    ) -> JournalEntry:
        """Make the call, and keep what was answered: an answer, a refusal, or words that could not be read.

        It is noted first. Whatever ends the process or the task meanwhile, the note is left, and is booked.
        """
        await self._wait_as_told()
        if self.journal is not None:
            await self.journal.check_space()
        left, booked = self._check_budget(), self._booked(call, content)
        pending_calls.under_way.add(booked.call_id)
        try:
            if self.journal is not None:
                await self.journal.keep_lost(pending_calls.record_pending(booked, self.run_id, self.task))
            return await self._asked(booked, asked, ask, left)
        finally:
            pending_calls.under_way.discard(booked.call_id)

    async def _asked(
        self, booked: ModelCall, asked: CallRequest, ask: Callable[[], Awaitable[Answer]], left: float | None
    ) -> JournalEntry:
        limit, began = asyncio.timeout(left), time.monotonic()
        answer, failure = None, None
        try:
            # The run is in the key: another run that asks the same pays for itself.
            with idempotency_key(f"{self.run_id}-{asked.key}"), request_budget(self._requests_left()):
                async with limit:
                    with model_call(booked) as answered:
                        answer = await ask()
                        answered(answer)
        except Exception as error:
            failure = journals.failure_of(error)
            if failure is None:
                await self._keep_lost(booked, error, time.monotonic() - began, expired=limit.expired())
                if limit.expired():
                    raise self._over("the deadline came during a call") from None
                if (too_long := self._too_long(error)) is not None:
                    raise too_long from None
                self.failed[self.task] = self.made
                attach_calls(self.made, error)
                error.__dict__.update(deadline_at=self.knobs.deadline_at, after_payment=self._paid())
                raise
        entry = JournalEntry(
            run_id=self.run_id,
            asked=asked,
            round=self.round,
            answer=journals.encode(answer) if answer is not None else None,
            failure=failure,
            elapsed_s=time.monotonic() - began,
            cost_usd=answer.cost_usd if answer is not None else None,
            at=clock.now(),
        )
        if self.journal is not None:
            try:
                await self.journal.keep(entry, answers=booked.call_id)
            except StorageError as error:
                settled = booked.model_copy(update={"answered": True, "unsettled": False})
                # It was paid for all the same.
                raise attach_calls(
                    [*self.made, pending_calls.answered_by(settled, entry, reused=False)], error
                ) from None
        return entry

    async def left_out(self) -> list[ModelCall]:
        """The run's calls that no update holds: those of a node that failed in a process that was killed at once."""
        return [] if self.journal is None else await pending_calls.is_unrecorded(self.journal, self.run_id, self._all())

    async def _keep_lost(self, booked: ModelCall, error: Exception, elapsed_s: float, *, expired: bool) -> None:
        unsettled = expired or bool(getattr(error, "unsettled", False))
        self.made.append(pending_calls.record_failure(booked, error, elapsed_s=elapsed_s, unsettled=unsettled))
        event_log.lost(self.run_id, self.made[-1], error)
        if self.journal is not None:
            await self.journal.keep_lost(
                FailedCall(run_id=self.run_id, call=self.made[-1], at=clock.now(), task=self.task)
            )

    async def _wait_as_told(self) -> None:
        """Wait as long as the service asked for when it turned the last call down."""
        last = self.made[-1] if self.made else None
        wait = last.retry_after_s if last and not last.answered else None
        if wait:
            self._check_budget()
            await asyncio.sleep(wait)

    def _too_long(self, error: Exception) -> WaitTooLongError | None:
        """The error that ends the run, where a service asks for a longer wait than there is time or patience for."""
        wait = getattr(error, "retry_after_s", None)
        if not wait or not getattr(error, "retryable", False):
            return None
        turned_down = list(takewhile(lambda call: not call.answered, reversed(self.made)))
        waited = sum(call.retry_after_s or 0 for call in turned_down[1:])
        left = None if self.knobs.deadline_at is None else self.knobs.deadline_at - clock.seconds()
        if left is not None and wait >= left:
            why = f"the run's deadline is in {describe_delay(max(0.0, left))} (--deadline-s)"
        elif waited + wait > self.knobs.patience_s:
            before = f", after {describe_delay(waited)} of waiting" if waited else ""
            why = f"a call waits {describe_delay(self.knobs.patience_s)} at most{before} (--patience-s)"
        else:
            return None
        message = f"{error}; it asks to wait {describe_delay(wait)}, and {why}: ask again later, or allow more"
        return attach_calls(self.made, WaitTooLongError(message, retry_after_s=wait))

    def _paid(self) -> bool:
        """Whether the run has a drawing that was paid for."""
        return any(c.role == "generate" and c.answered and not c.reused and c.cost_usd != 0 for c in self._all())

    def _all(self) -> list[ModelCall]:
        return [*self.before, *self.made]

    def _priced(self, call: ModelCall, content: Mapping[str, Any]) -> ModelCall:
        """The call, with the most it can cost where a budget in money is to be kept and it still fits it."""
        limit, usd = self.knobs.max_cost_usd, self.knobs.assume_cost_usd_per_call
        if limit is None and usd is None:
            return call
        tariff, most, assumed = self._most(call, content)
        why = "" if limit is None else budget_violation(call.role, call.backend, self._all(), tariff, most, limit)
        if why:
            raise self._over(why)
        return call.model_copy(update={"most_usd": most, "assumed": assumed})

    def _most(self, call: ModelCall, content: Mapping[str, Any]) -> tuple[PriceEstimator, float | None, bool]:
        """What is known of a call's price, the most it can cost, and whether that is what was said to assume."""
        tariff = told_by(estimator_for(call.role, self.tariffs), call.role, self._all())
        usd = self.knobs.assume_cost_usd_per_call
        partial_images = self.knobs.partial_images if call.role == "generate" else 0
        most = max_cost(tariff, content, self.knobs.size, partial_images)
        if most is not None or tariff.known or usd is None:
            return tariff, most, False
        return tariff, max_cost(tariff.assuming(usd), content, self.knobs.size), True

    def _booked(self, call: ModelCall, content: Mapping[str, Any]) -> ModelCall:
        """The call as it counts until it is answered: what it can cost at most, else what the dearest like it did."""
        tariff, most, assumed = self._most(call, content)
        if most is None:
            most = max_observed_cost(call.role, self._all())
        left = self._requests_left()
        requests = tariff.requests if left is None else max(1, min(tariff.requests, left))
        return pending_calls.write_pending(call, most_usd=most, assumed=assumed, requests=requests)

    def _check_budget(self) -> float | None:
        """Seconds left until the deadline; None when there is none."""
        left = self._requests_left()
        if left is not None and left <= 0:
            raise self._over(f"the run may make {self.knobs.max_calls} model calls, and has made them")
        until = self.knobs.deadline_at
        seconds = until - clock.seconds() if until is not None else None
        if seconds is not None and seconds <= 0:
            raise self._over("the deadline has come")
        return seconds

    def _requests_left(self) -> int | None:
        """How many requests the run may still make; None when it may make any number."""
        limit = self.knobs.max_calls
        return None if limit is None else limit - requests_made(self._all(), done_again=bool(self.again))

    def _over(self, message: str) -> BudgetExceededError:
        return attach_calls(self.made, BudgetExceededError(message))


def written(variation: SamplingParams) -> dict[str, Any]:
    """A variation as part of what is asked; without what came later and is empty, so that old answers are found."""
    return variation.model_dump(mode="json", exclude=None if variation.in_vain else {"in_vain"})


def attach_calls(calls: list[ModelCall], error: Failure) -> Failure:
    """The error, carrying the calls its node made: a node that fails returns no update that could."""
    error.__dict__["calls"] = calls
    return error


def calls_from_error(error: BaseException) -> list[ModelCall]:
    """The calls that a failed node made before it failed."""
    calls: list[ModelCall] = error.__dict__.get("calls", [])
    return calls
