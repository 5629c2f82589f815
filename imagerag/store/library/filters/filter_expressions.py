"""Filters as LanceDB expressions: nodes and literals, never query text, so that a value is only a value.

LanceDB's expressions have neither IS NULL nor list functions. So a negated comparison is combined with a test for
absent values, unless there are none. The test uses that the concatenation of null with an empty text is empty
(`_absent`). Tags are matched as lines of the column `labels`. The semantics are those of
`imagerag.agent.types.filters.matching`.
"""

import operator
from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from string import digits
from typing import Any, Final

from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import AllOf, AnyOf, Comparison, Condition, Has, Not
from imagerag.agent.types.filters.keys import BUILT_IN, column_of, metadata_key
from imagerag.agent.types.filters.literals import (
    LATEST,
    Kind,
    flag_of,
    number_of,
    pattern_of,
    period_of,
    spellings,
)
from imagerag.store.library.library_metadata import WITHOUT_MONTHS, library_metadata_of
from imagerag.store.library.metadata_columns import Columns, columns_of
from imagerag.store.library.schema import id_filter, label

LABELS: Final = "labels"
_EDGE: Final = "\0"
"""Put around a text to say where it begins and ends; no text that is stored holds it."""


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
    return _joined(terms, any_one=False) if terms else None


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
                return _joined(terms, any_one=not both)
            case Has():
                return self._present(condition.has, holds=holds)
        if holds and (plain := self._plain(condition)) is not None:
            return plain
        terms = [self._comparison(condition, value, holds=holds) for value in condition.values]
        return _joined(terms, any_one=holds)

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

        test = _there if holds else _absent
        terms = [test(column, kind) for kind, column in self._columns(key).items()]
        if not terms:
            is_built_in = column_of(key) in self._built_in
            return lit(not holds) if is_built_in else self._labelled(metadata_key(key), holds=holds)
        return _joined(terms, any_one=holds)

    def _labelled(self, key: str, *, holds: bool) -> Any:
        """Rows with any value of a metadata key without a column, from the column `labels`."""
        from lancedb.expr import col, lit

        there = col(LABELS).contains(lit("\n" + label("is", key, "").removesuffix('"]')))
        for empty in ("", "null"):
            there = there & ~col(LABELS).contains(lit(f"\n{label('is', key, empty)}\n"))
        return there if holds else ~there

    def _comparison(self, leaf: Comparison, value: str, *, holds: bool) -> Any:
        from lancedb.expr import lit

        columns = self._columns(leaf.key)
        if leaf.op == "=" and not value and Kind.TAGS not in columns:
            return self._present(leaf.key, holds=not holds)
        strict = column_of(leaf.key) not in self._built_in
        terms = []
        for kind, column in columns.items():
            term = _comparison(kind, column, leaf.op, value, strict=strict)
            if kind is Kind.TAGS and leaf.op == "=" and not holds:
                terms.append(~_tagged(value, _never_null(LABELS)))
            elif term is not None:
                terms.append(term if holds else self._negated(term, column, kind))
        if (period := self._months(leaf, value)) is not None:
            term = _month_text(columns[Kind.TEXT], leaf.op, period)
            terms.append(term if holds else self._negated(term, columns[Kind.TEXT], Kind.TEXT))
        if strict and leaf.op == "=" and (not columns or value == "null"):
            terms += [self._label(metadata_key(leaf.key), value, holds=holds)]
        if not terms:
            return lit(not holds)
        return _joined(terms, any_one=holds)

    def _negated(self, term: Any, column: str, kind: Kind) -> Any:
        """Rows for which a condition on a column does not hold; it is null where the column is."""
        return ~term if self._filled.has(column) else ~term | _absent(column, kind)

    def _label(self, key: str, value: str, *, holds: bool) -> Any:
        """The value of a metadata key without a column, in the column `labels`, as text."""
        from lancedb.expr import col, lit

        terms = [col(LABELS).contains(lit(f"\n{label('is', key, form)}\n")) for form in spellings(value)]
        whole = _joined(terms, any_one=True)
        return whole if holds else ~whole


def _comparison(kind: Kind, column: str, op: str, value: str, *, strict: bool) -> Any | None:
    """Rows whose value of a kind matches the comparison, null for absent values; None where no value of that kind can
    match."""
    from lancedb.expr import col, lit

    if kind is Kind.NUMBER and op != "~" and (number := number_of(value)) is not None:
        return _ordered(col(column), op, lit(int(number) if _is_whole(number) else number))
    if kind is Kind.TIME and op != "~" and (period := period_of(value)) is not None:
        return _in_time(col(column), op, period)
    if kind is Kind.FLAG and op == "=" and (flag := flag_of(value)) is not None:
        return col(column) == lit(flag)
    if kind is Kind.TEXT:
        return _text(column, op, value, strict=strict)
    if kind is Kind.TAGS and op == "=":
        return _tagged(value, col(LABELS))
    if kind is Kind.TAGS and op == "~":
        return _parts(col(column).cast("string"), value.strip()) & _there(column, kind)
    return None


