"""Filters over what a library knows of its images, as values: parsed once, kept as typed text and as a tree."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from imagerag.agent.types.base import FrozenModel

Operator = Literal["=", "<", "<=", ">", ">=", "~"]
KEYWORDS: Final = frozenset({"and", "or", "not", "in", "between", "has", "none", "null"})

_BARE_KEY: Final = re.compile(r"[^\s()\"'=<>!~,]+")
_BARE_VALUE: Final = re.compile(r"[^\s()\"'=<>!~,][^\s(),]*")


class Comparison(FrozenModel):
    """An image's value of a key compared with values: it holds when it holds with one of them.

    Attributes:
        values: as they were typed; what they mean depends on what the library holds under the key.
    """

    key: str
    op: Operator
    values: tuple[str, ...] = Field(min_length=1)

    def __str__(self) -> str:
        key, values = _written(self.key, _BARE_KEY), [_written(value, _BARE_VALUE) for value in self.values]
        return f"{key}{self.op}{values[0]}" if len(values) == 1 else f"{key} in ({', '.join(values)})"


class Has(FrozenModel):
    """Holds for images that have a value of the key."""

    has: str

    def __str__(self) -> str:
        return f"has {_written(self.has, _BARE_KEY)}"


class Not(FrozenModel):
    """Holds where the condition does not."""

    negated: "Condition"

    def __str__(self) -> str:
        return f"not {_inside(self.negated, AllOf, AnyOf)}"


class AllOf(FrozenModel):
    """Holds where all conditions do."""

    all_of: tuple["Condition", ...] = Field(min_length=1)

    def __str__(self) -> str:
        return " and ".join(_inside(one, AnyOf, AllOf) for one in self.all_of)


class AnyOf(FrozenModel):
    """Holds where one of the conditions does."""

    any_of: tuple["Condition", ...] = Field(min_length=1)

    def __str__(self) -> str:
        return " or ".join(_inside(one, AnyOf) for one in self.any_of)


Condition = Comparison | Has | Not | AllOf | AnyOf


def all_of(conditions: Sequence[Condition]) -> Condition:
    """The conjunction of conditions, of which there is one at least; nested ones are joined."""
    parts = [part for one in conditions for part in (one.all_of if isinstance(one, AllOf) else (one,))]
    return parts[0] if len(parts) == 1 else AllOf(all_of=tuple(parts))


def any_of(conditions: Sequence[Condition]) -> Condition:
    """The disjunction of conditions, of which there is one at least; nested ones are joined."""
    parts = [part for one in conditions for part in (one.any_of if isinstance(one, AnyOf) else (one,))]
    return parts[0] if len(parts) == 1 else AnyOf(any_of=tuple(parts))


def negation(condition: Condition) -> Condition:
    """The opposite of a condition."""
    return condition.negated if isinstance(condition, Not) else Not(negated=condition)


def leaves(condition: Condition) -> Iterator[Comparison | Has]:
    """The comparisons that a condition is made of, from left to right."""
    match condition:
        case Not():
            yield from leaves(condition.negated)
        case AllOf(all_of=parts) | AnyOf(any_of=parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield condition


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
    def _read(cls, given: Any) -> Any:
        from imagerag.agent.filters.parser import read

        return read(given)

    @model_validator(mode="after")
    def _says_what_it_means(self) -> Self:
        """A text that means something else, as of an earlier grammar, gives way to the tree."""
        from imagerag.agent.filters.parser import means

        if not means(self.text, self.parsed):
            object.__setattr__(self, "text", str(self.parsed))
        return self

    def __str__(self) -> str:
        return self.text

    def __and__(self, other: "FilterExpression") -> "FilterExpression":
        """The filter that holds where both do."""
        texts = [f"({one.text})" if isinstance(one.parsed, AnyOf) else one.text for one in (self, other)]
        return FilterExpression(text=" and ".join(texts), parsed=all_of((self.parsed, other.parsed)))

    @property
    def pairs(self) -> Mapping[str, str] | None:
        """The mapping that says the same; None where no mapping does."""
        parts = self.parsed.all_of if isinstance(self.parsed, AllOf) else (self.parsed,)
        plain = [one for one in parts if isinstance(one, Comparison) and one.op == "=" and len(one.values) == 1]
        found = {one.key: one.values[0] for one in plain}
        return found if len(found) == len(parts) else None


def _empty_is_none(given: Any) -> Any:
    blank = isinstance(given, str) and not given.strip()
    return None if blank or (isinstance(given, Mapping | list | tuple) and not given) else given


MaybeFilter = Annotated[FilterExpression | None, BeforeValidator(_empty_is_none)]
"""The field of a model: None, an empty text and an empty mapping let everything through."""

FilterInput = FilterExpression | str | Mapping[str, Any] | Sequence[str]
"""The forms in which a caller may write a filter."""


def parse_filter(given: FilterInput | None) -> FilterExpression | None:
    """The filter that was written; None for one that lets everything through.

    Raises:
        FilterError: it cannot be read.
    """
    from imagerag.agent.filters.parser import read

    if isinstance(given, FilterExpression) or _empty_is_none(given) is None:
        return given if isinstance(given, FilterExpression) else None
    return FilterExpression(**read(given))


def _inside(condition: Condition, *kinds: type[FrozenModel]) -> str:
    """A part of another condition, in parentheses where it is of a kind that would be read otherwise."""
    return f"({condition})" if isinstance(condition, kinds) else str(condition)


def _written(text: str, bare: re.Pattern[str]) -> str:
    if bare.fullmatch(text) and text.lower() not in KEYWORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
