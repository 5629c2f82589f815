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
from imagerag.store.library.filters.facets import typed_keys
from imagerag.store.library.filters.filter_expressions import matching
from imagerag.store.library.metadata_columns import columns_of
from imagerag.store.library.schema import metadata_of

_SHOWN, _MOST = 4, 1_000
"""Values that a message names, and the most frequent ones that are looked at for it."""

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
        """Values of the keys that have no columns of their own: those that are null in every image, and any in a
        library of an earlier version, or with more keys than columns."""
        rows = self.table.search().select(["metadata"])
        rows = rows.where("metadata LIKE '%null%'") if typed_keys(self.table, self.table.name) else rows
        by_key: dict[str, Counter[tuple[Kind, Any]]] = {}
        for text in rows.to_arrow()["metadata"].to_pylist():
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

    def counted(self, key: str) -> "dict[Kind, ValueCounts]":
        """The values of a key, of each kind that it has."""
        name = column_of(key)
        columns = {BUILT_IN[name]: name} if name in self._names and name else self._columns.get(metadata_key(key), {})
        counts = {kind: self._counts(column, kind) for kind, column in columns.items()} if columns else {}
        if not columns:
            by_kind: dict[Kind, Counter[Any]] = {}
            for (kind, value), count in self._unlisted.get(metadata_key(key), {}).items():
                by_kind.setdefault(kind, Counter())[value] = count
            counts = {kind: ValueCounts.of_counter(counter) for kind, counter in by_kind.items()}
        return {kind: one for kind, one in counts.items() if one.distinct}

    def _counts(self, column: str, kind: Kind) -> "ValueCounts":
        values = self.table.search().select([column]).to_arrow()[column].combine_chunks()
        return ValueCounts.of_column(values.flatten() if kind is Kind.TAGS else values)

    def words(self, key: str, text: str = "") -> str:
        """Some values of a key as text: those most similar to `text`, else the most frequent; or a range."""
        lines = []
        for kind, counts in self.counted(key).items():
            values = [*counts.most_frequent]
            if kind in (Kind.NUMBER, Kind.TIME):
                lines.append(_range(counts.low, counts.high))
            elif words := [one for one in values if kind is not Kind.TEXT or kinds_of(one).keys() == {Kind.TEXT}]:
                near = _nearest(text, words)
                lines.append(_listed(near or words, 0 if near else counts.distinct - len(values)))
        return "; ".join(lines)


@dataclass(frozen=True)
class ValueCounts:
    """The values of one kind that a key has in a library.

    Attributes:
        most_frequent: some thousand of them at most, each with its number of images, the most frequent first.
        distinct: number of all of them.
        low, high: the smallest and the largest one.
    """

    most_frequent: Mapping[Any, int]
    distinct: int
    low: Any
    high: Any

    @classmethod
    def of_column(cls, values: Any) -> "ValueCounts":
        """Count the values in an Arrow array; null and "" are none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = values.drop_null()
        if pa.types.is_string(values.type):
            values = values.filter(pc.greater(pc.binary_length(values), 0))
        ends, counted = pc.min_max(values).as_py(), pc.value_counts(values)
        ordered = counted.take(pc.sort_indices(counted.field("counts"), sort_keys=[("", "descending")])[:_MOST])
        pairs = zip(ordered.field("values").to_pylist(), ordered.field("counts").to_pylist(), strict=True)
        return cls(dict(pairs), len(counted), ends["min"], ends["max"])

    @classmethod
    def of_counter(cls, counter: Counter[Any]) -> "ValueCounts":
        """Those of values that are counted."""
        return cls(dict(counter.most_common(_MOST)), len(counter), min(counter), max(counter))


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


def _nearest(text: str, values: list[Any]) -> list[Any]:
    """The values most similar to the wanted one."""
    by_name = {_text(value).lower(): value for value in reversed(values)}
    return [by_name[name] for name in (get_close_matches(text.lower(), by_name, n=_SHOWN, cutoff=0.5) if text else ())]


def _range(low: Any, high: Any) -> str:
    return _text(low) if low == high else f"{_text(low)} to {_text(high)}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.date().isoformat()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _listed(values: list[Any], others: int) -> str:
    more = len(values) + others - _SHOWN
    return ", ".join(short(_text(value), 40) for value in values[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
