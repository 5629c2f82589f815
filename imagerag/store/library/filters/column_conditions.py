"""Conditions on one column as LanceDB expressions.

LanceDB's expressions have neither IS NULL nor list functions: the test for absent values uses that the concatenation of
null with an empty text is empty (`absent`). Tags are matched as lines of the column `labels`.
"""

import operator
from datetime import datetime
from functools import reduce
from string import digits
from typing import Any, Final

from imagerag.agent.types.filters.literals import LATEST, Kind, flag_of, number_of, pattern_of, period_of, spellings
from imagerag.store.library.schema import id_filter, label

LABELS: Final = "labels"
_EDGE: Final = "\0"
"""Put around a text to say where it begins and ends; no text that is stored holds it."""


def comparison(kind: Kind, column: str, op: str, value: str, *, strict: bool) -> Any | None:
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
        return tagged(value, col(LABELS))
    if kind is Kind.TAGS and op == "~":
        return _parts(col(column).cast("string"), value.strip()) & there(column, kind)
    return None


def tagged(value: str, labels: Any) -> Any:
    """Rows with a tag, by the lines of the column `labels`."""
    from lancedb.expr import lit

    terms = [labels.contains(lit(f"\n{label('tag', form)}\n")) for form in spellings(value)]
    return joined(terms, any_one=True)


def never_null(column: str) -> Any:
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


def month_text(column: str, op: str, period: tuple[datetime, datetime]) -> Any:
    """Rows whose text is a month in a period, in tables without the times of such text.

    Months are ordered as texts: the first of a month is before an instant exactly if its text is before that of the
    first month that begins no earlier.
    """
    from lancedb.expr import col, func, lit

    text = col(column)
    ending = func("concat", text, lit(_EDGE))
    is_month = joined([ending.contains(lit(f"-{month:02}{_EDGE}")) for month in range(1, 13)], any_one=True)
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
    """Rows whose text contains a part, both as `case_folded` has them.

    LanceDB folds the part, too: it may know letters that Python does not know yet.
    """
    from lancedb.expr import func, lit

    begins, part, ends = pattern_of(value)
    whole = _case_folded(text)
    if begins or ends:
        whole = func("concat", lit(_EDGE), whole, lit(_EDGE))
    before, behind = _EDGE if begins else "", _EDGE if ends else ""
    terms = [whole.contains(_case_folded(lit(before + form + behind))) for form in spellings(part)]
    return joined(terms, any_one=True)


def _case_folded(text: Any) -> Any:
    return text.lower().upper()


def there(column: str, kind: Kind) -> Any:
    """Rows with a value in a column. "Equals itself" stands for IS NOT NULL, and indexes support it."""
    from lancedb.expr import col, lit

    if kind is Kind.TAGS:
        return ~absent(column, kind)
    return col(column) != lit("") if kind is Kind.TEXT else col(column) == col(column)


def absent(column: str, kind: Kind) -> Any:
    """Rows without a value in a column."""
    from lancedb.expr import col, func, lit

    text = never_null(column) if kind is Kind.TEXT else func("concat", col(column).cast("string"), lit(""))
    return text.isin([lit(""), lit("[]")]) if kind is Kind.TAGS else text == lit("")


def joined(terms: list[Any], *, any_one: bool) -> Any:
    """Terms joined by OR (`any_one`) or AND as a balanced tree, because LanceDB walks it by recursion."""
    join = operator.or_ if any_one else operator.and_
    while len(terms) > 1:
        terms = [reduce(join, terms[at : at + 2]) for at in range(0, len(terms), 2)]
    return terms[0]
