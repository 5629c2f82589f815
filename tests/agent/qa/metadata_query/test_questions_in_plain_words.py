"""Questions as people write them, to the built-in catalogue: what is right is read from the catalogue itself."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.qa.metadata_query.languages import in_english
from imagerag.agent.qa.metadata_query.query import query_metadata
from imagerag.agent.qa.ports import AnswerWithCitations, Source
from imagerag.agent.qa.types import MetadataResult, RetrievedImage
from imagerag.agent.types import SamplingParams
from imagerag.tools.answerers.metadata import MetadataAnswerer
from imagerag.tools.sketch.catalogue import Product, products
from tests.agent.qa.metadata_query.test_lookup import CATALOGUE, NAMES

ANSWERER = MetadataAnswerer()
Which = Callable[[Product], bool]


def ask(question: str) -> MetadataResult:
    return query_metadata(question, CATALOGUE, synonyms=ANSWERER.synonyms)


def names(finding: MetadataResult) -> list[str]:
    return [NAMES[sha] for sha in finding.ids]


def by_price(which: Which = lambda p: True, *, falling: bool = False) -> list[str]:
    return [p.name for p in sorted(filter(which, products()), key=lambda p: (-p.price if falling else p.price, p.name))]


def count(which: Which) -> int:
    return sum(map(which, products()))


def colour(*words: str) -> Which:
    return lambda p: p.thing.colour in words


def shape(*words: str) -> Which:
    return lambda p: p.thing.shape in words


def pattern(*words: str) -> Which:
    return lambda p: p.thing.pattern in words


RED_CIRCLES: Which = lambda p: (p.thing.colour, p.thing.shape) == ("red", "circle")  # noqa: E731
DEAREST, CHEAPEST = by_price(falling=True), by_price()


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What is the most expensive product in the catalog?", DEAREST[0]),
        ("What's the cheapest thing you have?", CHEAPEST[0]),
        ("Which is the second most expensive product?", DEAREST[1]),
        ("the fifth cheapest", CHEAPEST[4]),
        ("which is the 3rd most expensive heart?", by_price(shape("heart"), falling=True)[2]),
        ("the tenth most expensive circle", by_price(shape("circle"), falling=True)[9]),
        ("cheapest non-red circle", by_price(lambda p: shape("circle")(p) and p.thing.colour != "red")[0]),
        ("most expensive item under $50", by_price(lambda p: p.price < 50, falling=True)[0]),
        ("what is the cheapest product that isn't striped?", by_price(lambda p: p.thing.pattern != "striped")[0]),
        ("Was ist das teuerste Produkt?", DEAREST[0]),
        ("Was ist das günstigste Produkt im Katalog?", CHEAPEST[0]),
        ("Welches ist das zweitteuerste Produkt?", DEAREST[1]),
        ("Welches Produkt ist am günstigsten?", CHEAPEST[0]),
        ("Quel est le produit le plus cher ?", DEAREST[0]),
        ("Quel est le produit le moins cher du catalogue ?", CHEAPEST[0]),
        ("Le deuxième produit le plus cher", DEAREST[1]),
    ],
)
def test_the_first_of_an_order(question: str, first: str) -> None:
    finding = ask(question)
    assert (finding.kind, names(finding)[0], finding.unknown) == ("best", first, ())


@pytest.mark.parametrize(
    ("question", "order"),
    [
        ("sort the circles by price", by_price(shape("circle"))),
        ("List all hearts from cheapest to most expensive", by_price(shape("heart"))),
        ("cheapest first: stars", by_price(shape("star"))),
        ("Show the blue ones, most expensive first", by_price(colour("blue"), falling=True)),
        ("show circles sorted by price from highest to lowest", by_price(shape("circle"), falling=True)),
        ("order the stars by price descending", by_price(shape("star"), falling=True)),
        ("Sortiere die Kreise nach Preis absteigend", by_price(shape("circle"), falling=True)),
        ("Triez les étoiles par prix", by_price(shape("star"))),
    ],
)
def test_a_list_in_an_order(question: str, order: list[str]) -> None:
    finding = ask(question)
    assert (finding.wanted, names(finding), finding.unknown) == (0, order, ())


@pytest.mark.parametrize(
    ("question", "number"),
    [
        ("I need a green product. What are my options?", count(colour("green"))),
        ("red circular product", count(RED_CIRCLES)),
        ("something striped", count(pattern("striped"))),
        ("purple or blue", count(colour("purple", "blue"))),
        ("How many green products are there?", count(colour("green"))),
        ("How many products do you have in total?", len(products())),
        ("how many products are under $30?", count(lambda p: p.price < 30)),
        ("anything under $20?", count(lambda p: p.price < 20)),
        ("20 dollars or less", count(lambda p: p.price <= 20)),
        ("price < 20", count(lambda p: p.price < 20)),
        ("Show me products between $20 and $30", count(lambda p: 20 <= p.price <= 30)),
        ("from 20 to 30 dollars", count(lambda p: 20 <= p.price <= 30)),
        ("at least $100", count(lambda p: p.price >= 100)),
        ("green and under 30", count(lambda p: colour("green")(p) and p.price < 30)),
        ("everything that is not red", count(lambda p: p.thing.colour != "red")),
        ("which ones aren't red or blue?", count(lambda p: p.thing.colour not in ("red", "blue"))),
        ("neither red nor blue", count(lambda p: p.thing.colour not in ("red", "blue"))),
        ("products that are not red circles", count(lambda p: not RED_CIRCLES(p))),
        ("red things that aren't circles or squares", count(
            lambda p: colour("red")(p) and p.thing.shape not in ("circle", "square")
        )),
        ("anything but red", count(lambda p: p.thing.colour != "red")),
        ("Everything but red circles", count(lambda p: not RED_CIRCLES(p))),
        ("all products but the red ones", count(lambda p: p.thing.colour != "red")),
        ("something other than red", count(lambda p: p.thing.colour != "red")),
        ("apart from blue, what do you have?", count(lambda p: p.thing.colour != "blue")),
        ("I don't want red", count(lambda p: p.thing.colour != "red")),
        ("a red circle but not striped", count(lambda p: RED_CIRCLES(p) and p.thing.pattern != "striped")),
        ("alles bis auf Rot", count(lambda p: p.thing.colour != "red")),
        ("quelque chose d'autre que rouge", count(lambda p: p.thing.colour != "red")),
        ("What costs exactly $19.99?", count(lambda p: p.price == 19.99)),
        ("Which product costs 19.99?", count(lambda p: p.price == 19.99)),
        ("something for 24.99", count(lambda p: p.price == 24.99)),
        ("is there a widget for 25 dollars?", 0),
        ("Was kostet genau 19,99 Euro?", count(lambda p: p.price == 19.99)),
        ("What costs more than Widget A?", count(lambda p: p.price > 19.99)),
        ("Which costs less than Widget A?", count(lambda p: p.price < 19.99)),
        ("Qu'est-ce qui coûte moins de 20 euros ?", count(lambda p: p.price < 20)),
        ("any products without stripes?", count(lambda p: p.thing.pattern != "striped")),
        ("everything except hearts", count(lambda p: p.thing.shape != "heart")),
        ("which are round?", count(shape("circle"))),
        ("I would like something with dots", count(pattern("dotted"))),
        ("What do you have in blue?", count(colour("blue"))),
        ("Ich brauche ein grünes Produkt. Welche Möglichkeiten habe ich?", count(colour("green"))),
        ("Wie viele rote Kreise gibt es?", count(RED_CIRCLES)),
        ("rotes rundes Produkt", count(RED_CIRCLES)),
        ("etwas Gestreiftes", count(pattern("striped"))),
        ("lila oder blau", count(colour("purple", "blue"))),
        ("Welche sind rund?", count(shape("circle"))),
        ("Welche sind nicht rot?", count(lambda p: p.thing.colour != "red")),
        ("Welche Produkte kosten unter 20 Dollar?", count(lambda p: p.price < 20)),
        ("Welche kosten mehr als 100 Euro?", count(lambda p: p.price > 100)),
        ("zwischen 20 und 30 Euro", count(lambda p: 20 <= p.price <= 30)),
        ("unter 19,99 Euro", count(lambda p: p.price < 19.99)),
        ("J'ai besoin d'un produit vert. Quelles sont mes options ?", count(colour("green"))),
        ("Combien de cercles rouges y a-t-il ?", count(RED_CIRCLES)),
        ("quelque chose de rayé", count(pattern("striped"))),
        ("violet ou bleu", count(colour("purple", "blue"))),
        ("Quels produits coûtent moins de 20 dollars ?", count(lambda p: p.price < 20)),
        ("entre 20 et 30 dollars", count(lambda p: 20 <= p.price <= 30)),
    ],
)  # fmt: skip
def test_what_fits(question: str, number: int) -> None:
    finding = ask(question)
    assert (finding.matched, finding.clear, finding.unknown) == (number, True, ())


@pytest.mark.parametrize(
    ("question", "product"),
    [
        ("Was kostet Widget A?", "Widget A"),
        ("Was kostet der gelbe gepunktete Kreis?", "Gadget Y"),
        ("Combien coûte le Widget A ?", "Widget A"),
    ],
)
def test_what_one_costs(question: str, product: str) -> None:
    finding = ask(question)
    assert (finding.kind, finding.asked, names(finding)) == ("value", ("price",), [product])


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Do you sell bicycles?", ("bicycles",)),
        ("What is the most popular product?", ("popular",)),
        ("Which product is best for children?", ("best", "children")),
        ("When was Widget A made?", ("when",)),
        ("Where is Widget A?", ("where",)),
        ("How do I return a product?", ("how", "return")),
        ("I'm looking for a gift for my mother, something pink", ("gift", "mother")),
        ("Haben Sie Fahrräder?", ("fahrrader",)),
        ("Avez-vous des vélos ?", ("velos",)),
        ("What is the weather?", ("weather",)),
    ],
)
async def test_what_cannot_be_answered_is_said_and_nothing_is_invented(question: str, words: tuple[str, ...]) -> None:
    finding = ask(question)
    assert (finding.clear, finding.unknown) == (False, words)
    answer = await answered(question)
    assert not answer.in_library
    assert answer.text.startswith("I do not understand")
    assert all(f"“{word}”" in answer.text for word in words)


async def answered(question: str) -> AnswerWithCitations:
    finding = ask(question)
    rows = {row.id: row for row in CATALOGUE}
    found = [RetrievedImage.of(rows[sha], similarity=None, by="metadata") for sha in finding.ids]
    sources = [Source.of(one.model_copy(update={"number": n}), None) for n, one in enumerate(found, start=1)]
    return await ANSWERER.answer(question, sources, finding=finding, earlier=(), variation=SamplingParams())


async def test_the_words_that_are_left_out_are_told() -> None:
    answer = await answered("I need a green product. What are my options?")
    assert answer.in_library
    assert answer.text.endswith("(left out: need, options)")
    assert "left out" not in (await answered("What is the most expensive product in the catalog?")).text


async def test_what_a_question_was_read_as_is_told() -> None:
    answer = await answered("Was ist das teuerste Produkt?")
    assert answer.text.startswith(f"The highest price of all 152 images is that of {DEAREST[0]} [1]")
    assert answer.text.endswith("(read as: what is the most expensive product?)")


async def test_a_rank_and_an_order_are_worded() -> None:
    second = (await answered("Which is the second most expensive product?")).text
    assert second.startswith(f"Number 2 of all 152 images by price, highest first: {DEAREST[1]} [1] (price ")
    stars = (await answered("cheapest first: stars")).text
    assert stars.startswith("9 images with shape star by price, lowest first: ")
    assert "no number 40" in (await answered("the 40th cheapest circle")).text


def test_names_of_a_library_are_left_as_they_are() -> None:
    assert [e for _, e in in_english("welche farben", lambda word: word == "farben")] == ["which farben"]
    assert [e for _, e in in_english("welche farben", lambda word: False)] == ["which colour"]


@given(st.text(max_size=60))
def test_no_words_break_it(text: str) -> None:
    for language, english in in_english(text, lambda word: False):
        assert language in ("German", "French")
        assert english == " ".join(english.split())
