"""The page and the sheet of a search: what they show, that nothing foreign gets out of its place, and how they look."""

import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagerag.agent.errors import BlobError
from imagerag.formatting.messages import NOT_CALIBRATED
from imagerag.reports.contact_sheet.layout import ACCENT
from imagerag.reports.contact_sheet.search_sheet import SHOWN, search_sheet
from imagerag.reports.html.search_page import search_page
from imagerag.reports.search_text import threshold_text
from imagerag.schemas.searches import SearchDocument, SearchedTerm, SearchResult, TermScore
from tests.reports.conftest import HOSTILE, Browser

RED, BLUE = "a" * 64, "b" * 64
GONE = "c" * 64
COLOURS = {RED: "red", BLUE: "blue"}


def load(sha256: str) -> bytes:
    if sha256 not in COLOURS:
        raise BlobError("gone")
    out = BytesIO()
    Image.new("RGB", (200, 120), COLOURS[sha256]).save(out, "WEBP", lossless=True)
    return out.getvalue()


def result(id: str, similarity: float, **known: Any) -> SearchResult:
    plain: dict[str, Any] = {
        "accepted": similarity >= 0.3, "path": None, "caption": "", "title": "", "metadata": {}, "tags": [],
        "source": "", "author": "", "licence": "",
    }  # fmt: skip
    return SearchResult(id=id, similarity=similarity, **{**plain, **known})


def search(*results: SearchResult, **known: Any) -> SearchDocument:
    plain: dict[str, Any] = {"library": "shop", "query": "a red card", "image": None, "threshold": 0.3}
    return SearchDocument(results=list(results), **{**plain, **known})


FOUND = search(
    result(RED, 0.41, title="Red card", caption="a card, red", author="Ada", licence="CC0-1.0", path="/x/a b#?.png"),
    result(BLUE, 0.12, caption="a blue card", source="https://shop.example/2"),
    result(GONE, 0.05),
)


def test_the_page_shows_what_is_known_of_each_image() -> None:
    page = search_page(FOUND, load)
    for words in ("a red card", "cosine ≥ 0.300", "Red card", "a card, red", "Ada · CC0-1.0", "0.410", "/x/a b#?.png",
                  "reaches the threshold", "below the threshold", "shop.example/2", "image not available"):  # fmt: skip
        assert words in page, words
    assert 'href="file:///x/a%20b%23%3F.png"' in page
    assert re.findall(r"width:([0-9.]+)%", page) == ["90.9", "26.6", "11.1"]
    assert re.findall(r"left:([0-9.]+)%", page) == ["66.5"] * 3
    assert page.count("data:image/jpeg;base64,") == 2
    assert "<script" not in page
    assert not re.search(r'(?:src|href)="(?!data:|file:)', page)


def test_a_combined_query_shows_its_terms_and_no_verdict() -> None:
    share = TermScore(term="velvet", weight=2, similarity=0.31, contribution=0.21)
    found = search(
        result(RED, 0.41, accepted=None, terms=[share]),
        query="a sofa + 2:velvet",
        terms=[
            SearchedTerm(term="./sofa.png", image=True, weight=1),
            SearchedTerm(term="velvet", image=False, weight=2),
        ],
        threshold=None,
        threshold_note=NOT_CALIBRATED,
    )
    page = search_page(found, load)
    for words in (NOT_CALIBRATED, "./sofa.png + 2:velvet", ">2:velvet<", "0.310", "+0.210"):
        assert words in page, words
    assert "the threshold" not in page.replace(NOT_CALIBRATED, "")
    assert 'class="used"' not in page


def test_nothing_found_says_why() -> None:
    assert "no image fits price&gt;9" in search_page(search(no_match="no image fits price>9"), load)
    assert search_sheet(search(no_match="no image fits price>9"), load).width == 2400


@pytest.fixture
def hostile(tmp_path: Path) -> SearchDocument:
    file = tmp_path / "a\"><img src=x onerror='alert(1)'>.png"
    texts = dict.fromkeys(("title", "caption", "author", "licence", "source"), HOSTILE)
    terms = [TermScore(term=HOSTILE, weight=1, similarity=0.2, contribution=0.2)]
    return search(
        result(RED, 0.41, path=str(file), terms=terms, **texts), result(BLUE, 0.1, **texts), query=HOSTILE,
        searched_with=[HOSTILE], library=HOSTILE,
    )  # fmt: skip


def test_foreign_text_makes_no_markup(hostile: SearchDocument) -> None:
    page = search_page(hostile, load)
    assert "<script" not in page
    tags: list[tuple[str, list[str]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, [name for name, _ in attrs]))

    Reader().feed(page)
    assert [tag for tag, _ in tags].count("img") == 2
    assert [name for _, names in tags for name in names if name.startswith("on")] == []
    assert search_sheet(hostile, load).width == 2400


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_and_complains_of_nothing(
    hostile: SearchDocument, browser: Browser, tmp_path: Path, width: int
) -> None:
    page = tmp_path / "page.html"
    page.write_text(search_page(hostile, load), encoding="utf-8")
    seen = browser.look(page, width=width, dark=width == 400)
    assert seen["wide"] <= seen["room"] == width
    assert seen["over"] == []
    assert seen["broken"] == 0
    methods = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
    assert [event for event in seen["events"] if event["method"] in methods] == []
    assert seen["paper"] == ("rgb(22, 21, 19)" if width == 400 else "rgb(250, 249, 246)")


def test_the_sheet_shows_the_images_and_marks_what_is_accepted() -> None:
    page = search_sheet(FOUND, load)
    colours = {colour: count for count, colour in page.getcolors(1 << 24) or []}
    assert colours[(255, 0, 0)] > 20_000
    assert colours.get((0, 0, 255), 0) == 0, "what is below the threshold is veiled"
    assert colours[ACCENT] > 100
    assert search_sheet(FOUND, load).tobytes() == page.tobytes()


def test_a_sheet_is_no_longer_than_many_images() -> None:
    many = search(*(result(RED, 0.41) for _ in range(SHOWN)))
    more = search(*(result(RED, 0.41) for _ in range(SHOWN * 3)))
    assert search_sheet(more, load).height - search_sheet(many, load).height < 100


@pytest.mark.parametrize(
    ("image", "words"),
    [(0.25, "threshold cosine ≥ 0.250, or ≥ 0.870 of the caption"), (1.0, "threshold cosine ≥ 0.870 of the caption")],
)
def test_a_hybrid_search_names_the_threshold_of_captions(image: float, words: str) -> None:
    found = search(result(RED, 0.2, threshold=image, caption_threshold=0.87, caption_similarity=0.9))
    assert threshold_text(found) == words
