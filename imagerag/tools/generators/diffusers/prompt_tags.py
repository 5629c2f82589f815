"""Image tags in a pipeline's prompt, and the number of truncated tokens."""

import re
from typing import Any, Final

from imagerag.agent.control_tokens import control_tokens, neutralised
from imagerag.agent.ports import ReferenceTemplate

_TAG: Final = re.compile(r"(?:<img>)?<\|image_(\d+)\|>(?:</img>)?")


def ensure_prompt_tags(prompt: str, count: int, tag: str) -> str:
    """The prompt with a tag for each of `count` images: surplus tags are removed, missing ones are put in front.

    OmniGen fails on either; a subject without a caption has no text in the prompt, and so no tag.
    """
    if not tag:
        return prompt
    there = {int(number) for number in _TAG.findall(prompt)}
    cleaned = _TAG.sub(lambda match: match[0] if 1 <= int(match[1]) <= count else "", prompt)
    missing = [tag.format(n=n) for n in range(1, count + 1) if n not in there]
    return " ".join([*missing, cleaned])


def without_weights(prompt: str, template: ReferenceTemplate, tag: str, count: int) -> str:
    """The prompt without control tokens except the template's and the tags of `count` images."""
    tags = (token for n in range(1, count + 1) for token in control_tokens(tag.format(n=n)))
    return neutralised(prompt, template.tokens(count) | {*tags})


def truncated_tokens(pipe: Any, prompt: str) -> int:
    """Number of truncated tokens at the end of a prompt, if all of a pipeline's text encoders are CLIPs.

    CLIP reads 77 tokens, start and end included. Other encoders read hundreds and are not counted here.
    """
    tokenizers = [getattr(pipe, name, None) for name in ("tokenizer", "tokenizer_2", "tokenizer_3")]
    readers = [tokenizer for tokenizer in tokenizers if tokenizer is not None]
    if not readers or any("CLIP" not in type(reader).__name__ for reader in readers):
        return 0
    lengths: list[int] = [
        len(reader(prompt, verbose=False)["input_ids"]) - reader.model_max_length for reader in readers
    ]
    return max(0, *lengths)
