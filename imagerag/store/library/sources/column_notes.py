"""Notes on columns of a manifest with values that filters pass over, or that are left out."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from imagerag.store.library.metadata.field_names import TEXTS, typed_field
from imagerag.store.library.metadata.metadata_values import (
    MAX_CAPTION,
    MAX_KEYS,
    MAX_VALUE,
    POSITION,
    metadata_of,
    tags_of,
)
from imagerag.store.text_files import clean

_COMMA: Final = re.compile(r"[-+]?\d+,\d{1,20}", re.ASCII)
"""A number with a decimal comma; or with thousands, which is no number either."""


class ColumnNotes:
    """What is wrong in each column, by its first such value."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}
        self._most = 0

    def look_at(self, values: Mapping[str, Any], fields: Mapping[str, str]) -> None:
        """Look at the values of a row.

        Args:
            fields: name of a column → the field that it is read as; other columns are metadata.
        """
        self._most = max(self._most, len(values) - len(fields))
        for name, value in values.items():
            if name not in self._problems and (problem := _problem(name, value, fields.get(name))):
                self._problems[name] = problem

    def of(self, manifest: str) -> Iterator[tuple[str, str]]:
        """(column, problem) for each column with a problem."""
        if self._most > MAX_KEYS:
            yield manifest, f"a row has {self._most:,} values of metadata: the first {MAX_KEYS} are kept"
        yield from ((f"{manifest}, column {clean(name)}", problem) for name, problem in self._problems.items())


def _problem(name: str, value: Any, field: str | None) -> str:
    if field == "tags":
        left_out = list[str]()
        tags_of(value, left_out)
        return next(iter(left_out), "")
    if not isinstance(value, str):
        oversized = list[str]()
        if field is None:
            metadata_of({name: value}, oversized=oversized)
        return f"an object or a list of more than {MAX_VALUE:,} characters is left out" if oversized else ""
    longest = MAX_CAPTION if field in TEXTS else MAX_VALUE if field is None else len(value)
    text = clean(value)
    if len(text) > longest:
        return f"a value has {len(text):,} characters and is left out: shorten it to {longest:,}"
    if field is not None:
        return ""
    typed = typed_field(name)
    if typed in POSITION and not _is_number(text):
        return f"{text[:40]} is no {typed}: write it in degrees, as 48.137"
    if typed == "taken":
        return f"{text[:40]} is no date that is read: write it as 2024-05-31, or 2024-05-31 12:30:00"
    return f"{text} is text, which {name}<13 passes over: write numbers as 12.50" if _COMMA.fullmatch(text) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
