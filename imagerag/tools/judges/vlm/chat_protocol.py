"""The seam between a judge and whatever runs its model: turns of text and images in, words out.

A `ChatModel` is the one place where a VLM is called. `vlm_openai.py` has the one for OpenAI's protocol; a model in this
process is another. A recording that must not pay twice wraps a `ChatModel`: all that goes in is in `ChatMessage.key`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Literal, Protocol, TypedDict

from imagerag.agent.control_tokens import neutralised
from imagerag.agent.ports import SamplingParameter
from imagerag.agent.types import SamplingParams


@dataclass(frozen=True)
class ChatImage:
    """An encoded image on its way to a model; its bytes show in no repr.

    Attributes:
        data: PNG or JPEG.
        media_type: "image/png" or "image/jpeg".
    """

    data: bytes = field(repr=False)
    media_type: str

    @cached_property
    def sha256(self) -> str:
        """The hash of the bytes."""
        return sha256(self.data).hexdigest()


@dataclass(frozen=True)
class ChatMessage:
    """One turn of a conversation: texts and images in the order they are read.

    Its texts are neutralised: whoever's words they hold, no model takes any of them for its control tokens.
    """

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | ChatImage, ...]

    def __post_init__(self) -> None:
        inert = tuple(neutralised(part) if isinstance(part, str) else part for part in self.parts)
        object.__setattr__(self, "parts", inert)

    @property
    def key(self) -> tuple[str, ...]:
        """Role, texts, and images by their hash: what a record of calls can be keyed by."""
        return (self.role, *(part if isinstance(part, str) else f"sha256:{part.sha256}" for part in self.parts))


@dataclass(frozen=True)
class Schema:
    """The form an answer should have.

    Attributes:
        name: of the form, for servers that want one.
        json_schema: a strict JSON schema (all fields required, none other allowed).
    """

    name: str
    json_schema: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ChatResponse:
    """What a model said.

    Attributes:
        text: its words; JSON where a schema was asked for and the model kept to it.
        usage: `input_tokens` and `output_tokens`, where the service told them.
        cost_usd: what it cost; None when that is not known.
        variation: what was really asked with, where the model refused what was wanted.
        note: what was unusual about the way it came.
    """

    text: str
    note: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    cost_usd: float | None = None
    variation: SamplingParams = field(default_factory=SamplingParams)


class ChatModel(Protocol):
    """A vision-language model that answers a conversation.

    Attributes:
        identity: `provider:model`.
        honours: which variations change its answers, as far as is known by now.
    """

    @property
    def identity(self) -> str: ...
    @property
    def honours(self) -> frozenset[SamplingParameter]: ...

    async def ask(
        self, turns: Sequence[ChatMessage], *, schema: Schema | None, variation: SamplingParams
    ) -> ChatResponse:
        """Continue the conversation by one answer.

        Raises:
            RefusalError: content policy.
            BackendError: the model did not answer; `retryable` says whether again can help.
            JudgeReplyError: it answered with nothing, or was cut off.
        """
        ...


class BuiltMessages(TypedDict):
    """What an answer of the judge says of the replies it was read from."""

    cost_usd: float | None
    usage: Mapping[str, int]
    requests: int
    variation: SamplingParams


def built_messages(*replies: ChatResponse, requests: int | None = None) -> BuiltMessages:
    """What replies cost and used together (US dollars; None when one price is not known), and how the first was asked.

    Args:
        requests: how often was asked for them, where that was more than there are replies.

    Raises:
        IndexError: no replies.
    """
    costs = [reply.cost_usd for reply in replies]
    usage: Counter[str] = Counter()
    for reply in replies:
        usage.update(reply.usage)
    cost = None if None in costs else sum(cost for cost in costs if cost is not None)
    asked = len(replies) if requests is None else requests
    return {"cost_usd": cost, "usage": dict(usage), "requests": asked, "variation": replies[0].variation}
