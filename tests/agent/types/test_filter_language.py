"""The filter language: what is read, what it means for one image, and what a text that cannot be read is told."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagerag.agent.errors import FilterError
from imagerag.agent.types import RunConfig
from imagerag.agent.types.filters import (
    AllOf,
    AnyOf,
    Comparison,
    FilterExpression,
    Has,
    Not,
    parse_filter,
)
from imagerag.agent.types.filters.literals import Kind, kinds_of, period_of
from imagerag.agent.types.filters.matching import matches


def read(given: Any) -> Any:
    found = parse_filter(given)
    assert found is not None
    return found.parsed


def equal(key: str, *values: str) -> Comparison:
    return Comparison(key=key, op="=", values=values)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("a=b", equal("a", "b")),
        ("a == b", equal("a", "b")),
        ("a=red mug and c=d", AllOf(all_of=(equal("a", "red mug"), equal("c", "d")))),
        ("a=made in Italy", equal("a", "made in Italy")),
        ("a=do not touch", equal("a", "do not touch")),
        ("url=https://a/b?c=d", equal("url", "https://a/b?c=d")),
        ("who=O'Brien", equal("who", "O'Brien")),
        ('a="x \\" y"', equal("a", 'x " y')),
        ("a='C:\\temp'", equal("a", "C:\\temp")),
        ("größe=5 AND 'two words'=1", AllOf(all_of=(equal("größe", "5"), equal("two words", "1")))),
        ("a in (b, \"c, d\", e f)", equal("a", "b", "c, d", "e f")),
        ("a in (O'Brien, 5\")", equal("a", "O'Brien", '5"')),
        ("a not in (b)", Not(negated=equal("a", "b"))),
        ("a!=b", Not(negated=equal("a", "b"))),
        ("not not a=b", equal("a", "b")),
        ("a = none", Not(negated=Has(has="a"))),
        ("a != null", Has(has="a")),
        ('a="none"', equal("a", "none")),
        ("has a", Has(has="a")),
        ("a between 1 and 2 or b=3", AnyOf(any_of=(
            AllOf(all_of=(Comparison(key="a", op=">=", values=("1",)), Comparison(key="a", op="<=", values=("2",)))),
            equal("b", "3")))),
        ("a=1 or b=2 and c=3", AnyOf(any_of=(equal("a", "1"), AllOf(all_of=(equal("b", "2"), equal("c", "3")))))),
        ("not(a=1 or b=2)and c=3", AllOf(all_of=(
            Not(negated=AnyOf(any_of=(equal("a", "1"), equal("b", "2")))), equal("c", "3")))),
        ("notes=1 and order=2 and inside=3", AllOf(all_of=(equal("notes", "1"), equal("order", "2"),
                                                           equal("inside", "3")))),
        ("a!~b", Not(negated=Comparison(key="a", op="~", values=("b",)))),
        ({"a": 1, "b": ["x", "y"], "c": True, "d": None}, AllOf(all_of=(
            equal("a", "1"), equal("b", "x", "y"), equal("c", "true"), Not(negated=Has(has="d"))))),
        ({"a": "x' OR '1'='1"}, equal("a", "x' OR '1'='1")),
        ({"a": ["x", None]}, AnyOf(any_of=(equal("a", "x"), Not(negated=Has(has="a"))))),
        ({"a": [None]}, Not(negated=Has(has="a"))),
        ({"a": range(2)}, equal("a", "0", "1")),
        ({"a": Kind.TEXT}, equal("a", "text")),
        (["a=1 or b=2", "c=3"], AllOf(all_of=(AnyOf(any_of=(equal("a", "1"), equal("b", "2"))), equal("c", "3")))),
    ],
)  # fmt: skip
def test_filters_are_read(text: Any, means: Any) -> None:
    assert read(text) == means


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("novalue", 8, "KEY=VALUE"),
        (
            "title=Salt and Pepper",
            22,
            'in it is put in quotes: title="Salt and Pepper"',
        ),
        ("not (title=Salt or Pepper)", 26, "is put in quotes"),
        ("camera=X100 taken>2020", 18, 'expected "and", "or" or the end'),
        ('a="x', 3, "this quote is not closed"),
        ("a=(b)", 3, "expected a value"),
        ("(a=1", 5, 'expected ")"'),
        ("a=1)", 4, "expected the end"),
        ("a in ()", 7, "expected a value"),
        ("a in (b, c", 11, 'expected ")" or ","'),
        ("a=1 and", 8, 'expected "not", "has", a key or "("'),
        ("a between 1", 12, 'expected "and"'),
        ("a~b*c", 4, "first or last"),
        ("licence=CC0, tag=x", 17, 'expected "and", "or" or the end'),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    told, shown, caret, *hint = str(caught.value).split("\n")
    assert told.startswith(f"filter, column {column}: ")
    assert words in "".join([told, *hint])
    assert (shown, caret) == (f"  {text}", " " * (column + 1) + "^")


def test_a_long_filter_is_shown_around_the_place_alone() -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(" and ".join(["key=value"] * 60) + " and" + " and x=1" * 10)
    assert max(map(len, str(caught.value).split("\n"))) <= 80
    with pytest.raises(FilterError, match="at most 10000"):
        parse_filter("a=" + "b" * 10_000)


def test_deep_and_long_filters_are_read_or_refused_and_nothing_worse() -> None:
    assert read("(" * 4000 + "a=1" + ")" * 4000) == equal("a", "1")
    assert read("not " * 2001 + "a=1") == Not(negated=equal("a", "1"))
    assert len(read(" or ".join(["a=1"] * 1000)).any_of) == 1000
    with pytest.raises(FilterError, match="inside each other"):
        parse_filter("".join(f"a=1 and not (b={n} and not (" for n in range(60)) + "a=1" + "))" * 60)


keys = st.text(min_size=1, max_size=8)
values = st.text(max_size=8)
several = st.lists(values, min_size=1, max_size=3).map(tuple)
leaf = st.one_of(
    st.builds(lambda key, values: Comparison(key=key, op="=", values=values), keys, several),
    st.builds(lambda key, op, value: Comparison(key=key, op=op, values=(value,)), keys, st.sampled_from("<>"), values),
    st.builds(lambda key: Has(has=key), keys),
)


def but(kind: type, parts: Any) -> Any:
    return st.lists(parts.filter(lambda one: not isinstance(one, kind)), min_size=2, max_size=3).map(tuple)


conditions = st.recursive(
    leaf,
    lambda inner: st.one_of(
        inner.filter(lambda one: not isinstance(one, Not)).map(lambda one: Not(negated=one)),
        but(AllOf, inner).map(lambda parts: AllOf(all_of=parts)),
        but(AnyOf, inner).map(lambda parts: AnyOf(any_of=parts)),
    ),
    max_leaves=8,
)


@given(conditions)
def test_a_condition_is_written_as_text_that_means_the_same(condition: Any) -> None:
    assert read(str(condition)) == condition
    whole = FilterExpression(text=str(condition), parsed=condition)
    assert FilterExpression.model_validate_json(whole.model_dump_json()) == whole


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        found = parse_filter(text)
    except FilterError:
        return
    assert found is None or read(str(found.parsed)) == found.parsed


def test_a_text_that_says_something_else_gives_way_to_what_was_meant() -> None:
    kept = FilterExpression.model_validate({"text": "a = 2", "parsed": equal("a", "1").model_dump()})
    assert (kept.text, kept.parsed) == ("a=1", equal("a", "1"))


def test_settings_of_runs_take_every_form_and_those_of_earlier_versions() -> None:
    assert RunConfig(filter={}).filter is RunConfig(filter="").filter is RunConfig().filter is None
    mapped = RunConfig.model_validate_json('{"filter": {"collection": "a"}}')
    assert mapped.filter is not None
    assert (mapped.filter.text, mapped.filter.pairs) == ("collection=a", {"collection": "a"})
    typed = RunConfig(filter="taken >= 2024-05 and not tag=draft")  # type: ignore[arg-type]
    assert typed.model_dump(mode="json")["filter"]["text"] == "taken >= 2024-05 and not tag=draft"
    assert RunConfig.model_validate_json(typed.model_dump_json()) == typed
    assert RunConfig.model_validate(typed.model_dump()) == typed
    with pytest.raises(ValidationError, match="filter, column 3: expected a value"):
        RunConfig(filter="a=")  # type: ignore[arg-type]


@dataclass
class Record:
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    title: str = ""
    licence: str = ""
    taken: datetime | None = None
    width: int | None = None


@pytest.mark.parametrize(
    ("text", "record", "held"),
    [
        ("taken>=2024-05", Record(taken=datetime(2024, 5, 1, tzinfo=UTC)), True),
        ("taken>2024-05", Record(taken=datetime(2024, 5, 31, 23, 59, tzinfo=UTC)), False),
        ("taken>2024-05", Record(taken=datetime(2024, 6, 1, tzinfo=UTC)), True),
        ("taken<=2024", Record(taken=datetime(2024, 12, 31, 23, tzinfo=UTC)), True),
        ("taken=2024-05-03T10:00", Record(taken=datetime(2024, 5, 3, 10, 0, 59, tzinfo=UTC)), True),
        ("taken=2024-05-03T12:00+02:00", Record(taken=datetime(2024, 5, 3, 10, tzinfo=UTC)), True),
        ("taken<2020", Record(), False),
        ("not taken<2020", Record(), True),
        ("not taken<2020 and has taken", Record(), False),
        ("licence!=CC0-1.0", Record(), True),
        ("licence in (CC0-1.0, CC-BY-4.0)", Record(licence="CC-BY-4.0"), True),
        ("licence=cc0-1.0", Record(licence="CC0-1.0"), False),
        ("title~ÉCOLE", Record(title="Une école"), True),
        ("title~strasse", Record(title="Lange Straße"), True),
        ("title~STRASSE", Record(title="Lange Straße"), True),
        ("title~straße", Record(title="HAUPTSTRASSE"), True),
        ("title~STRAẞE", Record(title="straße"), True),
        ("title~ΟΔΟΣ", Record(title="οδοσήμανση"), True),
        ("title~οδος*", Record(title="ΟΔΟΣΗΜΑΝΣΗ"), True),
        ("title~*οδοσ", Record(title="η οδός", metadata={}), False),
        ("title~'e\u0301cole'", Record(title="ÉCOLE"), True),
        ("title~ecole", Record(title="École"), False),
        ("tag~strasse", Record(tags=("Straße",)), True),
        ("title~IMG_*", Record(title="img_1"), True),
        ("title~IMG_*", Record(title="an img_1"), False),
        ("title~*.dng", Record(title="a.DNG"), True),
        ("title~'\\*'", Record(title="a*b"), True),
        ("title='é'", Record(title="e\u0301"), True),
        ("tag=draft", Record(tags=("draft", "b")), True),
        ("not tag=draft", Record(), True),
        ("tag~RAF", Record(tags=("draft",)), True),
        ("has tag", Record(), False),
        ("tag in (a, b)", Record(tags=("b",)), True),
        ("price<20 and price>=19.99", Record(metadata={"price": 19.99}), True),
        ("price<20", Record(metadata={"price": "19.99"}), True),
        ("price=19.990", Record(metadata={"price": "19.99"}), True),
        ("price<20", Record(metadata={"price": "unknown"}), False),
        ("new=yes and not used=true", Record(metadata={"new": True, "used": False}), True),
        ("metadata.width=3", Record(metadata={"width": 3}, width=9), True),
        ("width=9", Record(metadata={"width": 3}, width=9), True),
        ("shot=2024", Record(metadata={"shot": "2024:05:03 10:00:00"}), True),
        ("kind=none", Record(metadata={"kind": None}), True),
        ("kind=''", Record(metadata={"kind": ""}), True),
        ("has kind", Record(metadata={"kind": ""}), False),
        ("kind<m", Record(metadata={"kind": "lamp"}), True),
        ("id<m", Record(metadata={"id": "lamp"}), True),
    ],
)
def test_what_filters_mean_for_one_image(text: str, record: Record, held: bool) -> None:
    assert matches(read(text), record) is held
    assert matches(read(f"not ({text})"), record) is not held


@given(st.datetimes(), st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]))
def test_a_date_is_the_period_it_names(when: datetime, precision: str) -> None:
    text = when.strftime(precision)
    text = text.zfill(4) if precision == "%Y" else f"{text.partition('-')[0].zfill(4)}-{text.partition('-')[2]}"
    period = period_of(text)
    assert period is not None
    assert period[0] <= when.replace(tzinfo=UTC) <= period[1]
    assert period_of("2024-13") is period_of("2024-02-30") is period_of("24") is period_of("soon") is None


def test_text_is_a_number_or_a_date_only_where_it_is_written_like_one() -> None:
    assert set(kinds_of("007")) == set(kinds_of("v1.2.3")) == {"text"}
    assert set(kinds_of("-1.5e3")) == {"text", "number"}
    assert set(kinds_of("2024-05-03")) == {"text", "time"}
    assert set(kinds_of(True)) == {"flag"}
    assert set(kinds_of(2**60)) == {"text"}
