"""Control tokens of a model in this process, and decoding of its output."""

from collections.abc import Sequence
from typing import Any, Final

from imagerag.tools.reasoning_tags import opened_reasoning, split_reasoning

_TAIL: Final = 32
"""Number of tokens at the end of a prompt in which a template may open a reasoning tag."""


def control_tokens_of(processor: Any) -> list[str]:
    """Control tokens of a processor's tokenizer: its special tokens, and those for images and other media."""
    tokenizer = getattr(processor, "tokenizer", processor)
    added = getattr(tokenizer, "added_tokens_decoder", {})
    media = [getattr(processor, name, None) for name in ("image_token", "video_token", "audio_token", "boi_token")]
    tokens = [*getattr(tokenizer, "all_special_tokens", ()), *(str(t) for t in added.values() if t.special), *media]
    return sorted({token for token in tokens if isinstance(token, str)}, key=len, reverse=True)


def decoded(processor: Any, input_ids: Sequence[int], output_ids: Sequence[int]) -> str:
    """Decode a response: reasoning stays in its tags, other special tokens are removed.

    Some tokenizers treat reasoning tags as special tokens: skipped in decoding, they would leave reasoning that looks
    like a response. If the template opens the tag in the prompt, the model writes only the closing one.
    """
    opened = opened_reasoning(processor.decode(list(input_ids)[-_TAIL:], skip_special_tokens=False))
    whole = opened + processor.decode(output_ids, skip_special_tokens=False)
    reasoning, answer = split_reasoning(whole)
    if not reasoning:
        return str(processor.decode(output_ids, skip_special_tokens=True))
    for token in control_tokens_of(processor):
        answer = answer.replace(token, "")
    return reasoning + answer if answer.strip() else reasoning
