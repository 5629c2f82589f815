"""A query of several terms is the same at every door: the command, Python, the tools, JSON."""

import asyncio
import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import UsageError
from imagerag.agent.ports import SearchTerm
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import SearchReferences
from imagerag.files.access_policy import InputPolicy
from imagerag.tools.url_fetcher import Fetcher
from tests.cli.conftest import Imagerag, document, one_line

QUERY = "a red circle + 2:a blue star - stripes"


@pytest.fixture
def rag(home: Path) -> ImageRAG:
    return ImageRAG(preset="sketch", home=home)


@pytest.fixture
def image(rag: ImageRAG, tmp_path: Path) -> Path:
    """A file with an image of the library, by its own name with a space in it."""
    library = asyncio.run(rag.libraries.open("sketch"))
    (hit,) = rag.libraries.search_sync("a red solid circle", k=1)
    file = tmp_path / "a circle.png"
    file.write_bytes(asyncio.run(library.image_bytes(hit.image.sha256)))
    return file


def test_the_doors_find_the_same(imagerag: Imagerag, rag: ImageRAG) -> None:
    hits = rag.libraries.search_sync(QUERY, k=5)
    wanted = [(hit.image.sha256, pytest.approx(hit.similarity)) for hit in hits]
    found = document(imagerag("search", QUERY, "-k", 5, "--json"))
    assert [(one["id"], one["similarity"]) for one in found["results"]] == wanted
    assert document(imagerag("search", *QUERY.split(), "-k", 5, "--json"))["results"] == found["results"]
    terms = [
        SearchTerm(text="a red circle"),
        SearchTerm(text="a blue star", weight=2),
        SearchTerm(text="stripes", weight=-1),
    ]
    assert [hit.image.sha256 for hit in rag.libraries.search_sync(terms, k=5)] == [one for one, _ in wanted]
    answer = asyncio.run(ChatService(rag).search_references(SearchReferences(query=QUERY, k=5, library="sketch")))
    report: Any = answer.data
    assert [(hit["uri"].removeprefix("image://"), hit["similarity"]) for hit in report["hits"]] == wanted
    assert report["terms"] == ["a red circle", "2:a blue star", "- stripes"]
    assert [hit["accepted"] for hit in report["hits"]] == [None] * 5
    assert report["hits"][0]["contributions"] == pytest.approx([term.contribution for term in hits[0].terms])
    assert "the cosine of a combined query is not calibrated" in answer.text


def test_every_door_says_which_list_found_an_image(imagerag: Imagerag, rag: ImageRAG, tmp_path: Path) -> None:
    query, page = "a teal lamp", tmp_path / "found.html"
    hits = rag.libraries.search_sync(query, k=3, hybrid=True)
    lists = [[by.model_dump(mode="json") for by in hit.found_by] for hit in hits]
    assert {by["list"] for found in lists for by in found} == {"image", "words"}
    found = document(imagerag("search", query, "-k", 3, "--hybrid", "--json"))
    assert [one["found_by"] for one in found["results"]] == lists
    shown = imagerag("search", query, "-k", 3, "--hybrid", "--html", page).stdout
    assert f"words {next(by.rank for by in hits[0].found_by if by.list == 'words')} (" in shown
    assert " by words, place " in page.read_text(encoding="utf-8")
    request = SearchReferences(query=query, k=3, library="sketch", by="hybrid")
    answer = asyncio.run(ChatService(rag).search_references(request))
    report: Any = answer.data
    assert "words " in report["hits"][0]["found_by"]
    assert f"[{report['hits'][0]['found_by']}]" in answer.text
    assert not document(imagerag("search", query, "-k", 1, "--json"))["results"][0]["found_by"]


def test_no_verdict_is_given_where_no_threshold_is_calibrated(imagerag: Imagerag) -> None:
    found = document(imagerag("search", QUERY, "--json"))
    assert (found["threshold"], {one["accepted"] for one in found["results"]}) == (None, {None})
    assert found["threshold_note"] == "no threshold: the cosine of a combined query is not calibrated"
    assert [(one["term"], one["image"], one["weight"]) for one in found["terms"]] == [
        ("a red circle", False, 1), ("a blue star", False, 2), ("stripes", False, -1),
    ]  # fmt: skip
    first = found["results"][0]
    assert sum(term["contribution"] for term in first["terms"]) == pytest.approx(first["similarity"], abs=1e-5)
    shown = imagerag("search", QUERY, "-k", 1).stdout
    assert "no threshold: the cosine of a combined query is not calibrated" in shown
    assert f"terms: {QUERY}" in shown
    assert " ".join(f"{term['contribution']:+.3f}" for term in first["terms"]) in shown
    given = document(imagerag("search", QUERY, "--threshold", first["similarity"], "--json"))
    assert [one["accepted"] for one in given["results"]][:2] == [True, False]
    alone = document(imagerag("search", "a red circle", "--json"))
    assert alone["threshold"] is not None
    assert (alone["results"][0]["terms"], alone["threshold_note"]) == ([], "")


