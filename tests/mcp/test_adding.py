"""Adding images to a library through a client: the person is asked, of either protocol generation."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mcp_types
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from imagerag import ImageRAG
from imagerag.assistants.service import ChatService
from imagerag.files.access_policy import InputPolicy
from imagerag.mcp.server import ServerState
from imagerag.store.data_dir import DataDir
from imagerag.tools.testing.mock_openai import tiny_png
from tests.conftest import copied
from tests.mcp.conftest import Human

ORDER = 'a mug" Caption: harmless\n\nAdd this image to the library "other"?'


Person = partial(Human, name="add", leaving="cancel")
"""Answers questions: yes, no, or None, which closes the form; one after the other."""


@dataclass(frozen=True)
class Shelf:
    """A library with one image, of the toy world's encoder, and a folder from which images may be named."""

    rag: ImageRAG
    folder: Path
    state: ServerState


@pytest.fixture
async def shelf(sketch_home: Path, tmp_path: Path) -> Shelf:
    copied(sketch_home, home := tmp_path / "home")
    rag = ImageRAG(preset="sketch", home=home, library="mine")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "first.png").write_bytes(tiny_png("first"))
    await rag.libraries.index(folder, check=False)
    (folder / "second.png").write_bytes(tiny_png("second"))
    service = ChatService(rag, inputs=InputPolicy.of([folder]))
    return Shelf(rag, folder, ServerState(service=service))


Connect = Callable[..., Client]


@pytest.fixture
def client(shelf: Shelf, mode: str) -> Connect:
    return lambda person=None: Client(shelf.state.build(), mode=mode, elicitation_callback=person)


ASKED = {"image": "second.png", "caption": "a teal ringed hexagon", "tags": ["cup"], "licence": "CC0-1.0"}


async def test_on_yes_the_image_is_added_and_searched_for(shelf: Shelf, client: Connect) -> None:
    person = Person([True])
    async with client(person) as connected:
        answer = await connected.call_tool("add_image", {**ASKED, "author": "Ada"})
        report = answer.structured_content
        assert (report["added"], report["new"], report["library"]) == (True, True, "mine")
        assert answer.content[0].text.startswith(f"Added: {report['image']['uri']} in library")
        assert report["rank"] in (1, 2)
        assert (report["accepted"] is None) == (report["threshold"] is None)
        (row,) = await shelf.rag.libraries.select(report["image"]["uri"].removeprefix("image://"), library="mine")
        assert (row.caption, row.licence, row.author, list(row.tags)) == (ASKED["caption"], "CC0-1.0", "Ada", ["cup"])
        assert (row.title, row.source) == ("second", "")
        shutil.rmtree(shelf.folder)  # the library keeps its bytes
        seen = await connected.call_tool("view_image", {"image_id": report["image"]["uri"]})
        assert not seen.is_error
    (question,) = person.asked
    assert person.titles[0] in ("Add an image An image for a library.", "")
    assert question.startswith('Add this image to the library "mine"?\n"second.png", ')
    assert all(word in question for word in ('"a teal ringed hexagon"', '"cup"', '"CC0-1.0"', '"Ada"'))


async def test_without_a_yes_nothing_is_added(shelf: Shelf, client: Connect) -> None:
    before = await shelf.rag.libraries.stats("mine")
    async with client(Person([False, None])) as connected:
        for _ in range(2):
            answer = await connected.call_tool("add_image", ASKED)
            assert not answer.is_error
            assert answer.structured_content["added"] is False
            assert "Do not ask again" in answer.content[0].text
    assert (await shelf.rag.libraries.stats("mine")).images == before.images


async def test_where_nobody_can_be_asked_the_answer_has_the_command(shelf: Shelf, client: Connect) -> None:
    # A run has drawn the same image: the command names the file that was named, not the run's.
    await shelf.rag.dependencies.blobs.put((shelf.folder / "second.png").read_bytes())
    async with client() as connected:
        answer = await connected.call_tool("add_image", {**ASKED, "caption": "it's a mug; rm -rf /"})
        assert answer.is_error
        reason, command = answer.content[0].text.splitlines()
        assert "this client cannot ask them" in reason
        assert command == (
            f"imagerag --home {shelf.rag.dependencies.home.root} library add mine {shelf.folder / 'second.png'}"
            " --licence CC0-1.0"
            " --caption 'it'\"'\"'s a mug; rm -rf /' --tag cup"
        )


async def test_the_command_names_no_data_directory_where_it_is_the_usual_one(
    shelf: Shelf, client: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DataDir, "default", lambda: shelf.rag.dependencies.home)
    async with client() as connected:
        answer = await connected.call_tool("add_image", ASKED)
        assert answer.content[0].text.splitlines()[1].startswith("imagerag library add mine ")


async def test_the_command_names_the_image_of_a_run_by_its_file(shelf: Shelf, client: Connect) -> None:
    image = await shelf.rag.dependencies.blobs.put(tiny_png("drawn"))
    async with client() as connected:
        for name in (f"image://{image.sha256}", image.sha256, f"IMAGE://{image.sha256[:12]}"):
            answer = await connected.call_tool("add_image", {"image": name, "library": "mine"})
            assert f"{image.sha256[:16]}.png" in answer.content[0].text.splitlines()[1]


async def test_a_command_is_whole_or_says_what_is_left_out(client: Connect) -> None:
    async with client() as connected:
        answer = await connected.call_tool("add_image", {**ASKED, "caption": "mug " * 400})
    *_, command, more = answer.content[0].text.splitlines()
    assert (command.endswith("--licence CC0-1.0 --tag cup"), "mug" in command) == (True, False)
    assert more == "They add what has no room here: --caption"


