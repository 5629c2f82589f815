"""Validation of filters for a library, and explanations of empty results that name existing values."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final

from imagerag.agent.ports import Filter
from imagerag.agent.qa.types import short
from imagerag.agent.types.filters import AllOf, AnyOf, Comparison, Condition, FilterExpression, Has, Not, leaves
from imagerag.agent.types.filters.keys import BUILT_IN, METADATA, check_condition, column_of, metadata_key
from imagerag.agent.types.filters.literals import Kind, kinds_of
from imagerag.store.library.filters.filter_expressions import matching
from imagerag.store.library.metadata_columns import columns_of
from imagerag.store.library.schema import metadata_of

_SHOWN, _MOST = 4, 1_000
"""Values that a message names, and distinct ones that are looked at for it."""

_REASONS: Final = 20
"""Conditions of a filter that a message names."""


def check_filter(table: Any, filter: Filter) -> None:
    """Check that a filter is valid for a library. An empty library accepts any filter.

    Raises:
        FilterError: an unknown key, or a value whose kind the key never has.
    """
    where = filter.where
    if where is None or not table.count_rows():
        return
    held_values = HeldValues(table)
    check_condition(where.parsed, held_values.kinds, held_values, held_values.words)


def explain_filter(table: Any, filter: Filter) -> str:
    """Explain why a filter matches no image; empty where it matches some, or no reason is known."""
    condition = filter.condition
    if condition is None or _any(table, filter) or not table.count_rows():
        return ""
    reasons = list(dict.fromkeys(_reasons(table, HeldValues(table), condition)))
    return "; ".join(reasons[:_REASONS])


@dataclass(frozen=True)
class HeldValues(Collection[str]):
    """The values of each key in a library: a collection of keys, read from the table on demand."""

    table: Any

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.kinds(key))

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in BUILT_IN if name in self._names)
        yield from sorted({*self._columns, *self._unlisted} - self._names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.table.schema.names)

    @cached_property
    def _columns(self) -> Mapping[str, Mapping[Kind, str]]:
        return columns_of(self.table.schema)

    @cached_property
    def _unlisted(self) -> Mapping[str, Counter[tuple[Kind, Any]]]:
        """Values of the keys that have no columns of their own, as in libraries of earlier versions."""
        by_key: dict[str, Counter[tuple[Kind, Any]]] = {}
        for text in self._read("metadata"):
            for key, value in metadata_of({"metadata": text}).items():
                if key not in self._columns:
                    by_key.setdefault(key, Counter()).update(kinds_of(value).items() or [(Kind.TEXT, "null")])
        return by_key

    def kinds(self, key: str) -> Collection[Kind]:
        """The kinds of values of a key; empty for an unknown key."""
        name = column_of(key)
        if name is not None and name in self._names:
            return {BUILT_IN[name]}
        if counter := self._columns.get(metadata_key(key)):
            return counter.keys()
        return {kind for kind, _ in self._unlisted.get(metadata_key(key), ())}

    def counted(self, key: str) -> Counter[tuple[Kind, Any]]:
        """Each value of a key with its number of images."""
        import pyarrow.compute as pc

        name = column_of(key)
        columns = {BUILT_IN[name]: name} if name in self._names and name else self._columns.get(metadata_key(key), {})
        counter: Counter[tuple[Kind, Any]] = Counter(self._unlisted.get(metadata_key(key), ()) if not columns else ())
        for kind, column in columns.items():
            values = self.table.search().select([column]).to_arrow().column(column).combine_chunks()
            values = values.flatten() if kind is Kind.TAGS else values
            for one in pc.value_counts(values).to_pylist():
                if one["values"] not in (None, ""):
                    counter[kind, one["values"]] += one["counts"]
        return counter

    def words(self, key: str, text: str = "") -> str:
        """Some values of a key as text: those most similar to `text`, else the most frequent; or a range."""
        counted = self.counted(key)
        lines = []
        for kind in dict.fromkeys(kind for kind, _ in counted):
            values = [value for (of, value), _ in counted.most_common() if of is kind]
            if kind in (Kind.NUMBER, Kind.TIME):
                lines.append(_range(min(values), max(values)))
            elif words := [one for one in values if kind is not Kind.TEXT or kinds_of(one).keys() == {Kind.TEXT}]:
                lines.append(_listed(_nearest(text, words)))
        return "; ".join(lines)

    def _read(self, column: str) -> list[Any]:
        values: list[Any] = self.table.search().select([column]).to_arrow().column(column).to_pylist()
        return values


def _any(table: Any, filter: Filter) -> bool:
    return bool(matching(table, filter).select(["id"]).limit(1).to_arrow().num_rows)


def _reasons(table: Any, held_values: HeldValues, condition: Condition) -> Iterator[str]:
    """Messages for the smallest parts of a condition that no image fits, because of which none fits the whole."""
    match condition:
        case AllOf(all_of=parts):
            alone = [part for part in parts if not _any_of(table, part)]
            if not alone:
                yield f"no image fits all of {short(str(condition), 200)}, though each part by itself fits some"
            for part in alone:
                yield from _reasons(table, held_values, part)
        case AnyOf(any_of=parts):
            for part in parts:
                yield from _reasons(table, held_values, part)
        case Not():
            keys = dict.fromkeys(leaf.has if isinstance(leaf, Has) else leaf.key for leaf in leaves(condition))
            values = [f"{key} is {held}" for key in keys if (held := held_values.words(key))]
            yield "; ".join((f"no image fits {short(str(condition), 80)}", *values[:_SHOWN]))
        case Comparison() | Has():
            yield _nothing(condition, held_values)


def _any_of(table: Any, condition: Condition) -> bool:
    return _any(table, Filter(where=FilterExpression(text=str(condition), parsed=condition)))


def _nothing(leaf: Comparison | Has, held_values: HeldValues) -> str:
    """A message that no image matches a comparison, with existing values."""
    key = leaf.has if isinstance(leaf, Has) else leaf.key
    if isinstance(leaf, Comparison) and column_of(key) == "id" and (begins := _beginnings(leaf)):
        return f"no image fits {short(str(leaf), 80)}; the beginning of an id is written {begins}"
    text = leaf.values[0].strip("*") if isinstance(leaf, Comparison) else ""
    values, namesake = held_values.words(key, text), f"{METADATA}{key}"
    found = held_values.words(namesake, text) if column_of(key) else ""
    more = f"; {namesake} is {found}" if found else ""
    return (f"no image fits {short(str(leaf), 80)}; {key} is {values}" if values else f"no image has {key}") + more


def _beginnings(leaf: Comparison) -> str:
    """The comparison for a prefix of ids, as library commands accept it; empty where the value is none."""
    parts = [value for value in leaf.values if re.fullmatch(r"[0-9a-f]{6,63}", value)]
    return " or ".join(f"{leaf.key}~{part}*" for part in parts) if leaf.op == "=" else ""


def _nearest(text: str, values: list[Any]) -> list[str]:
    """The values most similar to the wanted one, else all of them."""
    by_name = {_text(value).lower(): value for value in reversed(values[:_MOST])}
    near = get_close_matches(text.lower(), by_name, n=_SHOWN, cutoff=0.5) if text else []
    return [short(_text(value), 40) for value in [by_name[name] for name in near] or values]


def _range(low: Any, high: Any) -> str:
    return _text(low) if low == high else f"{_text(low)} to {_text(high)}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.date().isoformat()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(values[:_SHOWN]) + more
