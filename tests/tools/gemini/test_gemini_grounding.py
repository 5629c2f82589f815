"""Sources of a grounded image: recorded, bounded, and harmless wherever they are shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagerag.agent.types import SamplingParams, WebSource
from imagerag.agent.types.web_sources import MAX_SOURCES, MAX_TITLE
from imagerag.tools.gemini.grounding import web_sources
from imagerag.tools.gemini.responses import Grounding
from imagerag.tools.testing.mock_gemini import MockGeminiServer
from imagerag.tools.testing.mock_openai import MockResponse, tiny_png
from tests.tools.gemini.conftest import images, sent

SHOE = {"sourceUri": "https://shop.example/shoe", "imageUri": "https://cdn.example/shoe.jpg", "title": "The shoe"}
PAGE = {"uri": "https://news.example/a", "title": "A page"}
CHUNKS = [{"image": {**SHOE, "domain": "shop.example"}}, {"web": PAGE}, {"maps": {"uri": "https://maps.example"}}]


async def drawn(server: MockGeminiServer, chunks: list[Any], **options: Any) -> tuple[WebSource, ...]:
    """The sources of a drawing whose response has these grounding chunks."""
    suggestions = {"renderedContent": "<script>alert(1)</script>"}
    grounding = {"groundingChunks": chunks, "searchEntryPoint": suggestions, "webSearchQueries": ["a shoe"]}
    server.enqueue("chat", MockResponse(images=(tiny_png("x"),), message={"groundingMetadata": grounding}))
    made = await images(server, **options).generate("a shoe", [], variation=SamplingParams(), size=None)
    assert "script" not in repr(made)
    return made.sources


@pytest.mark.parametrize(
    ("kinds", "tool"),
    [
        (("web",), {}),
        (("image",), {"searchTypes": {"image_search": {}}}),
        (("image", "web"), {"searchTypes": {"image_search": {}, "web_search": {}}}),
    ],
)
async def test_a_search_is_a_tool_of_the_request(
    server: MockGeminiServer, kinds: tuple[str, ...], tool: dict[str, Any]
) -> None:
    await drawn(server, [], grounding=kinds)
    assert sent(server)["tools"] == [{"googleSearch": tool}]


async def test_what_was_found_is_recorded(server: MockGeminiServer) -> None:
    assert await drawn(server, CHUNKS, grounding=("image",)) == (
        WebSource(title="The shoe", page=SHOE["sourceUri"], image=SHOE["imageUri"], domain="shop.example"),
        WebSource(title="A page", page=PAGE["uri"], domain="news.example"),
    )


async def test_without_the_option_nothing_is_searched_and_nothing_recorded(server: MockGeminiServer) -> None:
    assert await drawn(server, CHUNKS) == ()
    assert "tools" not in sent(server)


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//host/x", "https://", "https://a\n.example/",
        'https://a.example/"onload="x', "https://a.example/<b>", "https://user:pass@a.example/", "https://[", 7, None,
        "https://a.example/" + "x" * 3000,
    ],
)  # fmt: skip
async def test_links_that_are_none_are_left_out(server: MockGeminiServer, uri: object) -> None:
    chunks = [{"web": {"uri": uri, "title": "x"}}, {"image": {"sourceUri": uri, "imageUri": uri}}]
    assert await drawn(server, chunks, grounding=("web",)) == ()


async def test_there_are_few_sources_with_short_titles_each_once(server: MockGeminiServer) -> None:
    chunks = [{"web": {"uri": f"https://a.example/{n}", "title": "long\n\x1b[2J" * 500}} for n in range(99)]
    found = await drawn(server, [*chunks[:1] * 5, *chunks], grounding=("web",))
    assert len(found) == len(set(found)) == MAX_SOURCES
    assert all(len(one.title) <= MAX_TITLE and one.title.isprintable() for one in found)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SHOE, "uri", "web", "image"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_no_form_of_a_chunk_is_an_error(value: Any) -> None:
    for source in web_sources([Grounding.model_validate({"groundingChunks": value})]):
        assert source.address.startswith(("http://", "https://"))


@pytest.mark.parametrize("link", ["javascript:alert(1)", "ftp://a", "https://a b", "http://a/'", 'http://a/"'])
def test_a_source_holds_no_other_link_whoever_makes_it(link: str) -> None:
    with pytest.raises(ValidationError):
        WebSource(page=link)
