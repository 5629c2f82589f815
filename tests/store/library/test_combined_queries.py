"""Queries of several terms: their vector, what each term contributed, and what they refuse."""

from dataclasses import replace

import numpy as np
import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter, SearchTerm
from imagerag.agent.retrieval.query_terms import parse_query
from imagerag.agent.retrieval.search_queries import search_terms
from imagerag.store.images.image_info import image_info
from imagerag.store.library.joined_libraries import JoinedLibraries
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord, NewImage

COLOURS = ("red", "blue", "green", "black")


@pytest.fixture
async def stocked(library, embedder, picture):
    new = []
    for colour in COLOURS:
        data = picture(colour)
        seen, vector = image_info(data), (await embedder.embed_images([data]))[0]
        row = ImageRecord(image=seen.image, title=colour, caption=f"a {colour} card")
        new.append(NewImage(row=row, data=data, thumbnail=seen.thumbnail, vector=vector))
    await library.upsert(new)
    await library.optimize()
    return library


async def found(library, terms, **given):
    terms = parse_query(terms) if isinstance(terms, str) else terms
    return await search_terms(library, terms, **{"k": 4, "filter": Filter(), **given})


async def test_the_vector_is_the_weighted_sum_and_the_contributions_add_up(stocked, embedder):
    hits = await found(stocked, "red + 2:blue - 0.5:green")
    red, blue, green = await embedder.embed_texts(["red", "blue", "green"])
    total = red + 2 * blue - 0.5 * green
    wanted = total / np.linalg.norm(total)
    assert hits[0].title == "blue"
    assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
    for hit in hits:
        assert hit.similarity == pytest.approx(float(wanted @ hit.vector), abs=1e-5)
        assert [(term.term, term.weight) for term in hit.terms] == [("red", 1), ("blue", 2), ("green", -0.5)]
        assert sum(term.contribution for term in hit.terms) == pytest.approx(hit.similarity, abs=1e-5)
        assert [term.similarity for term in hit.terms] == pytest.approx(
            [float(vector @ hit.vector) for vector in (red, blue, green)], abs=1e-5
        )


async def test_one_term_is_the_search_it_always_was(stocked, picture):
    plain = await stocked.search("red card", k=4, filter=Filter())
    assert [replace(hit, vector=None) for hit in await found(stocked, "red card")] == [
        replace(hit, vector=None) for hit in plain
    ]
    image = await stocked.search_by_image(picture("blue"), k=4, filter=Filter())
    terms = [SearchTerm(image=picture("blue"))]
    assert [(hit.title, hit.similarity, hit.terms) for hit in await found(stocked, terms)] == [
        (hit.title, hit.similarity, ()) for hit in image
    ]


async def test_images_and_words_are_one_query(stocked, picture):
    terms = (SearchTerm(image=picture("red"), name="red.png"), *parse_query("black", alone=False))
    hits = await found(stocked, terms)
    assert {hits[0].title, hits[1].title} == {"red", "black"}
    assert [term.term for term in hits[0].terms] == ["red.png", "black"]
    less = (SearchTerm(image=picture("red"), name="red.png"), *parse_query("- red + black", alone=False))
    assert (await found(stocked, less))[0].title == "black"


async def test_hybrid_ranks_by_the_words_that_are_not_subtracted(stocked, picture):
    hits = await found(stocked, "green - red", hybrid=True)
    assert len(hits) == 4
    assert (hits[0].title, hits[-1].title) == ("green", "red")
    assert [term.term for term in hits[0].terms] == ["green", "red"]
    with pytest.raises(UsageError, match="an image has none"):
        await found(stocked, (SearchTerm(image=picture("red")), SearchTerm(text="red", weight=-1)), hybrid=True)


async def test_terms_that_cancel_each_other_out_are_refused(stocked):
    for terms in ("red - red", "2:red - red - red", "red + blue - red - blue"):
        with pytest.raises(UsageError, match="cancel each other out"):
            await found(stocked, terms)


async def test_a_term_that_cannot_be_searched_with_is_named(stocked):
    with pytest.raises(UsageError, match=r"odd\.png: "):
        await found(stocked, (SearchTerm(image=b"no image", name="odd.png"), SearchTerm(text="red")))
    with pytest.raises(UsageError, match="needs some text"):
        await found(stocked, (SearchTerm(text=" "), SearchTerm(text="red")))


async def test_words_of_the_encoders_own_are_one_term_by_their_mean(stocked, embedder):
    embedder.queries = lambda text: ("red", "blue") if text == "something" else ()
    hits = await found(stocked, "something + card")
    red, blue, card = await embedder.embed_texts(["red", "blue", "card"])
    mean = (red + blue) / np.linalg.norm(red + blue)
    assert hits[0].similarity == pytest.approx(
        float((mean + card) @ hits[0].vector / np.linalg.norm(mean + card)), abs=1e-5
    )
    assert hits[0].terms[0].term == "something"


async def test_several_libraries_are_searched_with_several_terms_without_thresholds(stocked, home, embedder):
    other = await Library.create_or_open(home, "other", embedder)
    hits = await found(JoinedLibraries([stocked, other]), "red - black")
    assert (hits[0].title, hits[0].library, hits[0].threshold) == ("red", "shop", None)
    assert len(hits[0].terms) == 2


async def test_a_library_that_cannot_is_named():
    class Plain:
        name = "plain"

    with pytest.raises(UsageError, match="'plain' cannot be searched with several terms: leave"):
        await found(Plain(), "red - black")