def _tagged(value: str, labels: Any) -> Any:
    """Rows with a tag, by the lines of the column `labels`."""
    from lancedb.expr import lit

    terms = [labels.contains(lit(f"\n{label('tag', form)}\n")) for form in spellings(value)]
    return _joined(terms, any_one=True)


def _never_null(column: str) -> Any:
    """The text of a column, "" where it is null: LanceDB has no IS NULL here, but concatenating null gives the rest."""
    from lancedb.expr import col, func, lit

    return func("concat", col(column), lit(""))


def _is_whole(number: float) -> bool:
    return number.is_integer() and abs(number) < 2**53


def _ordered(column: Any, op: str, value: Any) -> Any:
    match op:
        case "=":
            return column == value
        case "<":
            return column < value
        case "<=":
            return column <= value
        case ">":
            return column > value
    return column >= value


def _in_time(column: Any, op: str, period: tuple[Any, Any]) -> Any:
    from lancedb.expr import lit

    start, after = lit(period[0]), lit(period[1])
    last = column <= after if period[1] == LATEST else column < after
    match op:
        case "=":
            return (column >= start) & last
        case "<":
            return column < start
        case "<=":
            return last
        case ">":
            return column >= after if period[1] < LATEST else column > after
    return column >= start


def _month_text(column: str, op: str, period: tuple[datetime, datetime]) -> Any:
    """Rows whose text is a month in a period, in tables without the times of such text.

    Months are ordered as texts: the first of a month is before an instant exactly if its text is before that of the
    first month that begins no earlier.
    """
    from lancedb.expr import col, func, lit

    text = col(column)
    ending = func("concat", text, lit(_EDGE))
    is_month = _joined([ending.contains(lit(f"-{month:02}{_EDGE}")) for month in range(1, 13)], any_one=True)
    is_year = (func("octet_length", text) == lit(7)) & (func("btrim", text, lit(digits)) == lit("-"))
    start, after = (lit(_next_month(instant)) for instant in period)
    match op:
        case "=":
            within = (text >= start) & (text < after)
        case "<":
            within = text < start
        case "<=":
            within = text < after
        case ">":
            within = text >= after
        case _:
            within = text >= start
    return is_month & is_year & (text >= lit("0001")) & within


def _next_month(instant: datetime) -> str:
    """The text of the first month that begins at an instant or after it."""
    if instant == LATEST:
        return ":"  # after all digits
    first = instant.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    months = instant.year * 12 + instant.month - 1 + (first < instant)
    return f"{months // 12:04}-{months % 12 + 1:02}"


def _text(column: str, op: str, value: str, *, strict: bool) -> Any | None:
    from lancedb.expr import col, lit

    if op == "=":
        return id_filter(column, spellings(value))
    if op == "~":
        return _parts(col(column), value) & (col(column) != lit(""))
    if strict and (number_of(value) is not None or period_of(value) is not None):
        return None
    return _ordered(col(column), op, lit(value)) & (col(column) != lit(""))


def _parts(text: Any, value: str) -> Any:
    """Rows whose text contains a part, ignoring case."""
    from lancedb.expr import func, lit

    begins, part, ends = pattern_of(value)
    whole = text.lower()
    if begins or ends:
        whole = func("concat", lit(_EDGE), whole, lit(_EDGE))
    before, behind = _EDGE if begins else "", _EDGE if ends else ""
    terms = [whole.contains(lit(before + form.lower() + behind)) for form in spellings(part)]
    return _joined(terms, any_one=True)


def _there(column: str, kind: Kind) -> Any:
    """Rows with a value in a column. "Equals itself" stands for IS NOT NULL, and indexes support it."""
    from lancedb.expr import col, lit

    if kind is Kind.TAGS:
        return ~_absent(column, kind)
    return col(column) != lit("") if kind is Kind.TEXT else col(column) == col(column)


def _absent(column: str, kind: Kind) -> Any:
    """Rows without a value in a column."""
    from lancedb.expr import col, func, lit

    text = _never_null(column) if kind is Kind.TEXT else func("concat", col(column).cast("string"), lit(""))
    return text.isin([lit(""), lit("[]")]) if kind is Kind.TAGS else text == lit("")


def _joined(terms: list[Any], *, any_one: bool) -> Any:
    """Terms joined by OR (`any_one`) or AND as a balanced tree, because LanceDB walks it by recursion."""
    join = operator.or_ if any_one else operator.and_
    while len(terms) > 1:
        terms = [reduce(join, terms[at : at + 2]) for at in range(0, len(terms), 2)]
    return terms[0]
