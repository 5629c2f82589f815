"""A prompt on its way into a pipeline: the tags that must be in it, and what of it is not read."""

import re
from typing import Any, Final

from imagerag.agent.control_tokens import control_tokens, neutralised
from imagerag.agent.ports import ReferenceTemplate

_TAG: Final = re.compile(r"(?:<img>)?<\|image_(\d+)\|>(?:</img>)?")


def ensure_prompt_tags(prompt: str, count: int, tag: str) -> str:
    """The prompt with a tag for each of `count` images: too many are taken out, missing ones put in front.

    OmniGen fails on either; a user's subject without a name has no words in the prompt, and so no tag.
    """
    if not tag:
        return prompt
    there = {int(number) for number in _TAG.findall(prompt)}
    kept = _TAG.sub(lambda match: match[0] if 1 <= int(match[1]) <= count else "", prompt)
    missing = [tag.format(n=n) for n in range(1, count + 1) if n not in there]
    return " ".join([*missing, kept])


def without_weights(prompt: str, template: ReferenceTemplate, tag: str, count: int) -> str:
    """The prompt with no control tokens but those of the template and of the tags of `count` images."""
    tags = (token for n in range(1, count + 1) for token in control_tokens(tag.format(n=n)))
    return neutralised(prompt, template.tokens(count) | {*tags})


def truncated_tokens(pipe: Any, prompt: str) -> int:
    """How many tokens at the end of a prompt are cut off, where all of a pipeline's text encoders are CLIPs.

    CLIP reads 77 tokens, start and end included. Others read hundreds, and are not counted here.
    """
    tokenizers = [getattr(pipe, name, None) for name in ("tokenizer", "tokenizer_2", "tokenizer_3")]
    readers = [tokenizer for tokenizer in tokenizers if tokenizer is not None]
    if not readers or any("CLIP" not in type(reader).__name__ for reader in readers):
        return 0
    lengths: list[int] = [
        len(reader(prompt, verbose=False)["input_ids"]) - reader.model_max_length for reader in readers
    ]
    return max(0, *lengths)
