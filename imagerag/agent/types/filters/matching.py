"""Filters applied to one image: the reference for the expressions of a library.

Two truth values, no third. A comparison with a value that is not there does not hold, and `not` turns that round:
`not taken<2020` lets an image through of which nobody knows when it was taken, `taken>=2020` does not.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from imagerag.agent.types.filters.conditions import AllOf, AnyOf, Comparison, Condition, Has, Not
from imagerag.agent.types.filters.keys import BUILT_IN, OPTIONAL, column_of, metadata_key
from imagerag.agent.types.filters.literals import (
    Kind,
    case_folded,
    flag_of,
    kinds_of,
    number_of,
    pattern_of,
    period_of,
    spellings,
)

_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_ABSENT: Final = object()


def matches(condition: Condition, record: Any) -> bool:
    """Whether a filter lets an image through.

    Args:
        record: a library's row, a hit, or whatever has `metadata`, `tags` and the attributes that filters name.
    """
    match condition:
        case Not():
            return not matches(condition.negated, record)
        case AllOf():
            return all(matches(one, record) for one in condition.all_of)
        case AnyOf():
            return any(matches(one, record) for one in condition.any_of)
        case Has():
            return _has(_values(condition.has, record))
    return any(_holds(condition, value, record) for value in condition.values)


def _holds(leaf: Comparison, text: str, record: Any) -> bool:
    values = _values(leaf.key, record)
    if leaf.op == "=" and not text and column_of(leaf.key) != "tags":
        return not _has(values)
    if leaf.op == "=" and text == "null" and column_of(leaf.key) is None and _value(leaf.key, record) is None:
        return True  # a null that somebody wrote; typed without quotes, it stands for what is not there
    return any(_compare(leaf.op, kind, value, text, strict=column_of(leaf.key) is None) for kind, value in values)


def _has(values: Iterable[tuple[Kind, Any]]) -> bool:
    return any(value != "" for _, value in values)


def _values(key: str, record: Any) -> list[tuple[Kind, Any]]:
    """The values of an image under a key, each with its kind."""
    value = _value(key, record)
    name = column_of(key)
    if value is _ABSENT or value is None:
        return []
    if name == "tags":
        return [(Kind.TAGS, tag) for tag in value]
    if name is not None and _has_column(name, record):
        return [(BUILT_IN[name], value)] if value or BUILT_IN[name] is not Kind.TEXT else []
    return list(kinds_of(value).items())


def _value(key: str, record: Any) -> Any:
    name = column_of(key)
    if name is not None and _has_column(name, record):
        return getattr(record, name, getattr(getattr(record, "image", None), "sha256" if name == "id" else name, None))
    return record.metadata.get(metadata_key(key), _ABSENT)


def _has_column(name: str, record: Any) -> bool:
    """Whether a record says anything of a built-in column; what has no such attribute may have it as metadata. Not
    every library has the optional columns: an image without a value there may have one as metadata, too."""
    if name in OPTIONAL and not getattr(record, name, None):
        return False
    return hasattr(record, name) or hasattr(getattr(record, "image", None), "sha256" if name == "id" else name)


def _compare(op: str, kind: Kind, value: Any, text: str, *, strict: bool) -> bool:
    """Whether a value of an image compares with a typed one.

    Args:
        strict: a metadata key: text is put in order by what is neither a number nor a date.
    """
    if kind is Kind.NUMBER and (number := number_of(text)) is not None and op != "~":
        return bool(value == number) if op == "=" else _ORDER[op](value, number)
    if kind is Kind.TIME and (period := period_of(text)) is not None and op != "~":
        return _in_time(op, value, period)
    if kind is Kind.FLAG:
        return op == "=" and value is flag_of(text)
    if kind is Kind.TEXT:
        return _text(op, value, text, strict=strict)
    if kind is Kind.TAGS:
        return value in spellings(text) if op == "=" else op == "~" and _part(value, text.strip())
    return False


def _text(op: str, value: str, text: str, *, strict: bool) -> bool:
    if op == "=":
        return value in spellings(text)
    if op == "~":
        return bool(value) and _part(value, text)
    if strict and (number_of(text) is not None or period_of(text) is not None):
        return False
    return bool(value) and _ORDER[op](value, text)


def _part(value: str, pattern: str) -> bool:
    begins, text, ends = pattern_of(pattern)
    for spelling in spellings(text):
        whole, part = case_folded(value), case_folded(spelling)
        if whole.startswith(part) if begins else whole.endswith(part) if ends else part in whole:
            return True
    return False


def _in_time(op: str, value: datetime, period: tuple[datetime, datetime]) -> bool:
    start, after = period
    return {
        "=": start <= value < after, "<": value < start, "<=": value < after, ">": value >= after, ">=": value >= start,
    }[op]  # fmt: skip
