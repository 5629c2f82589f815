"""Separate reasoning that a server sends beside the response, and find a response put into the reasoning field.

Chat Completions has no field for reasoning: vLLM, SGLang, llama.cpp and DeepSeek send `reasoning_content`, OpenRouter
and newer servers `reasoning` or `reasoning_details`, Ollama `thinking`, Mistral parts of the content. A server whose
reasoning parser waits for a closing tag that never comes puts the whole response there and leaves `content` empty.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.errors import JudgeReplyError
from imagerag.tools.model_text import clean
from imagerag.tools.reasoning_tags import is_json, words_of

if TYPE_CHECKING:
    from langchain_core.outputs import ChatResult

FIELDS: Final = (
    "reasoning_content", "reasoning", "thinking", "thinking_content", "reasoning_text", "thought", "thoughts",
    "reasoning_details", "thinking_blocks",
)  # fmt: skip
MAX_CHARACTERS: Final = 500_000
"""More than models write. To parse a text takes seconds per million characters, in which every other run waits."""

_KEPT_CHARACTERS: Final = 10_000
"""Of a text that is too long: the record keeps its start."""

_KEPT: Final = "reasoning_beside_answer"
_log = logging.getLogger(__name__)


def reasoning_in(message: Mapping[str, Any]) -> tuple[str, str]:
    """The field of a chat message that holds reasoning, and its text; both empty if there is none."""
    for name in FIELDS:
        if words := words_of(message.get(name)).strip():
            return name, words
    content = message.get("content")
    parts = [part for part in content if _is_thought(part)] if isinstance(content, list) else []
    words = words_of(parts).strip()
    return ("content", words) if words else ("", "")


def keep_reasoning(result: "ChatResult", response: Any) -> "ChatResult":
    """ChatOpenAI's result of a response, with the reasoning that ChatOpenAI drops."""
    body: Any = response if isinstance(response, Mapping) else response.model_dump(warnings=False)
    choices: Sequence[Any] = body.get("choices") or ()
    for generation, choice in zip(result.generations, choices, strict=False):
        reasoning = reasoning_in(choice.get("message") or {})
        if reasoning[0]:
            generation.message.additional_kwargs[_KEPT] = reasoning
    return result


def answer_text(who: str, text: str, extra_fields: Mapping[str, Any], *, cut_off: bool) -> tuple[str, str]:
    """The text of a response, and a note if it was in the reasoning field.

    Bare JSON in the reasoning field counts as the response, because reasoning is never only JSON; other text there is
    reasoning.

    Args:
        text: the content.
        extra_fields: the message's `additional_kwargs`, after `keep_reasoning`.
        cut_off: whether the server stopped the response at its token limit.

    Raises:
        JudgeReplyError: too long, cut off, empty, or reasoning only; it keeps the text, of a long one the start.
    """
    field, thoughts = extra_fields.get(_KEPT, ("", ""))
    words = text if text.strip() else thoughts
    if len(words) > MAX_CHARACTERS:
        message = f"{who} answered with {len(words):,} characters, more than the {MAX_CHARACTERS:,} that are read"
        raise JudgeReplyError(message, raw=words[:_KEPT_CHARACTERS])
    if cut_off:
        raise JudgeReplyError(f"{who} was cut off at its token limit", raw=words)
    if clean(text):
        return text, ""
    if is_json(clean(thoughts)):
        note = f"{who} sent its answer in {field}, and no content"
        _log.warning("%s: switch its server's reasoning parser off, or the model's reasoning on", note)
        return clean(thoughts), note
    if not thoughts and not text.strip():
        raise JudgeReplyError(f"{who} answered with nothing")
    where = f"in {field} " if thoughts else ""
    raise JudgeReplyError(
        f"{who} sent reasoning {where}and no answer after it: let it write more (max_tokens), or switch reasoning off",
        raw=thoughts or text,
    )


def _is_thought(part: Any) -> bool:
    kind = str(part.get("type") or "") if isinstance(part, Mapping) else ""
    return any(word in kind for word in ("think", "reason", "thought"))
