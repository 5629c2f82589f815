"""Filters over a library: they let through what the reference says, whatever the values, and say why nothing fits."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import FilterError
from imagerag.agent.ports import Filter
from imagerag.agent.types import ImageRef
from imagerag.agent.types.filters import (
    AllOf,
    AnyOf,
    Comparison,
    FilterExpression,
    Has,
    Not,
    parse_filter,
)
from imagerag.agent.types.filters.keys import check_condition
from imagerag.agent.types.filters.literals import Kind
from imagerag.agent.types.filters.matching import matches
from imagerag.store.library import search
from imagerag.store.library.filters import filter_checks
from imagerag.store.library.filters.filter_expressions import expression_of
from imagerag.store.library.joined_libraries import JoinedLibraries
from imagerag.store.library.schema import ImageRecord, NewImage

HOSTILE = [
    "x' OR '1'='1", '"; DROP TABLE t; --', "a\\", "`a`", "%", "_", "'", '"', "[a, b]", "\n", "\u2028", "NULL", "null",
    "true", "ÉCOLE", "ΟΔΟΣ", "οδοσα", "ς", "e\u0301", "é", "İ", "ı", "ß", "ẞ", "SS", "ﬃ", "ŉ", "ᾳ", "ΐ",
]  # fmt: skip
PLAIN = [
    "", "red", "Red mug", "draft", "19.90", "19.9", "7", "2024", "2024-05", "2024-05-03", "2024:05:03 10:00:00", "007",
]  # fmt: skip
WORDS = st.sampled_from([*HOSTILE, *PLAIN])
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
TEXTS = WORDS | ANY
NUMBERS = st.sampled_from([0, 1, -1, 7, 19.9, 2024, 2**53, 1e300, -0.5]) | st.integers(-(2**53), 2**53)
TIMES = st.datetimes(datetime(2024, 4, 30), datetime(2024, 6, 2)).map(lambda when: when.replace(tzinfo=UTC))
METADATA = {
    "kind": TEXTS, "price": NUMBERS, "new": st.booleans(), "it's \"odd\".x": TEXTS,
    "day": st.sampled_from(["2024-05-03", "2024:06:01 00:00:00", "soon"]),
    "mixed": TEXTS | NUMBERS | st.booleans() | st.none(),
}  # fmt: skip
TAGS = TEXTS.map(str.strip).filter(lambda tag: tag and not set(tag) & set(",[]"))


@st.composite
def rows(draw: Any) -> list[ImageRecord]:
    count = draw(st.integers(1, 6))
    return [
        ImageRecord(
            image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=draw(st.integers(1, 3)), height=1),
            title=draw(TEXTS), licence=draw(WORDS), camera=draw(WORDS),
            tags=tuple(draw(st.lists(TAGS, max_size=2))), taken=draw(st.none() | TIMES),
            latitude=draw(st.none() | st.floats(-90, 90)), metadata=draw(st.fixed_dictionaries({}, optional=METADATA)),
        )
        for at in range(count)
    ]  # fmt: skip


TYPED = TEXTS | NUMBERS.map(str) | st.sampled_from(
    ["2024-05", "2024-05-03", "2024-05-03T10", "2024-05-03T10:00", "9999", "0001", "yes", "no"]
)  # fmt: skip
BUILT_IN = ["title", "licence", "license", "camera", "taken", "width", "latitude"]
KEYS = st.sampled_from([*BUILT_IN, *METADATA, "metadata.kind", "nothing"])
PARTS = TAGS.filter(lambda tag: "*" not in tag)
STARS = st.sampled_from(["", "*"])


def escaped(text: str) -> str:
    return text.replace("*", "\\*")


def leaf(keys: Any, operators: list[str], values: Any) -> Any:
    return st.builds(
        lambda key, op, value: Comparison(key=key, op=op, values=value if isinstance(value, tuple) else (value,)),
        keys, st.sampled_from(operators), values,
    )  # fmt: skip


LEAVES = st.one_of(
    leaf(KEYS, ["=", "<", "<=", ">", ">="], TYPED),
    leaf(KEYS, ["="], st.lists(TYPED, min_size=2, max_size=3).map(tuple)),
    leaf(
        KEYS,
        ["~"],
        st.tuples(STARS, TEXTS.filter(lambda text: not text.endswith("\\")).map(escaped), STARS).map("".join),
    ),
    leaf(st.just("tag"), ["="], TAGS | ANY),
    leaf(st.just("tags"), ["~"], PARTS),
    st.builds(lambda key: Has(has=key), KEYS | st.just("tag")),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: Not(negated=one)),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AllOf(all_of=tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(any_of=tuple(parts))),
    ),
    max_leaves=6,
)


async def fill(library: Any, records: list[ImageRecord]) -> None:
    vector = np.zeros(library.metadata.dimension, dtype=np.float32)
    vector[0] = 1
    await library.upsert([NewImage(row=row, data=None, thumbnail=b"", vector=vector) for row in records])


async def let_through(library: Any, given: Any) -> set[str]:
    found, total = await library.listed(filter=Filter(where=parse_filter(given)), limit=100)
    assert total == len(found)
    return {row.id for row in found}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(records=rows(), conditions=st.lists(CONDITIONS, min_size=1, max_size=12))
async def test_a_library_lets_through_what_the_reference_says(library, records, conditions) -> None:
    await library.delete([row.id for row in await library.rows()])
    await fill(library, records)
    held = await library.rows()
    for condition in conditions:
        whole = FilterExpression(text=str(condition), parsed=condition)
        expected = {row.id for row in held if matches(condition, row)}
        assert await let_through(library, whole) == expected, str(condition)


@pytest.fixture
async def shop(library: Any) -> Any:
    known = [
        {"title": "Red mug", "licence": "CC0-1.0", "camera": "FUJIFILM X100V", "tags": ("mug", "draft"),
             "taken": datetime(2024, 5, 3, tzinfo=UTC), "metadata": {"price": 19.9, "colour": "red"}},
        {"title": "Blue mug", "licence": "CC-BY-4.0", "camera": "X100", "tags": ("mug",),
             "taken": datetime(2023, 1, 1, tzinfo=UTC), "metadata": {"price": 7, "colour": "blue"}},
        {"title": "A lamp", "metadata": {"price": 120.0, "colour": "reddish", "new": True}},
    ]  # fmt: skip
    await fill(library, [
        ImageRecord(image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=10, height=1), **row)
        for at, row in enumerate(known)
    ])  # fmt: skip
    return library


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('taken>=2023 and camera~"x100" and licence in (CC0-1.0, CC-BY-4.0) and not tag=draft', {1}),
        ("price<20", {0, 1}),
        ("price between 7 and 19.9", {0, 1}),
        ("not camera~x100", {2}),
        ("camera=none or price=7", {1, 2}),
        ("new=true", {2}),
        ("colour~red* and not tag~MUG", {2}),
        ("has taken and not taken=2024-05", {1}),
        ("nothing=1", set()),
        ("not nothing=1", {0, 1, 2}),
    ],
)
async def test_filters_with_indexes_as_without(shop, monkeypatch, text, found, indexed) -> None:
    if indexed:
        monkeypatch.setattr(search, "FILTERED_FROM", 1)
        await shop.optimize()
        assert {"licence", "taken"} <= {name for index in shop.table.lance.list_indices() for name in index.columns}
    assert await let_through(shop, text) == {f"{at:064x}" for at in found}


@pytest.mark.parametrize(
    ("text", "by_index", "found"),
    [
        ("not price=7", True, {0, 2}),
        ("not licence=CC0-1.0", True, {1, 2}),
        ("not licence<=CC-BY-4.0", True, {0, 2}),
        pytest.param("not taken=2023", False, {0, 2}, id="null in a row"),
        pytest.param("not new=true", False, {0, 1}, id="a key of one row"),
        pytest.param("not title~lamp", False, {0, 1}, id="without an index"),
    ],
)
async def test_a_negation_is_answered_by_an_index_where_no_row_is_null(shop, text, by_index, found) -> None:
    expression = expression_of(shop.table.lance, Filter(where=parse_filter(text)))
    assert ("concat" not in expression.to_sql()) is by_index
    assert await let_through(shop, text) == {f"{at:064x}" for at in found}


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize(("text", "count"), [("", 3), ("price<20", 2), ("nothing=1", 0)])
async def test_a_listing_counts_what_it_cuts_off(shop, text, count, limit) -> None:
    rows, total = await shop.listed(filter=Filter(where=parse_filter(text) if text else None), limit=limit)
    assert (len(rows), total) == (min(limit, count), count)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tagg=mug", ["no key 'tagg'", "did you mean 'tag'", " tag,"]),
        ("camra=X100", ["no key 'camra'", "did you mean 'camera'", "colour", "price", "taken"]),
        ("price=cheap", ["'cheap' is not a number", "price is 7 to 120"]),
        ("taken>soon", ["'soon' is not a date", "2024-05-03", "2023-01-01 to 2024-05-03"]),
        ("price~9", ["~ looks into text", "numbers"]),
        ("tag<b", ["tags, which have no order"]),
        ("tag~a*", ["~ takes a part of a tag"]),
        ("new<1", ["no order"]),
    ],
)
async def test_what_cannot_be_asked_is_told_with_what_there_is(shop, text, words) -> None:
    with pytest.raises(FilterError) as caught:
        await shop.check_filter(Filter(where=parse_filter(text)))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Filter(where=parse_filter("camera=fujifilm")), "no image fits camera=fujifilm; camera is"),
        (Filter(where=parse_filter("colour=redish")), "no image fits colour=redish; colour is reddish, red"),
        (Filter(where=parse_filter("price>1000")), "price is 7 to 120"),
        (Filter(where=parse_filter("taken<1990")), "taken is 2023-01-01 to 2024-05-03"),
        (Filter(tags=("mugs",)), "no image fits tag=mugs; tag is mug"),
        (Filter(licences=("MIT",)), "licence is CC"),
        (Filter(where=parse_filter("price=7 and colour=red")), "each part by itself fits some"),
        (Filter(where=parse_filter("has lens")), "no image has lens"),
        (Filter(where=parse_filter("not has title")), "no image fits not has title; title is "),
        (Filter(where=parse_filter("width!=10 and price=7")), "no image fits not width=10; width is 10"),
        (Filter(where=parse_filter("price=8 or colour=grey")), "price is 7 to 120; no image fits colour=grey"),
        (
            Filter(where=parse_filter("id=80990062")),
            "the beginning of an id is written id~80990062*",
        ),
    ],
)
async def test_why_nothing_fits_is_told_with_the_nearest_there_is(shop, wanted, words) -> None:
    assert words in await shop.explain_filter(wanted)


async def test_a_condition_that_lets_all_through_is_no_reason_why_nothing_fits(shop) -> None:
    message = await shop.explain_filter(Filter(where=parse_filter("price=8 and not tag=none_of_these")))
    assert message == "no image fits price=8; price is 7 to 120"


async def test_texts_among_the_numbers_of_a_key_are_named(shop) -> None:
    await fill(shop, [ImageRecord(image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=1, height=1),
                                  metadata={"price": price}) for at, price in ((5, "cheap"), (6, "19.5"))])  # fmt: skip
    message = await shop.explain_filter(Filter(where=parse_filter("price=cheapo")))
    assert message == "no image fits price=cheapo; price is 7 to 120; cheap"


async def test_of_many_values_the_most_frequent_are_looked_at_and_all_are_counted(shop, monkeypatch) -> None:
    monkeypatch.setattr(filter_checks, "_MOST", 6)
    await fill(shop, [ImageRecord(image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=at, height=1),
                                  title=f"Item {at // 2}") for at in range(5, 30)])  # fmt: skip
    message = await shop.explain_filter(Filter(where=parse_filter("title=lorry")))
    assert message == "no image fits title=lorry; title is Item 3, Item 4, Item 5, Item 6 and 12 more"
    assert len(filter_checks.HeldValues(shop.table.lance).counted("title")[Kind.TEXT].most_frequent) == 6
    assert "width is 5 to 29" in await shop.explain_filter(Filter(where=parse_filter("width=1")))


async def test_for_an_unknown_key_no_metadata_are_read_but_those_without_a_column(shop, monkeypatch) -> None:
    unread = ImageRecord(image=ImageRef(sha256=f"{7:064x}", media_type="image/png", width=1, height=1),
                         metadata={"nothing": None, "title_2": "null and void"})  # fmt: skip
    await fill(shop, [unread])
    read = list[str]()
    metadata_of = filter_checks.metadata_of
    monkeypatch.setattr(
        filter_checks, "metadata_of", lambda record: read.append(record["metadata"]) or metadata_of(record)
    )
    with pytest.raises(FilterError, match=r"no key 'colours'; did you mean 'colour'\?.* nothing, "):
        await shop.check_filter(Filter(where=parse_filter("colours=red")))
    assert [json.loads(one) for one in read] == [unread.metadata]


async def test_metadata_that_is_called_like_a_column_is_named(shop) -> None:
    await fill(shop, [ImageRecord(image=ImageRef(sha256=f"{at:064x}", media_type="image/png", width=1, height=1),
                                  metadata={"language": name, "width": 300 + at})
                      for at, name in ((5, "German"), (6, "Latvian"))])  # fmt: skip
    for text, told in (
        ("language=German", "no image has language; metadata.language is German"),
        ("has language", "no image has language; metadata.language is German, Latvian"),
        ("width>200", "width is 1 to 10; metadata.width is 305 to 306"),
    ):
        assert told in await shop.explain_filter(Filter(where=parse_filter(text)))
    assert await shop.explain_filter(Filter(where=parse_filter("metadata.language=German"))) == ""


async def test_where_something_fits_or_nothing_is_held_there_is_nothing_to_explain(shop, home, embedder) -> None:
    from imagerag.store.library.library import Library

    assert await shop.explain_filter(Filter(where=parse_filter("price=7"))) == await shop.explain_filter(Filter()) == ""
    empty = await Library.create_or_open(home, "empty", embedder)
    await empty.check_filter(Filter(where=parse_filter("anything<goes")))
    assert await empty.explain_filter(Filter(where=parse_filter("a=1"))) == ""
    both = JoinedLibraries([shop, empty])
    await both.check_filter(Filter(where=parse_filter("price=7")))
    assert await let_through(both, "price=7") == {f"{1:064x}"}


async def test_a_key_that_one_of_several_libraries_has_can_be_asked(shop, home, embedder) -> None:
    from imagerag.store.library.library import Library

    other = await Library.create_or_open(home, "other", embedder)
    await fill(
        other, [ImageRecord(image=ImageRef(sha256="f" * 64, media_type="image/png", width=1, height=1), title="x")]
    )
    both = JoinedLibraries([other, shop])
    await both.check_filter(Filter(where=parse_filter("colour=red")))
    assert await let_through(both, "colour=red") == {f"{0:064x}"}
    with pytest.raises(FilterError, match="no key"):
        await both.check_filter(Filter(where=parse_filter("shape=round")))
    assert (await both.explain_filter(Filter(where=parse_filter("colour=pink")))).startswith("other: ")


async def test_a_filter_of_many_values_and_parts_is_answered(shop) -> None:
    many = ", ".join(f"v{n}" for n in range(800))
    assert await let_through(shop, f"colour in ({many}, red)") == {f"{0:064x}"}
    assert await let_through(shop, " or ".join(f"price={n}" for n in range(100))) == {f"{1:064x}"}
    assert len(await asyncio.gather(*(let_through(shop, f"price>{n}") for n in range(8)))) == 8


def test_keys_are_listed_as_they_are_typed() -> None:
    with pytest.raises(FilterError, match=r'there are: "a b", "and", metadata\.tag, tag$'):
        check_condition(parse_filter("colour=red").parsed, lambda _: (), ["tags", "a b", "and", "tag"], lambda _: "")
