"""Messages of records, estimates and errors in the terms of the page: the names of its fields."""

import re
from typing import Final

from imagerag.formatting.interface_terms import as_field_names, in_field_names
from imagerag.formatting.texts import Texts

_WORK: Final = re.compile(r"`rag\.libraries\.(calibrate|check|optimize|verify|export)\([^`]*\)`")
"""Calls for which the page has a button."""


def page_terms(t: Texts, message: str) -> str:
    """A message with the names of the form's fields for parameters of the Python API, and commands for its calls."""
    for table in ("WARNINGS", "REASONS"):
        message = t.sentence(table, message)
    of_image = {name: t(f"library.image.{name}") for name in ("title", "caption", "licence", "author", "source")}
    names = {**of_image, **t.starting("draw.fields"), "more_rounds": t("after.more_rounds")}
    return in_field_names(as_field_names(message, names), names)


def upkeep_terms(t: Texts, message: str) -> str:
    """A message of work on a library, with the names of the buttons and of the fields beside them."""
    message = _WORK.sub(lambda match: f"“{t(f'library.upkeep.{match[1]}')}”", message)
    return as_field_names(message, {"threshold": t("library.upkeep.from_cosine_name")})
