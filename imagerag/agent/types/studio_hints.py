"""Hints for LangGraph Studio in a graph's context schema: what each option means, and the nodes it is set on.

Studio shows an option on the nodes that `langgraph_nodes` names. Options of the whole run have none. `langgraph_type`
is for prompts, which no option is.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

_DRAWING: Final = ("generate", "regenerate")
_NAMING: Final = ("critique", "extract_concepts", "write_captions")

NODES: Final[Mapping[str, Sequence[str]]] = {
    "max_rounds": ("critique",),
    "max_references": ("shortlist", "regenerate"),
    "references_per_concept": ("shortlist",),
    "threshold": ("retrieve", "shortlist"),
    "candidates": ("retrieve",),
    "near_duplicate": ("shortlist",),
    "judge_mode": _NAMING,
    "start": ("generate",),
    "retrieve_by": ("write_captions", "retrieve"),
    "hybrid": ("retrieve",),
    "likeness": (*_DRAWING, "critique"),
    "reference_crop": ("regenerate",),
    "select": ("shortlist", "select"),
    "seed": _DRAWING,
    "size": _DRAWING,
    "partial_images": _DRAWING,
    "mask_feather": _DRAWING,
    "filter": ("retrieve",),
    "tags": ("retrieve",),
    "licences": ("retrieve",),
}
"""Option → nodes of the generation graph that read it."""

_ATTRIBUTE: Final = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)


def add_hints(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add hints to the JSON schema of a context; pydantic calls this where it is a model's `json_schema_extra`.

    A model may have `studio_nodes`: for a graph of other nodes than the generation graph's.
    """
    nodes: Mapping[str, Sequence[str]] = getattr(model, "studio_nodes", NODES)
    meanings = {name: text for one in reversed(model.__mro__) for name, text in _attributes(one).items()}
    for name, option in schema.get("properties", {}).items():
        if name in meanings:
            option["description"] = meanings[name]
        if name in nodes:
            option["langgraph_nodes"] = list(nodes[name])


def _attributes(model: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes."""
    _, _, text = inspect.cleandoc(model.__doc__ or "").partition("\nAttributes:\n")
    return {name: " ".join(meaning.split()) for name, meaning in _ATTRIBUTE.findall(text)}
