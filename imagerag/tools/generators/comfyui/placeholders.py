"""Placeholders in a workflow's inputs: `%prompt%`, `%seed%`, `%reference_1%` and others.

They have one percent sign on each side, as other programs for ComfyUI write them. Braces would not survive: ComfyUI's
editor reads `{…}` in a prompt as a choice and replaces it when it exports the workflow.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

PROMPT: Final = "prompt"
NEGATIVE: Final = "negative_prompt"
SEED: Final = "seed"
WIDTH: Final = "width"
HEIGHT: Final = "height"
IMAGE: Final = "image"
MASK: Final = "mask"
REFERENCE: Final = re.compile(r"reference_([1-9]\d?)")

NAMES: Final = (PROMPT, NEGATIVE, SEED, WIDTH, HEIGHT, IMAGE, MASK, "reference_1")
"""Valid names; further references are numbered from 2."""

FILE_NAME: Final = "filename_prefix"
"""Input of saving nodes; the server has placeholders of its own there (`%width%`, `%year%`)."""

_MARK: Final = re.compile(r"%([A-Za-z][A-Za-z0-9_]*)%")

Nodes = Mapping[str, Mapping[str, Any]]
"""A workflow in ComfyUI's API format: node id → `class_type`, `inputs`, `_meta`."""


def is_known(name: str) -> bool:
    """Whether a placeholder of that name exists."""
    return name in NAMES or REFERENCE.fullmatch(name) is not None


def is_image(name: str) -> bool:
    """Whether a placeholder stands for an image that is uploaded."""
    return name in (IMAGE, MASK) or REFERENCE.fullmatch(name) is not None


def places(nodes: Nodes) -> Iterator[tuple[str, str, str]]:
    """(placeholder, node id, input) of every placeholder, in the order of the file."""
    for node_id, node in nodes.items():
        for name, value in node["inputs"].items():
            if name != FILE_NAME:
                yield from ((mark, node_id, name) for mark in _marks(value))


def filled(nodes: Nodes, values: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """A copy of the workflow with values in place of placeholders.

    A placeholder alone keeps its value's type; within a text the value is inserted as text. Inserted text is not
    searched for placeholders again.
    """

    def substitute(value: Any) -> Any:
        if not isinstance(value, str):
            return _mapped(value, substitute)
        alone = _MARK.fullmatch(value.strip())
        if alone and alone[1] in values:
            return values[alone[1]]
        return _MARK.sub(lambda match: str(values.get(match[1], match[0])), value)

    def inputs(node: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value if name == FILE_NAME else substitute(value) for name, value in node["inputs"].items()}

    return {node_id: {**node, "inputs": inputs(node)} for node_id, node in nodes.items()}


def _marks(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from _MARK.findall(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _marks(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _marks(inner)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {name: change(inner) for name, inner in value.items()}
    return [change(inner) for inner in value] if isinstance(value, list) else value
