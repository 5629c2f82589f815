"""The journal: keys of model calls, entries with their responses, and errors that are kept as responses.

A call is known by the content of its request: role, backend, every parameter, the prompt's text, the hashes of all
images, and how many times this run has asked the very same before (a deliberate second ask is a second call). What is
kept is the answer, or that the model refused or could not be read: that was paid for too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import Field

from imagerag.agent import clock
from imagerag.agent.calls.response_check import adapter_of, known_cost, token_counts
from imagerag.agent.error_message import message_of
from imagerag.agent.errors import JudgeReplyError, RefusalError, ReplayMissError, UnreadableImageError
from imagerag.agent.lone_surrogates import valid_json, valid_text
from imagerag.agent.ports import ModelResponse
from imagerag.agent.types import FrozenModel, ModelCall, SamplingParams

Answer = TypeVar("Answer")


class CallRequest(FrozenModel):
    """A model call before it is made.

    Attributes:
        content: everything else that decides the answer, JSON-able, images by hash.
        request: SHA-256 of role, backend and content.
        nth: number of equal requests of this run before it.
    """

    role: str
    backend: str
    content: Mapping[str, Any]
    request: str
    nth: int = 0

    @classmethod
    def of(
        cls, role: str, backend: str, content: Mapping[str, Any], *, before: Sequence[ModelCall] = ()
    ) -> "CallRequest":
        """Make the request of a call.

        Args:
            before: the run's calls so far; the completed ones with the same request are counted.
        """
        text = json.dumps({"role": role, "backend": backend, "content": content}, sort_keys=True)
        request = hashlib.sha256(text.encode()).hexdigest()
        nth = sum(call.request == request and call.completed for call in before)
        return cls(role=role, backend=backend, content=content, request=request, nth=nth)

    @property
    def key(self) -> str:
        """The key of its entry: the request's hash and `nth`."""
        return f"{self.request}-{self.nth}"


class JournalEntry(FrozenModel):
    """One answered call.

    Attributes:
        run_id: the run that paid for it.
        answer: the answer as JSON, images by hash; None when the model refused or could not be read.
        failure: then the class of the error, its message and the model's words.
        elapsed_s: how long the model took.
        cost_usd: None when it is not known.
        usage: tokens by kind of a failure, where the service counted them; an answer has its own.
        max_cost_usd: what a failure of unknown cost was paid with at most. None where that is not known, and where a
            model refused, which services charge nothing or next to nothing for.
        at: ISO 8601 time.
        round: the round it belongs to.
    """

    run_id: str
    asked: CallRequest
    round: int = 0
    answer: Mapping[str, Any] | None
    failure: Mapping[str, str] | None = None
    elapsed_s: float
    cost_usd: float | None = None
    usage: Mapping[str, int] = Field(default_factory=dict)
    max_cost_usd: float | None = None
    at: str

    @property
    def unsettled(self) -> bool:
        """Whether something came and was paid for, cannot be read, and its cost is not known."""
        return self.failure is not None and self.failure["error"] != RefusalError.__name__ and self.cost_usd is None

    @property
    def raw(self) -> str:
        """The model's own words, where it used words."""
        return str((self.answer or self.failure or {}).get("raw", ""))

    @property
    def error(self) -> str | None:
        """The message of the failure; None when there is an answer."""
        return self.failure["message"] if self.failure else None


class FailedCall(FrozenModel):
    """A call without an answer: nothing to use again, but it was made, and belongs in the run's record and budget.

    It is noted before it is made, and forgotten when it is answered: what is left is what a process did not live to see
    the end of, and what failed.

    Attributes:
        call: as it is booked while it has no answer.
        at: ISO 8601 time at which it began, or failed.
        task: the task of the graph that made it.
        under_way: it has not failed, as far as anybody lived to tell.
    """

    run_id: str
    call: ModelCall
    at: str
    task: str = ""
    under_way: bool = False


