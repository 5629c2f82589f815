"""A question with a picture: what it is searched with, what the model is shown, and what is kept of it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.store.journal import open_journal
from imagerag.tools.answerers.metadata import MetadataAnswerer
from imagerag.tools.answerers.vlm import VlmAnswerer
from imagerag.tools.fallback.answerer import FallbackAnswerer
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.testing.fake_stores import sample_image
from imagerag.tools.testing.fakes import ScriptedLibrary
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse

MINE, PART = sample_image("an image of my own"), sample_image("the part itself")
WHAT = "Does this part have a defect?"


def said(answer: str = "It is the part [1].", *sources: int) -> MockResponse:
    cited = [{"source": n, "supports": f"what {n} shows"} for n in sources or (1,)]
    return MockResponse(text=json.dumps({"citations": cited, "held": True, "answer": answer}))


class Measured(ScriptedLibrary):
    """A library whose threshold between pictures is known."""

    image_threshold = 0.8


@pytest.fixture
def library() -> ScriptedLibrary:
    planted = Measured(elsewhere=0.1)
    planted.plant("the part", PART, title="Part 7", metadata={"price": 30})
    planted.plant({WHAT: 0.9}, title="Manual", metadata={"price": 5})
    planted.plant("nothing asks for this", title="Vase", metadata={"price": 10})
    return planted


def titles(record: Any) -> list[tuple[str, str]]:
    return [(one.title, one.by) for one in record.retrieved if one.accepted]


@pytest.mark.parametrize(
    ("by", "found"),
    [
        (None, [("Part 7", "image"), ("Manual", "similarity")]),
        ("both", [("Part 7", "image"), ("Manual", "similarity")]),
        ("image", [("Part 7", "image")]),
        ("words", [("Manual", "similarity"), ("Part 7", "metadata")]),
    ],
)
async def test_it_is_searched_with_the_picture_the_words_or_both(
    desk: Any, server: MockOpenAIServer, by: Any, found: list[tuple[str, str]]
) -> None:
    server.enqueue("chat", said())
    record = await desk.ask(WHAT, pictures=[PART], by=by)
    assert (titles(record), record.by, record.outcome) == (found, by or "both", AnswerOutcome.ANSWERED)
    assert record.citations[0].title == found[0][0]
    assert record.image_threshold == (None if by == "words" else 0.8)


async def test_the_picture_is_shown_as_the_persons_own_before_the_sources(desk: Any, server: MockOpenAIServer) -> None:
    server.enqueue("chat", said())
    record = await desk.ask(WHAT, pictures=[PART, MINE])
    [request] = server.requests
    assert [image.data for image in request.images][:2] == [PART, MINE]
    assert len(request.images) == 4
    parts = [part.get("text", "") for part in request.body["messages"][-1]["content"]]
    assert parts[0] == "QUESTION PICTURE 1 (the person's own, no source):"
    assert parts[2] == "QUESTION PICTURE 2 (the person's own, no source):"
    assert parts[4].startswith("SOURCE 1:")
    assert "are no sources and are never cited" in request.prompt
    assert [image.sha256 for image in record.images] == record.shown
    assert record.asked[0].model_dump(include={"order", "retrieval", "sources", "question_images"}) == {
        "order": 1,
        "retrieval": True,
        "sources": [1, 2],
        "question_images": record.shown,
    }


async def test_without_a_picture_nothing_of_this_is_said(desk: Any, server: MockOpenAIServer) -> None:
    server.enqueue("chat", said())
    record = await desk.ask(WHAT)
    assert "QUESTION PICTURE" not in server.requests[0].text
    assert (record.images, record.shown, record.by) == ([], [], "words")


async def test_what_is_below_the_calibrated_threshold_is_no_source(desk: Any, server: MockOpenAIServer) -> None:
    record = await desk.ask(WHAT, pictures=[MINE], by="image")
    assert (record.outcome, server.count()) == (AnswerOutcome.NOT_HELD, 0)
    assert "the closest to the image has 0.100, 0.800 is needed" in record.answer
    server.enqueue("chat", said())
    off = await desk.ask(WHAT, pictures=[MINE], by="image", threshold="off", thread="off")
    assert len(titles(off)) == 3
    server.enqueue("chat", said())
    lower = await desk.ask(WHAT, pictures=[PART], by="image", threshold=0.99, thread="number")
    assert titles(lower) == [("Part 7", "image")]


async def test_where_no_threshold_is_known_none_is_claimed(
    vlm: VlmAnswerer, desk: Any, server: MockOpenAIServer
) -> None:
    plain = ScriptedLibrary(elsewhere=0.1)
    plain.plant("the part", PART, title="Part 7")
    desk.library = plain
    server.enqueue("chat", said())
    record = await desk.ask("what is this?", pictures=[MINE])
    assert (record.image_threshold, titles(record)) == (None, [("Part 7", "image")])
    assert any("no threshold between images is known" in note for note in record.notes)
    desk.answerer = MetadataAnswerer()
    blind = await desk.ask("what is this?", pictures=[MINE], thread="blind")
    assert (blind.outcome, titles(blind)) == (AnswerOutcome.NOT_HELD, [])
    assert "no threshold between images is known" in blind.answer


async def test_a_model_that_takes_one_picture_gets_a_sheet_with_both_marked(desk: Any, library: Any) -> None:
    with MockOpenAIServer(max_images=1) as server:
        desk.answerer = VlmAnswerer(
            chat=OpenAIChat(model="m", account=OpenAICredentials.of(server.base_url, key="sk-x"), max_images=1)
        )
        server.enqueue("chat", said())
        record = await desk.ask(WHAT, pictures=[MINE, PART])
        [request] = server.requests
    assert len(request.images) == 1
    own, sheet = request.text.index("QUESTION PICTURE 1"), request.text.index("[This is picture 1 of the sheet.]")
    assert own < sheet < request.text.index("SOURCE 1:") < request.text.index("[This is picture 3 of the sheet.]")
    assert record.outcome is AnswerOutcome.ANSWERED


async def test_no_pixel_is_in_a_checkpoint(desk: Any, server: MockOpenAIServer) -> None:
    server.enqueue("chat", said())
    await desk.ask(WHAT, pictures=[MINE])
    kept = repr((desk.saver.storage, desk.saver.blobs, desk.saver.writes)).encode()
    assert b"\\x89PNG" not in kept
    assert base64.b64encode(MINE)[:40] not in kept


async def test_a_replay_knows_the_picture(desk: Any, server: MockOpenAIServer, tmp_path: Path) -> None:
    async with open_journal(tmp_path / "store.sqlite") as journal:
        desk.journal = journal
        server.enqueue("chat", said())
        first = await desk.ask(WHAT, pictures=[MINE])
        again = await desk.ask(WHAT, pictures=[MINE], thread="again", cache="replay")
        other = await desk.ask(WHAT, pictures=[PART], thread="other", cache="replay")
    assert (again.answer, again.cost_usd, server.count()) == (first.answer, 0.0, 1)
    assert (other.outcome, other.error) == (AnswerOutcome.FAILED, "ReplayMissError")


async def test_a_follow_up_is_shown_the_picture_again(desk: Any, server: MockOpenAIServer) -> None:
    server.enqueue("chat", said(), said("It is scratched [1]."), said("Another [1]."))
    await desk.ask(WHAT, pictures=[MINE])
    record = await desk.ask("and is it scratched?")
    assert server.requests[1].images[0].data == MINE
    assert (record.images, len(record.shown)) == ([], 1)
    assert "the image of the question before was shown again" in record.notes
    desk.blobs.data.clear()
    gone = await desk.ask("and is it old?")
    assert (gone.shown, gone.outcome) == ([], AnswerOutcome.ANSWERED)


async def test_compare_shows_the_picture_and_no_library(desk: Any, server: MockOpenAIServer) -> None:
    server.enqueue("chat", said(), MockResponse(text="A brass gear."))
    record = await desk.ask(WHAT, pictures=[MINE], compare=True)
    assert [image.data for image in server.requests[1].images] == [MINE]
    assert "SOURCE" not in server.requests[1].text
    asked = [(call.order, call.retrieval, call.sources, len(call.question_images)) for call in record.asked]
    assert asked == [(1, True, [1], 1), (2, False, [], 1)]


async def test_the_metadata_answerer_tells_of_what_is_like_the_picture(counter: Any) -> None:
    record = await counter.ask("What does this cost?", pictures=[PART])
    assert record.outcome is AnswerOutcome.ANSWERED
    assert record.answer == "Part 7 [1]: price 30. (only what is like the image was looked at)"
    assert (record.shown, len(record.images)) == ([], 1)
    assert "the answerer looks at no image: yours was only searched with" in record.notes
    whole = await counter.ask("What is the cheapest product?", pictures=[PART], thread="whole")
    assert "is that of Manual" in whole.answer
    unknown = await counter.ask(WHAT, pictures=[PART], thread="unknown")
    assert (unknown.outcome, "“part”, “defect”" in unknown.answer or "“defect”" in unknown.answer) == ("not_held", True)


async def test_of_a_picture_that_is_like_nothing_nothing_is_said(counter: Any) -> None:
    record = await counter.ask("what does this cost?", pictures=[MINE], threshold=0.05)
    assert record.outcome is AnswerOutcome.NOT_HELD
    assert record.answer.startswith("I look at no image myself, and I can say nothing of this one.")


async def test_a_fallback_shows_it_to_those_that_take_pictures(
    vlm: VlmAnswerer, desk: Any, server: MockOpenAIServer
) -> None:
    desk.answerer = FallbackAnswerer([vlm, MetadataAnswerer()])
    server.enqueue("chat", said())
    record = await desk.ask(WHAT, pictures=[MINE])
    assert len(record.shown) == 1
    assert server.requests[0].images[0].data == MINE


async def test_a_picture_that_is_not_there_ends_the_question_by_name(desk: Any, server: MockOpenAIServer) -> None:
    class Lost(type(desk.blobs)):  # type: ignore[misc]
        async def put(self, data: bytes) -> Any:
            found = await super().put(data)
            self.data.clear()
            return found

    desk.blobs = Lost()
    record = await desk.ask(WHAT, pictures=[MINE])
    assert (record.outcome, record.error, server.count()) == (AnswerOutcome.FAILED, "BlobError", 0)


@pytest.mark.parametrize(
    ("pictures", "by", "words"),
    [(9, None, "9 images are too many"), (0, "image", "needs an image"), (0, "both", "needs an image")],
)
async def test_what_cannot_be_searched_with_is_refused(desk: Any, pictures: int, by: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        await desk.ask(WHAT, pictures=[sample_image(str(n)) for n in range(pictures)], by=by)
