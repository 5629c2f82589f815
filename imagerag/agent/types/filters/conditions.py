"""Conditions over what a library knows of an image, as a tree of values that can be written as text."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pydantic import Field

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
        key, values = key_as_typed(self.key), [as_typed(value) for value in self.values]
        return f"{key}{self.op}{values[0]}" if len(values) == 1 else f"{key} in ({', '.join(values)})"


class Has(FrozenModel):
    """Holds for images that have a value of the key."""

    has: str

    def __str__(self) -> str:
        return f"has {key_as_typed(self.has)}"


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


def as_typed(value: str) -> str:
    """A value as a filter's text has it: in quotes where it would be read otherwise."""
    return _quoted(value, _BARE_VALUE)


def _inside(condition: Condition, *kinds: type[FrozenModel]) -> str:
    """A part of another condition, in parentheses where it is of a kind that would be read otherwise."""
    return f"({condition})" if isinstance(condition, kinds) else str(condition)


def key_as_typed(key: str) -> str:
    """A key as it is written in a filter: in quotes where it needs them."""
    return _quoted(key, _BARE_KEY)


def _quoted(text: str, bare: re.Pattern[str]) -> str:
    if bare.fullmatch(text) and text.lower() not in KEYWORDS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
