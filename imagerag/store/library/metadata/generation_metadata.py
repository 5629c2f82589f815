"""Parameter texts of image generators: the prompt first, then the generation parameters.

AUTOMATIC1111's web UI and its successors write the prompt, an optional line `Negative prompt: …`, and a line of
parameters that begins with `Steps: 20, Sampler: …`. Only the prompt describes the content of the image; a negative
prompt describes what to avoid.
"""

import re
from collections.abc import Mapping
from typing import Final

from imagerag.store.library.metadata.metadata_values import MAX_VALUE

_NEGATIVE: Final = re.compile(r"^Negative prompt:[ \t]*", re.MULTILINE)
_PARAMETERS: Final = re.compile(r"^Steps: \d+, (?=[A-Z])", re.MULTILINE)


def without_parameters(text: str) -> tuple[str, Mapping[str, str]]:
    """Split a text into the prompt and named parameters; other texts stay unchanged."""
    parameters = _PARAMETERS.search(text)
    if parameters is None:
        return text, {}
    prompts, made_with = text[: parameters.start()], " ".join(text[parameters.start() :].split())
    prompt, *negative = _NEGATIVE.split(prompts, maxsplit=1)
    fields = {"negative_prompt": " ".join(" ".join(negative).split()), "generation_parameters": made_with}
    return prompt, {name: value[:MAX_VALUE] for name, value in fields.items() if value}
