"""A query in the sketch world's own words: which are changed, and that they find what they say."""

from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.agent.ports import queries_of
from imagerag.tools.sketch.query_rewriting import queries


@pytest.mark.parametrize(
    ("query", "captions"),
    [
        ("red circular product", ("a red circle",)),
        ("something striped", ("a striped thing",)),
        ("purple or blue", ("a purple thing", "a blue thing")),
        ("I need a green product. What are my options?", ("a green thing",)),
        ("rotes rundes Produkt", ("a red circle",)),
        ("lila oder blau", ("a purple thing", "a blue thing")),
        ("quelque chose de rayé", ("a striped thing",)),
        ("half-moon in blue", ("a blue crescent",)),
    ],
)
def test_a_query_that_is_understood_is_put_into_the_worlds_words(query: str, captions: tuple[str, ...]) -> None:
    assert queries(query) == captions


@pytest.mark.parametrize(
    "query",
    [
        "a red circle",
        "Widget A, a red solid circle",
        "a dog",
        "not red",
        "a red dog",
        "red circle and blue square",
        "a teal checkered crescent on a mint background",
        "",
    ],
)
def test_any_other_stays_as_it_is(query: str) -> None:
    assert queries(query) == ()


def test_only_an_encoder_that_says_so_is_asked_in_other_words() -> None:
    assert queries_of(object(), "something striped") == ()


async def test_they_find_what_they_say(sketch_home: Path) -> None:
    rag = ImageRAG(preset="sketch", home=sketch_home)
    red = await rag.libraries.search("red circular product", k=2)
    assert {(hit.metadata["colour"], hit.metadata["shape"]) for hit in red} == {("red", "circle")}
    striped = await rag.libraries.search("something striped", k=8)
    assert {hit.metadata["pattern"] for hit in striped} == {"striped"}
    either = await rag.libraries.search("purple or blue", k=12)
    assert {hit.metadata["colour"] for hit in either} == {"purple", "blue"}
    german = await rag.libraries.search("etwas Gestreiftes", k=8)
    assert [hit.image for hit in german] == [hit.image for hit in striped]