def test_images_are_terms(imagerag: Imagerag, rag: ImageRAG, image: Path, tmp_path: Path) -> None:
    first = document(imagerag("search", "--image", image, "- red", "--json", "-k", 3))
    assert [(term["term"], term["image"], term["weight"]) for term in first["terms"]] == [
        (str(image), True, 1), ("red", False, -1),
    ]  # fmt: skip
    for again in (
        imagerag("search", f"./{image.name} - red", "--json", "-k", 3),
        imagerag("search", f"{image} - red", "--json", "-k", 3),
    ):
        assert document(again)["results"][0]["id"] == first["results"][0]["id"]
    sha256 = document(imagerag("search", f"./{image.name}", "--json", "-k", 1))["results"][0]["id"]
    by_id = document(imagerag("search", f"image://{sha256} - red", "--json", "-k", 3))
    assert [one["id"] for one in by_id["results"]] == [one["id"] for one in first["results"]]
    hits = rag.libraries.search_sync("- red", image=[image, image.read_bytes()], k=3)
    assert [term.term for term in hits[0].terms] == [str(image), "image 2", "red"]
    only = document(imagerag("search", "--image", image, "--json"))
    assert only["image"] == first["image"] == str(image)
    assert only["results"] == document(imagerag("search", f"./{image.name}", "--json"))["results"]
    service = ChatService(rag, inputs=InputPolicy.of([tmp_path]))
    wish = SearchReferences(query="- red", image=image.name, library="sketch", k=3)
    report: Any = asyncio.run(service.search_references(wish)).data
    assert [hit["uri"].removeprefix("image://") for hit in report["hits"]] == [one["id"] for one in first["results"]]


def test_paths_in_a_text_are_not_read_from_python_nor_where_they_may_not_be(rag: ImageRAG, image: Path) -> None:
    hits = rag.libraries.search_sync(f"{image} + red", k=1)
    assert hits.terms[0].text == str(image)
    service = ChatService(rag, inputs=InputPolicy())
    answer = asyncio.run(service.search_references(SearchReferences(query=f"{image} + red", library="sketch")))
    assert "no file is read here" in answer.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a", "+"], "query, column 4: expected a term after +"),
        (["- stripes"], "query, column 1: this leaves out only"),
        (["red - red"], "cancel each other out"),
        (["./nowhere.png + red"], "cannot read the image './nowhere.png'"),
        (["--image", "a.txt", "red"], "a.txt: "),
        (["red", "--sheet", "x.jpg"], "ends in .png"),
        (["red", "--html", "x.png"], "ends in .html"),
        (["--image", "x.html", "--html", "x.html"], "is what is read"),
    ],
)
def test_what_cannot_be_is_wrong_use(imagerag: Imagerag, tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "a.txt").write_text("no image")
    result = imagerag("search", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_the_sheet_and_the_page_are_written_once(imagerag: Imagerag, tmp_path: Path) -> None:
    result = imagerag("search", QUERY, "-k", 2, "--sheet", "s.png", "--html", "s.html", "--json")
    assert json.loads(result.stdout)["results"]
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    assert QUERY in (tmp_path / "s.html").read_text()
    assert "is there already" in one_line(imagerag("search", QUERY, "--html", "s.html"))
    again = imagerag("search", QUERY, "--html", "s.html", "--sheet", "s.png", "--overwrite")
    assert again.exit_code == 0
    assert "s.html" in again.stdout


def test_several_libraries_of_which_none_has_a_match_say_why(imagerag: Imagerag, image: Path) -> None:
    assert imagerag("index", image, "--library", "mine", "--embedder", "sketch").exit_code == 0
    result = imagerag("search", "a red circle", "--library", "sketch,mine", "--filter", "price>100000")
    assert (result.exit_code, "Traceback" in result.output) == (0, False)
    assert "nothing" in result.stdout
    both = document(imagerag("search", QUERY, "--library", "sketch,mine", "-k", 3, "--json"))
    assert {(one["threshold"], one["accepted"], len(one["terms"])) for one in both["results"]} == {(None, None, 3)}


def test_an_address_is_fetched_as_one_that_anybody_may_have_written(
    rag: ImageRAG, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, bool]] = []

    async def fetch(self: Fetcher, url: str, **_: Any) -> bytes:
        asked.append((url, self.own_host, self.allowed(ip_address("127.0.0.1"))))
        return image.read_bytes()

    monkeypatch.setattr(Fetcher, "fetch", fetch)
    url = "https://images.example/a.png"
    hits = rag.libraries.search_sync("- red", image=url, k=1)
    assert asked == [(url, "", False)]
    assert hits[0].image.sha256 == rag.libraries.search_sync("- red", image=image, k=1)[0].image.sha256


def test_python_says_what_cannot_be(rag: ImageRAG) -> None:
    with pytest.raises(UsageError, match="with a text, with an image, or with both"):
        rag.libraries.search_sync()
    with pytest.raises(UsageError, match="column 4"):
        rag.libraries.search_sync("a +")
