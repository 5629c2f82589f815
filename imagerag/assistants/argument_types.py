"""Types of the arguments of tools: their bounds, their descriptions for a model, and how they may be written."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from imagerag.agent.feedback import MAX_FEEDBACK
from imagerag.agent.types import parse_size
from imagerag.agent.types.filters import MaybeFilter
from imagerag.agent.visible_text import is_blank
from imagerag.formatting.quoting import line
from imagerag.graphs.validation import MAX_PROMPT, MAX_QUESTION, is_storable_text


def _storable(text: object) -> object:
    if isinstance(text, str) and not is_storable_text(text):
        raise ValueError("it holds a NUL byte or half a character (a lone surrogate)")
    return text


def _not_blank(text: str) -> str:
    if is_blank(text):
        raise ValueError("it is empty")
    return text


def parse_size_text(text: object) -> object:
    """A size as it is written in a request; None where the choice is left to the generator."""
    if not isinstance(text, str):
        return text
    size = parse_size(text)
    return None if size is None else str(size)


def _filter(value: object) -> object:
    """Filters that all have to hold, as texts, or an object of keys and the values that they must equal."""
    if not isinstance(value, Mapping | list | tuple):
        return value
    pairs = value.items() if isinstance(value, Mapping) else ((text, "") for text in value)
    texts = [str(part) for pair in pairs for part in pair]
    if len(value) > _MOST_FILTERS or any(len(text) > _LONGEST_FILTER for text in texts):
        raise ValueError(f"at most {_MOST_FILTERS} filters of {_LONGEST_FILTER} characters each")
    for text in texts:
        _storable(text)
    if isinstance(value, Mapping):
        return value
    if wrong := [one for one in value if not isinstance(one, str) or not _ASKS.search(one)]:
        raise ValueError(
            f"{line(repr(wrong[0]), 40)} is none: write text such as {', '.join(FORMS)}, joined by and, or, not"
        )
    return value


def _image_id(text: object) -> object:
    """`image://SHA256` or the bare id, as the bare id; numbers as text."""
    return str(text).strip().lower().removeprefix("image://") if isinstance(text, str | int) else text


_MOST_FILTERS: Final = 16
_LONGEST_FILTER: Final = 200
_ASKS: Final = re.compile(r"[=<>~]|\b(?:has|in|between)\b", re.IGNORECASE)
"""What every filter has somewhere."""

FORMS: Final = ("key=value", "key<5", "key~part", "key in (a, b)", "has key", "key=none")
"""Examples of filters, for a model that wrote none."""

_RUN_ID: Final = r"^[A-Za-z0-9_-]+$"
_IMAGE_ID: Final = r"^[0-9a-f]{6,64}$"
_PICK: Final = r"^([0-9]{1,3}|[0-9a-f]{6,64})$"
SHAPES: Final = {
    _RUN_ID: "a run id is letters, digits, - and _, as an earlier answer gave it",
    _IMAGE_ID: "give image:// and the digits (0-9, a-f) of an earlier answer, at least the first six",
    _PICK: "give the number of a reference, or its image:// id",
}
"""Error message for text of the wrong form."""

Text = BeforeValidator(_storable)
Said = AfterValidator(_not_blank)
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT), Said, Text]
Question = Annotated[str, Field(min_length=1, max_length=MAX_QUESTION), Said, Text]
Feedback = Annotated[str, Field(min_length=1, max_length=MAX_FEEDBACK), Said, Text]
Name = Annotated[str, Field(min_length=1, max_length=200), Said, Text]
Label = Annotated[str, Field(max_length=200), Text]
Source = Annotated[str, Field(min_length=1, max_length=4_096), Said, Text]
RunId = Annotated[str, Field(min_length=4, max_length=100, pattern=_RUN_ID), Text, WithJsonSchema({"type": "string"})]
ImageId = Annotated[
    str, Field(pattern=_IMAGE_ID), BeforeValidator(_image_id), WithJsonSchema({"type": ["string", "integer"]})
]
Pick = Annotated[str, Field(pattern=_PICK), BeforeValidator(_image_id), WithJsonSchema({"type": ["string", "integer"]})]
Picks = Annotated[tuple[Pick, ...], Field(max_length=16)]

Library = Annotated[Name | None, Field(description="Which library. Leave out for the usual one.")]
Where = Annotated[
    MaybeFilter,
    BeforeValidator(_filter),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),  # an object with free keys has no strict form
    Field(description='Filters a reference must pass: ["category=shoes", "taken>=2024"].'),
]
Tags = Annotated[tuple[Name, ...], Field(max_length=16, description="Tags a reference must have, all of them.")]
Licences = Annotated[
    tuple[Name, ...],
    Field(max_length=16, description='Licences a reference may have: ["CC0-1.0"]. Empty allows all.'),
]
MaxCost = Annotated[
    float | None,
    Field(ge=0, allow_inf_nan=False, description="US dollars at most. 0 allows only what is free."),
]
MaxCalls = Annotated[int | None, Field(ge=1, description="Model calls at most.")]
Deadline = Annotated[
    float | None,
    Field(gt=0, allow_inf_nan=False, description="Seconds at most; what there is by then comes back."),
]