class Journal(Protocol):
    """Store of answered calls."""

    async def find(self, key: str, *, run_id: str | None) -> JournalEntry | None:
        """The entry under a key: of that run or used by it, or the newest of any run when `run_id` is None."""
        ...

    async def keep(self, entry: JournalEntry, *, used_by: str | None = None, answers: str = "") -> None:
        """Keep an entry under its key; it is durable when this returns.

        Args:
            answers: the `call_id` of the call that it answers, which is not unanswered any more.
            used_by: a run that was given this answer though another one paid for it. It is kept for that run alone, and
                is not one of the answers it paid for.
        """
        ...

    async def keep_lost(self, lost: FailedCall) -> None:
        """Keep a call that has no answer, under its `call_id`; once this returns, no kill takes it back.

        Raises:
            StorageError: it is about to be made and paid for, and its answer could not be kept.
        """
        ...

    async def unanswered(self, run_id: str) -> Sequence[FailedCall]:
        """The run's calls that have no answer."""
        ...

    async def of_run(self, run_id: str) -> tuple[Sequence[JournalEntry], Sequence[FailedCall]]:
        """Everything a run was answered, and its calls that have no answer."""
        ...

    async def similar(self, request: CallRequest) -> JournalEntry | None:
        """The kept entry of the same role whose request differs least from one that is not there."""
        ...


def variation_content(variation: SamplingParams) -> dict[str, Any]:
    """A variation as part of a request; an empty `failed_searches` is left out, so that it changes no key."""
    return variation.model_dump(mode="json", exclude=None if variation.failed_searches else {"failed_searches"})


def encode(answer: Any) -> Mapping[str, Any]:
    """Encode a response as JSON-able data, with valid text in it."""
    data: Mapping[str, Any] = valid_json(adapter_of(type(answer)).dump_python(answer, mode="json"))
    return data


def entry_of(
    run_id: str,
    request: CallRequest,
    answer: ModelResponse | None,
    error: Exception | None,
    *,
    round: int,
    elapsed_s: float,
    max_cost_usd: float | None = None,
) -> JournalEntry:
    """The entry of a call that was answered now, or has failed for good, at `max_cost_usd` at most.

    Args:
        error: one that `failure_of` knows.
    """
    paid = error if answer is None else answer
    entry = JournalEntry(
        run_id=run_id,
        asked=request,
        round=round,
        answer=encode(answer) if answer is not None else None,
        failure=failure_of(error) if error is not None else None,
        elapsed_s=elapsed_s,
        cost_usd=known_cost(getattr(paid, "cost_usd", None)),
        usage=token_counts(getattr(error, "usage", None)),
        at=clock.now(),
    )
    return entry.model_copy(update={"max_cost_usd": max_cost_usd}) if entry.unsettled else entry


def decode(entry: JournalEntry, kind: type[Answer]) -> Answer:
    """Decode the response of an entry.

    Raises:
        RefusalError, JudgeReplyError, UnreadableImageError: when that is what was answered.
    """
    if entry.failure is None:
        answer: Answer = adapter_of(kind).validate_python(entry.answer)
        return answer
    if entry.failure["error"] == RefusalError.__name__:
        raise RefusalError(entry.failure["message"])
    if entry.failure["error"] == UnreadableImageError.__name__:
        raise UnreadableImageError(entry.failure["message"])
    raise JudgeReplyError(entry.failure["message"], raw=entry.raw)


def failure_of(error: Exception) -> Mapping[str, str] | None:
    """The entry of an error that is a response, and so was paid for; None for any other error."""
    kinds = (RefusalError, UnreadableImageError, JudgeReplyError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), None)
    raw = getattr(error, "raw", "")
    words = valid_text(raw) if isinstance(raw, str) else ""
    return kind and {"error": kind.__name__, "message": message_of(error), "raw": words}


def replay_miss(request: CallRequest, nearest: JournalEntry | None) -> ReplayMissError:
    """The error for a call that a strict replay has no answer to, saying what differs from the nearest recorded one."""
    if nearest is None:
        return ReplayMissError(f"replay: no call of {request.role} was ever recorded")
    recorded = nearest.asked
    differing = [
        f"{name}: asked {_short(request.content.get(name))}, recorded {_short(recorded.content.get(name))}"
        for name in sorted({*request.content, *recorded.content})
        if request.content.get(name) != recorded.content.get(name)
    ]
    if request.backend != recorded.backend:
        differing.append(f"backend: asked {request.backend}, recorded {recorded.backend}")
    if request.nth != recorded.nth:
        differing.append(f"this is ask number {request.nth + 1} of the same, recorded is number {recorded.nth + 1}")
    return ReplayMissError(
        f"replay: {request.role} was not recorded like this; nearest is a call of run {nearest.run_id}. "
        f"What differs: {'; '.join(differing)}"
    )


def distance(one: CallRequest, other: CallRequest) -> int:
    """The number of differences of two requests; parts of the content count double."""
    names = {*one.content, *other.content}
    parts = len([name for name in names if one.content.get(name) != other.content.get(name)])
    return 2 * parts + int(one.backend != other.backend) + int(one.nth != other.nth)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
