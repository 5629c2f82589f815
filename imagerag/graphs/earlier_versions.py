"""Runs and conversations that an earlier version of imagerag made: their steps are not read."""

import logging
from collections.abc import Mapping
from typing import Any

from imagerag.agent.errors import RunStateError
from imagerag.formatting.interface_terms import python_call


def check_version(values: Mapping[str, Any], name: str) -> None:
    """Check that a state holds values of this version's classes.

    Args:
        values: a state, as its checkpoint gives it.
        name: of the run or thread, for the message, for instance "run 20260101-120000-abcdef".

    Raises:
        RunStateError: an earlier version wrote it.
    """
    if not is_of_this_version(values):
        prompt = values.get("prompt")
        again = python_call("generate", prompt) if prompt else "ask again without `thread`"
        raise RunStateError(
            f"{name} was made by an earlier version of imagerag, and its steps cannot be read; begin anew: {again}"
        )


def is_of_this_version(values: Mapping[str, Any]) -> bool:
    """Whether a state holds values of this version's classes.

    No class that this version does not list is constructed from stored bytes: its values come back as plain data. And
    no key of a state holds plain data of its own accord, so a mapping means that an earlier version wrote it.
    """
    return not any(isinstance(one, Mapping) for value in values.values() for one in _items(value))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_of_another_package(record: logging.LogRecord) -> bool:
    return "imagerag.agent." not in record.getMessage()


# LangGraph's advice to list the class helps nobody: there is none of that name any more, and `check_version` says so.
logging.getLogger("langgraph.checkpoint.serde.jsonplus").addFilter(_is_of_another_package)
