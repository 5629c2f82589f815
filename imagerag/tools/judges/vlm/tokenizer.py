"""The control tokens of a model in this process: which there are, and what is decoded from its answer."""

from collections.abc import Sequence
from typing import Any, Final

from imagerag.tools.reasoning_tags import opened_reasoning, split_reasoning

_TAIL: Final = 32
"""Tokens at the end of a prompt in which a template may open the thoughts."""


def control_tokens_of(processor: Any) -> list[str]:
    """The control tokens of a processor's tokenizer: those it calls special, and those for images and other media."""
    tokenizer = getattr(processor, "tokenizer", processor)
    added = getattr(tokenizer, "added_tokens_decoder", {})
    media = [getattr(processor, name, None) for name in ("image_token", "video_token", "audio_token", "boi_token")]
    found = [*getattr(tokenizer, "all_special_tokens", ()), *(str(t) for t in added.values() if t.special), *media]
    return sorted({token for token in found if isinstance(token, str)}, key=len, reverse=True)


def decoded(processor: Any, read: Sequence[int], said: Sequence[int]) -> str:
    """What was said, its thoughts in their tags and no other special tokens in it.

    Tags of thoughts are special tokens to some tokenizers: left out in decoding, they would leave thoughts that look
    like an answer. And a template that opens the tag in the prompt leaves only the closing one to be said.
    """
    opened = opened_reasoning(processor.decode(list(read)[-_TAIL:], skip_special_tokens=False))
    whole = opened + processor.decode(said, skip_special_tokens=False)
    reasoning, answer = split_reasoning(whole)
    if not reasoning:
        return str(processor.decode(said, skip_special_tokens=True))
    for token in control_tokens_of(processor):
        answer = answer.replace(token, "")
    return reasoning + answer if answer.strip() else reasoning
