"""Messages of records, estimates and errors in the terms of the page: the names of its fields."""

import re
from collections.abc import Mapping
from typing import Final

from imagerag.formatting.interface_terms import as_field_names
from imagerag.formatting.texts import Texts

_FIELD: Final = re.compile(r"(?:^|(?<=; ))([a-z_]+)(?=: )")
"""The name of a field before what is wrong with its value, as `formatting.messages.invalid` says it."""

_WORK: Final = re.compile(r"`rag\.libraries\.(calibrate|check|optimize|verify|export)\([^`]*\)`")
"""Calls for which the page has a button."""


def page_terms(t: Texts, message: str) -> str:
    """A message with the names of the form's fields for parameters of the Python API, and commands for its calls."""
    of_image = {name: t(f"library.image.{name}") for name in ("title", "caption", "licence", "author", "source")}
    names = {**of_image, **t.starting("draw.fields"), "more_rounds": t("after.more_rounds")}
    return in_field_names(as_field_names(message, names), names)


def upkeep_terms(t: Texts, message: str) -> str:
    """A message of work on a library, with the names of the buttons and of the fields beside them."""
    message = _WORK.sub(lambda match: f"“{t(f'library.upkeep.{match[1]}')}”", message)
    return as_field_names(message, {"threshold": t("library.upkeep.from_cosine_name")})


def in_field_names(message: str, names: Mapping[str, str]) -> str:
    """What is wrong with values, each named as its field is."""
    return _FIELD.sub(lambda match: names.get(match[1], match[1]), message)
