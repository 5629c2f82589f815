"""A filter as it was written and as it is meant, in every form in which a caller, a file or a record may have it."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, model_validator

from imagerag.agent.errors import FilterError
from imagerag.agent.types.base import FrozenModel
from imagerag.agent.types.filters.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Has,
    all_of,
    any_of,
    negation,
)
from imagerag.agent.types.filters.parser import parse
from imagerag.agent.visible_text import is_blank


class FilterExpression(FrozenModel):
    """A filter, from text (`taken>=2024-05 and not tag=draft`), from texts that must all hold, or from a mapping of
    keys to the values that they must equal.

    Attributes:
        text: as it was typed.
        parsed: what it means.
    """

    text: str
    parsed: Condition

    @model_validator(mode="before")
    @classmethod
    def _of_any_form(cls, value: Any) -> Any:
        return _read(value)

    @model_validator(mode="after")
    def _says_what_it_means(self) -> Self:
        """A text that means something else, as of an earlier grammar, gives way to the tree."""
        if not _means(self.text, self.parsed):
            object.__setattr__(self, "text", str(self.parsed))
        return self

    def __str__(self) -> str:
        return self.text

    def __and__(self, other: "FilterExpression") -> "FilterExpression":
        """The filter that holds where both do."""
        texts = [f"({one.text})" if isinstance(one.parsed, AnyOf) else one.text for one in (self, other)]
        return FilterExpression(text=" and ".join(texts), parsed=all_of((self.parsed, other.parsed)))

    @property
    def plain(self) -> str | dict[str, Any]:
        """A form for JSON, read back as this filter: the text, or all fields where the text does not say everything."""
        return self.text if _means(self.text, self.parsed) else self.model_dump(mode="json")

    @property
    def pairs(self) -> Mapping[str, str] | None:
        """The mapping that says the same; None where no mapping does."""
        parts = self.parsed.all_of if isinstance(self.parsed, AllOf) else (self.parsed,)
        plain = [one for one in parts if isinstance(one, Comparison) and one.op == "=" and len(one.values) == 1]
        by_key = {one.key: one.values[0] for one in plain}
        return by_key if len(by_key) == len(parts) else None


def _empty_is_none(value: Any) -> Any:
    blank = isinstance(value, str) and is_blank(value)
    return None if blank or (isinstance(value, Mapping | list | tuple) and not value) else value


MaybeFilter = Annotated[FilterExpression | None, BeforeValidator(_empty_is_none)]
"""The field of a model: None, an empty text and an empty mapping let everything through."""

FilterInput = FilterExpression | str | Mapping[str, Any] | Sequence[str]
"""The forms in which a caller may write a filter."""


def parse_filter(value: FilterInput | None) -> FilterExpression | None:
    """The filter that was written; None for one that lets everything through.

    Raises:
        FilterError: it cannot be read.
    """
    if isinstance(value, FilterExpression) or _empty_is_none(value) is None:
        return value if isinstance(value, FilterExpression) else None
    return FilterExpression(**_read(value))


def _read(filter_input: Any) -> dict[str, Any]:
    """The fields of the `FilterExpression` for a filter as a caller, a file or a record has it.

    Raises:
        FilterError: it cannot be read.
    """
    if isinstance(filter_input, FilterExpression):
        return {"text": filter_input.text, "parsed": filter_input.parsed}
    if isinstance(filter_input, str):
        return {"text": filter_input.strip(), "parsed": parse(filter_input)}
    if isinstance(filter_input, Mapping):
        if filter_input.keys() == {"text", "parsed"} and not isinstance(filter_input["parsed"], str):
            return dict(filter_input)
        return _fields([_pair(key, value) for key, value in filter_input.items()])
    if isinstance(filter_input, Sequence) and filter_input and all(isinstance(one, str) for one in filter_input):
        if len(filter_input) == 1:
            return _read(filter_input[0])
        parsed = [parse(one) for one in filter_input]
        texts = [f"({one.strip()})" if re.search(r"(?i)\bor\b", one) else one.strip() for one in filter_input]
        return {"text": " and ".join(texts), "parsed": all_of(parsed)}
    raise FilterError(f"a filter is a text or a mapping of keys to values, not {str(filter_input)[:60]!r}")


def _means(text: str, condition: Condition) -> bool:
    """Whether a text is read as that condition."""
    try:
        return parse(text) == condition
    except FilterError:
        return False


def _pair(key: object, value: object) -> Condition:
    """One key of a mapping with what it must equal: a value, one of several, or None for no value at all."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        values: list[object] = list(value)
    else:
        values = [value]
    if not values or any(isinstance(one, Iterable) and not isinstance(one, str) for one in values):
        name = f"the filter's {str(key)[:60]!r}"
        raise FilterError(f"{name} has to be a value, or a list of values; comparisons are text, key<5")
    texts = [_text(one) for one in values if one is not None]
    texts = sorted(texts) if isinstance(value, Set) else texts
    absent = [negation(Has(has=str(key)))] if len(texts) < len(values) else []
    return any_of([*([Comparison(key=str(key), op="=", values=tuple(texts))] if texts else []), *absent])


def _text(value: object) -> str:
    """A value of a mapping as it is typed."""
    value = value.value if isinstance(value, Enum) else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fields(parts: Sequence[Condition]) -> dict[str, Any]:
    if not parts:
        raise FilterError("the filter is empty: leave it out to let everything through")
    whole = all_of(parts)
    return {"text": str(whole), "parsed": whole}
