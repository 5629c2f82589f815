"""The text that image generators write beside an image: the prompt first, then what it was made with.

AUTOMATIC1111's web page and those after it write the prompt, a line `Negative prompt: …` where there is one, and a
line of parameters that begins with `Steps: 20, Sampler: …`. Only the prompt says what the image shows; a negative
prompt says what it does not.
"""

import re
from collections.abc import Mapping
from typing import Final

from imagerag.store.library.metadata.metadata_values import MAX_VALUE

_NEGATIVE: Final = re.compile(r"^Negative prompt:[ \t]*", re.MULTILINE)
_PARAMETERS: Final = re.compile(r"^Steps: \d+, (?=[A-Z])", re.MULTILINE)


def without_parameters(text: str) -> tuple[str, Mapping[str, str]]:
    """The prompt, and what stands behind it by name; a text of another kind as it is."""
    parameters = _PARAMETERS.search(text)
    if parameters is None:
        return text, {}
    said, made_with = text[: parameters.start()], " ".join(text[parameters.start() :].split())
    prompt, *negative = _NEGATIVE.split(said, maxsplit=1)
    fields = {"negative_prompt": " ".join(" ".join(negative).split()), "generation_parameters": made_with}
    return prompt, {name: value[:MAX_VALUE] for name, value in fields.items() if value}
