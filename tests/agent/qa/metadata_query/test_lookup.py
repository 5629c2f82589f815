"""Questions against metadata: the sketch catalogue's, and keys that nobody has thought of."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.qa.metadata_query.query import query_metadata
from imagerag.agent.qa.metadata_query.result_text import describe_result
from imagerag.agent.qa.types import MAX_CITATIONS, MetadataResult
from imagerag.agent.types import ImageRef, Scalar
from imagerag.store.library.schema import ImageRecord
from imagerag.tools.sketch.catalogue import products
from imagerag.tools.sketch.text_parser import meanings


def row(name: str, caption: str = "", licence: str = "", author: str = "", **metadata: Scalar) -> ImageRecord:
    image = ImageRef(sha256=hashlib.sha256(name.encode()).hexdigest(), media_type="image/png", width=8, height=8)
    return ImageRecord(image=image, title=name, caption=caption, licence=licence, author=author, metadata=metadata)


CATALOGUE = [
    row(
        p.name,
        p.caption,
        p.licence,
        p.author,
        price=p.price,
        category=p.category,
        shape=p.thing.shape,
        colour=p.thing.colour,
        pattern=p.thing.pattern,
    )
    for p in products()
]
SHED = [
    row("Hammer", weight_kg=1.2, maker="Ostler & Sons", year="1990", rating=4),
    row("Anvil", weight_kg=80, maker="Ostler & Sons", year="1921", rating=5),
    row("Tongs", weight_kg=0.9, maker="Ida Smith", year="2003"),
    row("Bellows", caption="leather bellows, worn", maker="Ida Smith", year="1960", rating=2),
]
NAMES = {r.id: r.title for r in (*CATALOGUE, *SHED)}


def ask(question: str, rows: list[ImageRecord] | None = None, **more: Any) -> MetadataResult:
    return query_metadata(question, CATALOGUE if rows is None else rows, synonyms=meanings(), **more)


def names(finding: MetadataResult) -> list[str]:
    return [NAMES[sha] for sha in finding.ids]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("which one is the heaviest?", "Anvil"),
        ("What is the lightest?", "Tongs"),
        ("the highest rating", "Anvil"),
        ("Which has the lowest rating?", "Bellows"),
        ("the newest one", "Tongs"),
        ("Which is the oldest by Ostler & Sons?", "Anvil"),
        ("heavier than Hammer", "Anvil"),
        ("Is the Hammer heavier than the Tongs?", "Hammer"),
    ],
)
def test_any_numbers_order_by_their_own_names(question: str, first: str) -> None:
    assert names(ask(question, SHED))[0] == first


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("top 3 heaviest", ["Anvil", "Hammer", "Tongs"]),
        ("the two lightest", ["Tongs", "Hammer"]),
        ("What are the 2 oldest by Ida Smith?", ["Bellows", "Tongs"]),
        ("the oldest two", ["Anvil", "Bellows"]),
        ("the three highest ratings", ["Anvil", "Hammer", "Bellows"]),
        ("top 2 by rating", ["Anvil", "Hammer"]),
        ("bottom 2 by rating", ["Bellows", "Hammer"]),
        ("the nine newest", ["Tongs", "Hammer", "Bellows", "Anvil"]),
    ],
)
def test_the_first_few_of_an_order(question: str, first: list[str]) -> None:
    finding = ask(question, SHED)
    assert names(finding)[: finding.leading] == first
    assert finding.clear


def test_what_costs_most_is_an_order_too() -> None:
    dearest = sorted(products(), key=lambda p: -p.price)
    assert names(ask("Which product costs the most?"))[0] == dearest[0].name
    price = {p.name: p.price for p in products()}
    assert [price[name] for name in names(ask("which two cost most"))[:2]] == [p.price for p in dearest[:2]]
    assert (
        names(ask("which star costs least"))[0]
        == min((p for p in products() if p.thing.shape == "star"), key=lambda p: p.price).name
    )


def test_what_ties_with_the_last_that_was_asked_for_comes_with_it() -> None:
    twins = [*SHED, row("Bar", weight_kg=1.2)]
    NAMES.update({r.id: r.title for r in twins})
    finding = ask("the two heaviest", twins)
    assert names(finding)[: finding.leading] == ["Anvil", "Bar", "Hammer"]
    assert (finding.wanted, finding.leading, finding.matched) == (2, 3, 5)
    assert "the first 2 are asked for" in describe_result(finding)


@pytest.mark.parametrize(
    ("question", "kind", "found"),
    [
        ("who is the maker of Bellows", "value", ["Bellows"]),
        ("everything by Ida Smith", "list", ["Bellows", "Tongs"]),
        ("anything worn?", "list", ["Bellows"]),
        ("everything with leather or by Ostler & Sons", "list", ["Anvil", "Bellows", "Hammer"]),
        ("How many are not by Ida Smith?", "count", ["Anvil", "Hammer"]),
    ],
)
def test_text_values_and_words_of_captions_filter(question: str, kind: str, found: list[str]) -> None:
    finding = ask(question, SHED)
    assert (finding.kind, sorted(names(finding)), finding.matched) == (kind, found, len(found))


def test_averages_totals_and_values_are_computed_over_what_fits() -> None:
    average = ask("What is the average weight kg of everything by Ostler & Sons?", SHED)
    assert (average.kind, average.key, average.number) == ("average", "weight_kg", pytest.approx(40.6))
    total = ask("total price of all circles")
    circles = [p.price for p in products() if p.thing.shape == "circle"]
    assert total.number == pytest.approx(sum(circles))
    assert total.matched == len(circles)
    categories = ask("Which categories are there?")
    assert len(categories.values) == len({p.category for p in products()})
    rated = ask("the highest rating by Ida Smith", SHED)
    assert rated.notes == ("left out, for they have no number as rating: 1",)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("circles under 20", lambda p: p.thing.shape == "circle" and p.price < 20),
        ("stars over $50", lambda p: p.thing.shape == "star" and p.price > 50),
        ("hearts between 10 and 40", lambda p: p.thing.shape == "heart" and 10 <= p.price <= 40),
        ("cheaper than Widget A", lambda p: p.price < 19.99),
        ("striped or dotted hearts", lambda p: p.thing.shape == "heart" and p.thing.pattern in ("striped", "dotted")),
        (
            "a red circle or a blue square",
            lambda p: (p.thing.colour, p.thing.shape) in (("red", "circle"), ("blue", "square")),
        ),
        ("purple and blue circles", lambda p: p.thing.shape == "circle" and p.thing.colour in ("purple", "blue")),
        ("polka dot things that are violet", lambda p: p.thing.pattern == "dotted" and p.thing.colour == "purple"),
        ("everything not solid in teal", lambda p: p.thing.pattern != "solid" and p.thing.colour == "teal"),
        ("all hexagonal products under CC0-1.0", lambda p: p.thing.shape == "hexagon" and p.licence == "CC0-1.0"),
    ],
)
def test_filters_join_as_they_are_meant(question: str, wanted: Any) -> None:
    finding = ask(question)
    found = sorted(p.name for p in products() if wanted(p))
    assert finding.clear
    assert finding.matched == len(found)
    assert set(names(finding)) <= set(found)
    assert len(finding.ids) == min(len(found), MAX_CITATIONS)


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("Which waterproof circle is cheapest?", ("waterproof",)),
        ("Tell me a joke", ("joke",)),
        ("Which one is best?", ("best",)),
        ("top 3 circles", ("top",)),
        ("top 3 by beauty", ("beauty",)),
        ("a zorple", ("zorple",)),
    ],
)
def test_what_is_not_understood_is_named(question: str, unknown: tuple[str, ...]) -> None:
    finding = ask(question)
    assert not finding.clear
    assert finding.unknown == unknown


@pytest.mark.parametrize("question", ["which is cheaper?", "what about it?", "the heaviest circle", "How?"])
def test_half_a_question_is_no_question(question: str) -> None:
    assert ask(question).kind == "unknown"


def test_a_condition_that_nothing_meets_is_clear_and_empty() -> None:
    finding = ask("Is there a black hexagon?")
    assert (finding.clear, finding.matched, finding.ids) == (True, 0, ())
    assert finding.condition == "colour black and shape hexagon"
    assert "0 fit: colour black and shape hexagon" in describe_result(finding)


def test_a_pronoun_looks_back_only_where_there_is_something_behind() -> None:
    spoken = [r.id for r in CATALOGUE if r.title in ("Widget A", "Tool M", "Gadget X")]
    finding = ask("which of those is the cheapest?", spoken_of=spoken, before="anything solid")
    assert (names(finding)[0], finding.rows) == ("Widget A", 3)
    assert ask("which of those is the cheapest?").rows == len(CATALOGUE)
    assert ask("what is the cheapest product?", spoken_of=spoken).rows == len(CATALOGUE)


def test_the_second_half_of_a_question_takes_over_the_first() -> None:
    finding = ask("and the red solid one?", before="How much is the yellow dotted circle?")
    assert (finding.kind, finding.asked, names(finding)) == ("value", ("price",), ["Widget A"])


def test_what_asks_for_a_list_of_its_own_takes_over_what_it_is_of_and_no_order() -> None:
    finding = ask("and is there a blue one?", before="Which circle is the cheapest?")
    blue = [p.name for p in products() if (p.thing.colour, p.thing.shape) == ("blue", "circle")]
    assert (finding.kind, sorted(names(finding))) == ("list", sorted(blue))


def test_the_other_end_of_a_question_is_of_what_it_was_about() -> None:
    first = "What is the cheapest circular one?"
    circles = sorted((p for p in products() if p.thing.shape == "circle"), key=lambda p: p.price)
    cheapest = [r.id for r in CATALOGUE if r.title == circles[0].name]
    finding = ask("and the most expensive?", before=first, spoken_of=cheapest)
    assert (names(finding)[0], finding.matched) == (circles[-1].name, len(circles))
    finding = ask("and the three cheapest?", before="circles over 20", spoken_of=cheapest)
    assert names(finding)[:3] == [p.name for p in circles if p.price > 20][:3]


SAID = """which is the cheapest red or striped circle and not blue how many price licence under 20 than those it Widget
A , ? of what more least between 3 and everything"""
WORDS = st.sampled_from(SAID.split())


@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=14).map(" ".join)), st.booleans())
def test_no_question_breaks_it_and_what_is_found_is_there(question: str, follow: bool) -> None:
    some = CATALOGUE[:30]
    earlier: Mapping[str, Any] = {"before": "red circles", "spoken_of": [some[0].id]} if follow else {}
    finding = query_metadata(question, some, synonyms=meanings(), **earlier)
    assert {*finding.ids} <= {r.id for r in some}
    assert len(finding.ids) <= min(MAX_CITATIONS, max(finding.matched, 0) or MAX_CITATIONS)
    assert finding.matched <= finding.rows
    assert describe_result(finding)


def test_an_empty_library_has_nothing_to_say() -> None:
    assert query_metadata("the cheapest?", []).kind == "unknown"
    assert query_metadata("list everything", []).matched == 0


def test_what_a_picture_has_is_said_as_a_noun() -> None:
    """`1 picture with says “hiking”` is no sentence; what follows `with` or `has` is a thing."""
    from imagerag.agent.qa.metadata_query.clauses import Condition

    spoken = Condition(key="", keys=frozenset(), words=("hike",), written="hiking", start=0, end=1)
    kept = Condition(key="colour", keys=frozenset({"colour"}), words=("red",), written="red", start=0, end=1)
    assert spoken.text() == "“hiking” in its words"
    assert replace(spoken, negated=True).text() == "no “hiking” in its words"
    assert kept.text() == "colour red"
    assert replace(kept, negated=True).text() == "colour other than red"
