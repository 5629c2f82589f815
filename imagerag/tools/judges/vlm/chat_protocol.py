"""Interface between a VLM judge and a chat backend: messages with text and images in, text out.

All VLM calls go through `ChatModel`. `openai_backend.py` implements it for OpenAI's protocol, `transformers_backend.py`
for a model in this process. A cache wraps a `ChatModel` and uses `ChatMessage.key` as key.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, Literal, Protocol, TypedDict

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.agent.ports import SamplingParameter
from imagerag.agent.types import SamplingParams

TIMEOUT_S: Final = 120.0
"""Default timeout of a response of a hosted model, in seconds."""

LONGEST_ANSWER: Final = 16_384
"""Default maximum of response tokens, reasoning included, for models that are billed by token: several times the length
of a verdict. With it the maximum cost of a response is known before the request."""


def answer_limit(max_tokens: int | None, price: object) -> int | None:
    """Maximum number of response tokens of a hosted model: as set, else `LONGEST_ANSWER` if it is billed by token."""
    return max_tokens or (LONGEST_ANSWER if getattr(price, "bounded", False) else None)


@dataclass(frozen=True)
class ChatImage:
    """An encoded image in a request; its bytes do not appear in the repr.

    Attributes:
        data: PNG or JPEG.
        media_type: "image/png" or "image/jpeg".
    """

    data: bytes = field(repr=False)
    media_type: str

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes."""
        return sha256(self.data).hexdigest()


@dataclass(frozen=True)
class ChatMessage:
    """One message of a conversation: texts and images in reading order.

    Control tokens in its texts are neutralised, whoever wrote the text.
    """

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | ChatImage, ...]

    def __post_init__(self) -> None:
        inert = tuple(neutralised(part) if isinstance(part, str) else part for part in self.parts)
        object.__setattr__(self, "parts", inert)

    @property
    def key(self) -> tuple[str, ...]:
        """Cache key: role, texts, and images by their hash."""
        return (self.role, *(part if isinstance(part, str) else f"sha256:{part.sha256}" for part in self.parts))


@dataclass(frozen=True)
class Schema:
    """Form of a response.

    Attributes:
        name: name of the form, for servers that need one.
        json_schema: a strict JSON schema (all fields required, none other allowed).
    """

    name: str
    json_schema: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ChatResponse:
    """Response of a model.

    Attributes:
        text: the text; JSON if a schema was requested and the model followed it.
        usage: `input_tokens` and `output_tokens`, if the service reported them.
        cost_usd: cost in US dollars; None if not known.
        variation: the sampling parameters actually used, if the model refused the requested ones.
        note: anything unusual about the response.
    """

    text: str
    note: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    cost_usd: float | None = None
    variation: SamplingParams = field(default_factory=SamplingParams)


class ChatModel(Protocol):
    """A vision-language model that continues a conversation.

    Attributes:
        identity: `provider:model`.
        honours: the sampling parameters that take effect, as far as known.
    """

    @property
    def identity(self) -> str: ...
    @property
    def honours(self) -> frozenset[SamplingParameter]: ...

    async def ask(
        self, turns: Sequence[ChatMessage], *, schema: Schema | None, variation: SamplingParams
    ) -> ChatResponse:
        """Send a conversation and return the model's response.

        Raises:
            RefusalError: content policy.
            BackendError: no response; `retryable` says whether a retry can help.
            JudgeReplyError: the response is empty or cut off.
        """
        ...


class BuiltMessages(TypedDict):
    """Fields of a judge's result that come from its responses."""

    cost_usd: float | None
    usage: Mapping[str, int]
    requests: int
    variation: SamplingParams


async def ask_once(
    chat: ChatModel,
    turns: Sequence[ChatMessage],
    replies: list[ChatResponse],
    *,
    schema: Schema | None,
    variation: SamplingParams,
) -> str:
    """Send a conversation; the response is added to `replies`, for its cost even if it cannot be used.

    Returns:
        The response's text.

    Raises:
        RefusalError, BackendError, JudgeReplyError: as `ChatModel.ask`.
    """
    try:
        reply = await chat.ask(turns, schema=schema, variation=variation)
    except (JudgeReplyError, RefusalError) as error:
        text = getattr(error, "raw", "")
        replies.append(ChatResponse(text=text, usage=error.usage, cost_usd=error.cost_usd, variation=variation))
        raise
    replies.append(reply)
    return reply.text


@contextmanager
def with_cost_of(replies: Sequence[ChatResponse]) -> Iterator[None]:
    """Add the cost of responses to the error of one that cannot be parsed, or is a refusal.

    Args:
        replies: all responses of a call, so far.
    """
    try:
        yield
    except (JudgeReplyError, RefusalError) as error:
        built = built_messages(*replies)
        error.with_cost(built["cost_usd"], built["usage"])
        raise


def built_messages(*replies: ChatResponse, requests: int | None = None) -> BuiltMessages:
    """Total cost and usage of responses (US dollars; None if one price is not known), and the first one's parameters.

    Args:
        requests: number of requests, if more than there are responses.

    Raises:
        IndexError: no responses.
    """
    costs = [reply.cost_usd for reply in replies]
    usage: Counter[str] = Counter()
    for reply in replies:
        usage.update(reply.usage)
    cost = None if None in costs else sum(cost for cost in costs if cost is not None)
    request_count = len(replies) if requests is None else requests
    return {"cost_usd": cost, "usage": dict(usage), "requests": request_count, "variation": replies[0].variation}
