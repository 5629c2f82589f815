"""A generator in place of another one: references, sizes and masks stay right, and the record says what was lost."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag import ImageRAG, UsageError
from imagerag.assistants.run_text import format_run
from imagerag.cli import main
from imagerag.tools.testing.fakes import ScriptedJudge, ScriptedLibrary
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse, tiny_png
from tests.end_to_end.test_masks_and_partial_images import MASK, SUBJECT


@pytest.fixture
def servers() -> Iterator[list[MockOpenAIServer]]:
    with ExitStack() as stack:
        loopbacks = [stack.enter_context(MockOpenAIServer()) for _ in range(2)]
        yield loopbacks
    assert [loopback.errors for loopback in loopbacks] == [[], []]


def rag_at(home: Path, servers: list[MockOpenAIServer], options: str, *judged: list[str], first: str = "") -> ImageRAG:
    """Draws with OpenAI's images API, else with chat completions of another service."""
    one, other = servers
    first = first or f"openai:gpt-image-2@{one.base_url}"
    made = ImageRAG(
        preset="sketch", generator=f"{first},openai-chat:painter?{options}@{other.base_url}", judge="mine",
        library="mine", home=home,
    )  # fmt: skip
    library = ScriptedLibrary(elsewhere=0.6)
    for name in ("heart", "star"):
        library.plant(f"a detailed picture of a {name}", tiny_png(name))
    made.dependencies.use("judge", "mine", ScriptedJudge(*judged))
    made.dependencies.use("library", "mine", library)
    return made


def identity(server: MockOpenAIServer, options: str) -> str:
    return f"openai-chat:painter?{options}@{server.base_url}" if options else f"openai-chat:painter@{server.base_url}"


async def test_each_service_is_asked_for_the_size_in_its_own_words(
    tmp_path: Path, servers: list[MockOpenAIServer]
) -> None:
    one, other = servers
    rag = rag_at(tmp_path, servers, "image_config=true", [])
    assert (await rag.generate("a wall", size="16:9@2K", run_id="first")).attempts[0].fallback_errors == ()
    one.enqueue("images.generate", Fault("quota"))
    record = await rag.generate("a wall", size="16:9@2K", run_id="second")
    assert [request.body["size"] for request in one.of("images.generate")] == ["2736x1536"] * 2
    assert other.of("chat")[0].body["image_config"] == {"aspect_ratio": "16:9", "image_size": "2K"}
    assert record.setup is not None
    assert str(record.setup.config.size) == "16:9@2K"
    (attempt,) = record.attempts
    assert attempt.size is not None
    assert (str(attempt.size), attempt.generator) == ("2736x1536", identity(other, "image_config=true"))
    assert len(attempt.fallback_errors) == 1
    assert attempt.fallback_errors[0].startswith("QuotaError")


async def test_fewer_references_and_no_size_are_said_everywhere(
    tmp_path: Path, servers: list[MockOpenAIServer]
) -> None:
    one, other = servers
    one.enqueue("images.edit", Fault("quota"))
    rag = rag_at(tmp_path, servers, "max_references=1", ["a heart", "a star"], [])
    record = await rag.generate("a heart and a star", size="1536x1024")
    draft, better = record.attempts
    assert (draft.fallback_errors, draft.references, str(draft.size)) == ((), (), "1536x1024")
    who = identity(other, "")
    lost = [f"{who} takes 1 of 2 images", f"{who} draws its own size in place of 1536x1024"]
    assert list(better.fallback_errors[1:]) == lost
    assert len(better.references) == len(other.of("chat")[0].images) == 1
    assert better.size is None
    assert [bool(entry.references) for entry in record.concepts] == [True, False]
    for text in (
        (await asyncio.to_thread(CliRunner().invoke, main, ["--home", str(tmp_path), "show", record.run_id])).stdout,
        await rag.runs.report(record),
        json.dumps(record.as_json()),
        format_run(record),
    ):
        for sentence in lost:
            assert plain(sentence) in plain(text)


def plain(text: str) -> str:
    return "".join(text.split()).replace("&#x27;", "'")


async def test_a_mask_that_is_not_taken_is_said_and_held_all_the_same(
    tmp_path: Path, servers: list[MockOpenAIServer]
) -> None:
    one, other = servers
    one.enqueue("images.edit", Fault("quota"))
    other.enqueue("chat", MockResponse(images=(tiny_png("all new"),)))
    record = await rag_at(tmp_path, servers, "image_config=true", []).generate("a lamp", edit=SUBJECT, mask=MASK)
    (attempt,) = record.attempts
    assert attempt.fallback_errors[1:] == (f"{identity(other, 'image_config=true')} takes no mask",)
    assert attempt.mask is not None
    assert attempt.mask.held
    assert [image.data for image in other.of("chat")[0].images] == [SUBJECT]
    assert "only where its mask is transparent" not in attempt.prompt


@pytest.mark.parametrize(
    ("asked", "why"),
    [({"size": "4:1"}, "three times the other"), ({"size": "1:1@4K"}, "2160x2160"), ({"size": "1000x1000"}, "16")],
)
async def test_what_the_first_cannot_draw_is_refused_before_anything_is_sent(
    tmp_path: Path, servers: list[MockOpenAIServer], asked: dict[str, Any], why: str
) -> None:
    rag = rag_at(tmp_path, servers, "image_config=true", [])
    for call in (rag.generate("a wall", **asked), rag.estimate("a wall", **asked)):
        with pytest.raises(UsageError, match=why):
            await call
    assert [server.count() for server in servers] == [0, 0]
    assert await rag.runs.list() == []


async def test_the_estimate_says_what_would_be_lost(tmp_path: Path, servers: list[MockOpenAIServer]) -> None:
    _, other = servers
    rag = rag_at(tmp_path, servers, "max_references=1", [])
    notes = (await rag.estimate("a lamp", size="16:9", subjects=[SUBJECT], mask=MASK)).notes
    for lost in ("takes 1 of 16 images", "takes no mask", "draws its own size in place of 16:9"):
        assert any(note.endswith(f"{identity(other, '')} {lost}") for note in notes), notes
