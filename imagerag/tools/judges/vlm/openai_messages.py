"""Convert chat messages to LangChain's, with images by their hashes, and make a request's idempotency key."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatMessage
from imagerag.tools.judges.vlm.hashed_chat_openai import BY_HASH
from imagerag.tools.openai import idempotency

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage


def langchain_messages(turns: Sequence[ChatMessage], detail: str | None) -> "list[BaseMessage]":
    """Convert messages to LangChain's.

    Args:
        detail: "low", "high" or "auto", sent with each image; empty or None leaves it out.
    """
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[turn.role](content=_content(turn, detail)) for turn in turns]


def images_of(turns: Sequence[ChatMessage]) -> list[ChatImage]:
    """The images of all messages, in order."""
    return [part for turn in turns for part in turn.parts if isinstance(part, ChatImage)]


def idempotency_headers(turns: Sequence[ChatMessage], options: Mapping[str, Any]) -> dict[str, str]:
    """The `Idempotency-Key` header of one request; empty outside of a run.

    One journal call can take several requests (votes, a refused option), which a service must not treat as one: each
    key includes a digest of the request's content.
    """
    own_headers = idempotency.headers()
    content = json.dumps([[turn.key for turn in turns], options], sort_keys=True, default=dict)
    digest = sha256(content.encode()).hexdigest()[:16]
    return {name: f"{key}-{digest}" for name, key in own_headers.items()}


def _content(turn: ChatMessage, detail: str | None) -> Any:
    if turn.role != "user":
        return "\n\n".join(part for part in turn.parts if isinstance(part, str))
    more = {"detail": detail} if detail else {}
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": f"{BY_HASH}{part.sha256}", **more}}
        for part in turn.parts
    ]
