"""Filters as LanceDB expressions: nodes and literals, never query text, so that a value is only a value.

A negated comparison is combined with a test for absent values, unless there are none. The semantics are those of
`imagerag.agent.types.filters.matching`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import AllOf, AnyOf, Comparison, Condition, Has, Not
from imagerag.agent.types.filters.keys import BUILT_IN, column_of, metadata_key
from imagerag.agent.types.filters.literals import Kind, period_of, spellings
from imagerag.store.library.filters.column_conditions import (
    LABELS,
    absent,
    comparison,
    joined,
    month_text,
    never_null,
    tagged,
    there,
)
from imagerag.store.library.library_metadata import WITHOUT_MONTHS, library_metadata_of
from imagerag.store.library.metadata_columns import Columns, columns_of
from imagerag.store.library.schema import id_filter, label


def expression_of(table: Any, filter: Filter) -> Any | None:
    """The LanceDB expression of `filter` for a table; None when it matches everything."""
    terms = []
    if (condition := filter.condition) is not None:
        schema = table.schema
        is_without_months = library_metadata_of(table, table.name).version == WITHOUT_MONTHS
        filled = _FilledColumns(table)
        expressions = _Expressions(frozenset(schema.names), columns_of(schema), filled, is_without_months)
        terms.append(expressions.of(condition))
    if filter.exclude:
        terms.append(~id_filter("id", filter.exclude))
    if filter.only:
        terms.append(id_filter("id", filter.only))
    return joined(terms, any_one=False) if terms else None


def matching(table: Any, filter: Filter) -> Any:
    """A LanceDB query of the rows that match a filter."""
    query, where = table.search(), expression_of(table, filter)
    return query if where is None else query.where(where)


def filter_indexes(table: Any) -> dict[str, Any]:
    """Column → index type for filters. Free text, which is matched by substrings, has none."""
    from lancedb.index import Bitmap, BTree

    whole = {name: Bitmap() for name in ("licence", "media_type", "camera", "lens", "language")}
    ranges = {name: BTree() for name in ("taken", "created", "author", "place", "width", "height", "size_bytes",
                                         "latitude", "longitude")}  # fmt: skip
    schema = table.schema
    metadata = {column: Bitmap() if kind is Kind.FLAG else BTree()
                for kinds in columns_of(schema).values() for kind, column in kinds.items()}  # fmt: skip
    return {name: index for name, index in (whole | ranges | metadata).items() if name in schema.names}


class _FilledColumns:
    """The columns with an index for filters that are null in no row: an index alone answers their negations."""

    def __init__(self, table: Any) -> None:
        self._table, self._known = table, dict[str, bool]()

    def has(self, column: str) -> bool:
        if column not in self._known:
            is_indexed = column in filter_indexes(self._table)
            self._known[column] = is_indexed and not self._table.count_rows(f"{column} IS NULL")
        return self._known[column]


class _Expressions:
    """Makes expressions for a table with these columns."""

    def __init__(
        self, built_in: frozenset[str], metadata: Columns, filled: _FilledColumns, is_without_months: bool
    ) -> None:
        self._built_in = built_in
        self._metadata = metadata
        self._filled = filled
        self._is_without_months = is_without_months

    def of(self, condition: Condition, *, holds: bool = True) -> Any:
        """Rows for which a condition holds (or does not). Null counts as false, so no expression that can be null is
        negated."""
        match condition:
            case Not():
                return self.of(condition.negated, holds=not holds)
            case AllOf(all_of=parts) | AnyOf(any_of=parts):
                terms = [self.of(one, holds=holds) for one in parts]
                both = isinstance(condition, AllOf) is holds
                return joined(terms, any_one=not both)
            case Has():
                return self._present(condition.has, holds=holds)
        if holds and (plain := self._plain(condition)) is not None:
            return plain
        terms = [self._comparison(condition, value, holds=holds) for value in condition.values]
        return joined(terms, any_one=holds)

    def _columns(self, key: str) -> Mapping[Kind, str]:
        """Kind → column of the values of a key."""
        name = column_of(key)
        if name is not None and name in self._built_in:
            return {BUILT_IN[name]: name}
        return self._metadata.get(metadata_key(key), {})

    def _plain(self, leaf: Comparison) -> Any | None:
        """A single IN over a text column, which an index answers faster than several comparisons; None for other
        conditions."""
        columns = self._columns(leaf.key)
        is_text = all(value and self._months(leaf, value) is None for value in leaf.values)
        if leaf.op == "=" and columns.keys() == {Kind.TEXT} and is_text and not self._says_null(leaf):
            return id_filter(columns[Kind.TEXT], (form for value in leaf.values for form in spellings(value)))
        return None

    def _months(self, leaf: Comparison, value: str) -> tuple[datetime, datetime] | None:
        """The period with which text that is a month has to be compared; None where times say it, or no text can."""
        is_metadata = column_of(leaf.key) not in self._built_in
        applies = self._is_without_months and is_metadata and leaf.op != "~" and Kind.TEXT in self._columns(leaf.key)
        return period_of(value) if applies else None

    def _says_null(self, leaf: Comparison) -> bool:
        return "null" in leaf.values and column_of(leaf.key) not in self._built_in

    def _present(self, key: str, *, holds: bool) -> Any:
        from lancedb.expr import lit

        test = there if holds else absent
        terms = [test(column, kind) for kind, column in self._columns(key).items()]
        if not terms:
            is_built_in = column_of(key) in self._built_in
            return lit(not holds) if is_built_in else self._labelled(metadata_key(key), holds=holds)
        return joined(terms, any_one=holds)

    def _labelled(self, key: str, *, holds: bool) -> Any:
        """Rows with any value of a metadata key without a column, from the column `labels`."""
        from lancedb.expr import col, lit

        any_value = col(LABELS).contains(lit("\n" + label("is", key, "").removesuffix('"]')))
        for empty in ("", "null"):
            any_value = any_value & ~col(LABELS).contains(lit(f"\n{label('is', key, empty)}\n"))
        return any_value if holds else ~any_value

    def _comparison(self, leaf: Comparison, value: str, *, holds: bool) -> Any:
        from lancedb.expr import lit

        columns = self._columns(leaf.key)
        if leaf.op == "=" and not value and Kind.TAGS not in columns:
            return self._present(leaf.key, holds=not holds)
        strict = column_of(leaf.key) not in self._built_in
        terms = []
        for kind, column in columns.items():
            term = comparison(kind, column, leaf.op, value, strict=strict)
            if kind is Kind.TAGS and leaf.op == "=" and not holds:
                terms.append(~tagged(value, never_null(LABELS)))
            elif term is not None:
                terms.append(term if holds else self._negated(term, column, kind))
        if (period := self._months(leaf, value)) is not None:
            term = month_text(columns[Kind.TEXT], leaf.op, period)
            terms.append(term if holds else self._negated(term, columns[Kind.TEXT], Kind.TEXT))
        if strict and leaf.op == "=" and (not columns or value == "null"):
            terms += [self._label(metadata_key(leaf.key), value, holds=holds)]
        if not terms:
            return lit(not holds)
        return joined(terms, any_one=holds)

    def _negated(self, term: Any, column: str, kind: Kind) -> Any:
        """Rows for which a condition on a column does not hold; it is null where the column is."""
        return ~term if self._filled.has(column) else ~term | absent(column, kind)

    def _label(self, key: str, value: str, *, holds: bool) -> Any:
        """The value of a metadata key without a column, in the column `labels`, as text."""
        from lancedb.expr import col, lit

        terms = [col(LABELS).contains(lit(f"\n{label('is', key, form)}\n")) for form in spellings(value)]
        whole = joined(terms, any_one=True)
        return whole if holds else ~whole