async def test_a_person_reads_all_that_they_agree_to(client: Connect) -> None:
    person, tags = Person([False]), [f"{'tag' * 60} {number}" for number in range(16)]
    async with client(person) as connected:
        await connected.call_tool("add_image", {**ASKED, "caption": "mug " * 499 + "end", "tags": tags})
    (question,) = person.asked
    assert 'mug end"' in question
    assert all(f'"{tag}"' in question for tag in tags)


@pytest.mark.parametrize("mode", ["2026-07-28"])
@pytest.mark.parametrize("caption", ["- a mug", "a mug - 2:cup", "./second.png", "https://example.org/a.png", "!", '"'])
async def test_a_caption_is_no_query(shelf: Shelf, client: Connect, caption: str) -> None:
    async with client(Person([True])) as connected:
        answer = await connected.call_tool("add_image", {**ASKED, "caption": caption})
    assert (answer.structured_content["added"], answer.structured_content["rank"] in (1, 2)) == (True, True)


async def test_what_the_library_knows_of_an_image_stays_where_nothing_is_said(shelf: Shelf, client: Connect) -> None:
    person = Person([True, True])
    async with client(person) as connected:
        await connected.call_tool("add_image", ASKED)
        again = await connected.call_tool("add_image", {"image": "second.png"})
    assert ('Licence: "CC0-1.0"' in person.asked[1], "no caption" in again.content[0].text) == (True, False)
    assert again.structured_content["rank"] in (1, 2)


async def test_an_image_of_another_library_is_added_by_its_id(shelf: Shelf, client: Connect) -> None:
    async with client(Person([True])) as connected:
        found = await connected.call_tool("search_references", {"query": "a teal heart", "library": "sketch"})
        image = found.structured_content["hits"][0]["uri"]
        answer = await connected.call_tool("add_image", {"image": image, "library": "mine"})
    assert answer.structured_content["added"] is True, answer.content


async def test_the_image_of_a_run_is_added_by_its_id_and_its_words_can_be_changed(
    shelf: Shelf, client: Connect
) -> None:
    drawn = await shelf.rag.generate("a red circle", library="sketch", max_rounds=0)
    assert drawn.image is not None
    named = {"image": f"image://{drawn.image.sha256}", "caption": "a red solid circle"}
    person = Person([True, True])
    async with client(person) as connected:
        added = await connected.call_tool("add_image", named)
        assert (added.structured_content["rank"], added.structured_content["new"]) == (1, True)
        again = await connected.call_tool("add_image", {**named, "caption": "another red circle"})
        assert again.structured_content["new"] is False
        assert 'already, with the caption "a red solid circle"' in person.asked[1]


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"image": "../elsewhere.png"}, "elsewhere.png"),
    ({"image": "https://example.org/a.png"}, "addresses are not fetched here"),
    ({"image": f"image://{'0' * 64}"}, "no image"),
    ({"library": "sketch"}, "built-in catalogue"),
    ({"library": "none of these"}, "none of these"),
    ({"library": "web:openverse"}, "web:openverse"),
    ({"library": "mine@yesterday"}, "mine@yesterday"),
    ({"image": ""}, "image"),
    ({"caption": "x" * 2_001}, "caption"),
)


async def test_what_cannot_be_added_is_refused_before_anybody_is_asked(client: Connect) -> None:
    person = Person()
    async with client(person) as connected:
        for wrong, message in REFUSED:
            answer = await connected.call_tool("add_image", {**ASKED, **wrong})
            assert answer.is_error, wrong
            assert message in answer.content[0].text
    assert person.asked == []


async def test_of_several_usual_libraries_it_is_the_first_of_ones_own(shelf: Shelf) -> None:
    rag = ImageRAG(preset="sketch", home=shelf.rag.dependencies.home.root, library="mine,web:openverse")
    state = ServerState(service=ChatService(rag, inputs=InputPolicy.of([shelf.folder])))
    async with Client(state.build(), elicitation_callback=Person([True])) as connected:
        answer = await connected.call_tool("add_image", ASKED)
        assert answer.structured_content["library"] == "mine"


async def test_words_of_a_caption_cannot_pass_for_the_question(client: Connect) -> None:
    person = Person([False])
    async with client(person) as connected:
        await connected.call_tool("add_image", {**ASKED, "caption": ORDER})
    (question,) = person.asked
    assert question.count("\n") == 5
    assert "Caption: \"a mug' Caption: harmless Add this image to the library 'other'?\"" in question


async def test_a_yes_to_one_image_is_none_to_another(shelf: Shelf) -> None:
    """From 2026-07-28 on the call comes a second time, and the file may hold another image by then."""
    async with Client(shelf.state.build(), mode="2026-07-28", elicitation_callback=Person()) as connected:
        call = partial(connected.session.call_tool, "add_image", allow_input_required=True)
        question = await call(ASKED)
        yes = {"consent": mcp_types.ElicitResult(action="accept", content={"add": True})}
        state = {"input_responses": yes, "request_state": question.request_state}
        with pytest.raises(MCPError, match="requestState"):
            await call({**ASKED, "image": "first.png"}, **state)
        (shelf.folder / "second.png").write_bytes(tiny_png("swapped"))
        assert isinstance(await call(ASKED, **state), mcp_types.InputRequiredResult)
        (shelf.folder / "second.png").write_bytes(tiny_png("second"))
        done = await call(ASKED, **state)
        assert done.structured_content["added"] is True
