"""Edits within a mask, and what is told while a picture is drawn: from the doors through the graph, over real HTTP."""

import base64
import io
import json
import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagerag import ImageRAG, Outcome, RunRecord, UsageError
from imagerag.agent.calls.call_context import current_call
from imagerag.agent.ports import GeneratedImage
from imagerag.agent.types import RunConfig, RunSpec, Subject
from imagerag.graphs.runs.events import RunEvent
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, tiny_png
from tests.cli.conftest import KNOWN, Imagerag, document, one_line


def hole(width: int = 64, height: int = 64, *, alpha: int = 0, form: str = "PNG", share: int = 2) -> bytes:
    """A mask whose upper left quarter (or less of it) has this alpha."""
    drawn = Image.new("RGBA", (width, height), "white")
    drawn.paste((0, 0, 0, alpha), (0, 0, width // share, height // share))
    out = io.BytesIO()
    (drawn if form == "PNG" else drawn.convert("RGB")).save(out, form)
    return out.getvalue()


SUBJECT = tiny_png("my room")
MASK = hole()


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as loopback:
        yield loopback
    assert loopback.errors == []


def rag_at(server: MockOpenAIServer, home: Path, *judged: list[str]) -> ImageRAG:
    """Draws over HTTP; the judge finds in each picture what it is told to."""
    made = ImageRAG(
        preset="sketch", generator=f"openai:gpt-image-2@{server.base_url}", judge="mine", library="mine", home=home
    )
    library = ScriptedLibrary()
    library.plant("a detailed picture of a heart", tiny_png("heart"))
    made.dependencies.use("judge", "mine", ScriptedJudge(*judged))
    made.dependencies.use("library", "mine", library)
    return made


async def test_the_subject_is_edited_within_its_mask_in_every_round(server: MockOpenAIServer, tmp_path: Path) -> None:
    rag = rag_at(server, tmp_path, ["a heart"], [])
    record = await rag.generate("a heart on the wall", subjects=[("my room", SUBJECT)], mask=MASK)
    assert record.outcome is Outcome.ALIGNED
    first, second = server.of("images.edit")
    for request in (first, second):
        assert [(part.name, part.data) for part in request.images if part.name == "mask"] == [("mask", MASK)]
        assert request.images[0].data == SUBJECT
    assert [image.name for image in second.images] == ["image[]", "image[]", "mask"]
    assert "only where its mask is transparent" in second.prompt
    assert "Do not edit them" not in second.prompt
    sent = record.attempts[0].references[0]
    assert sent.mask is not None
    assert await rag.runs.image_bytes(sent.mask.sha256) == MASK
    again = await rag.generate("a heart on the wall", subjects=[("my room", SUBJECT)], mask=MASK, cache="replay")
    assert (again.outcome, server.count()) == (Outcome.ALIGNED, 2)
    another = hole(share=4)
    other = await rag.generate("a heart on the wall", subjects=[("my room", SUBJECT)], mask=another, cache="replay")
    assert "masks" in other.reason


async def test_without_a_mask_a_call_is_known_by_what_it_was_before(server: MockOpenAIServer, tmp_path: Path) -> None:
    rag = rag_at(server, tmp_path, [])
    record = await rag.generate("a heart", subjects=[SUBJECT])
    async with rag.dependencies.journal() as journal:
        entry = await journal.find(f"{record.call_log[0].request}-0", run_id=record.run_id)
    assert entry is not None
    assert set(entry.asked.content) == {"prompt", "images", "size", "variation"}


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (hole(32, 64), "32x64 pixels, the subject 64x64"),
        (hole(alpha=255), "transparent nowhere"),
        (hole(alpha=128), "fully transparent nowhere .at its clearest it is 50 % transparent"),
        (hole(form="JPEG"), "must be a PNG below 4 MB"),
        (MASK + bytes(4 * 2**20), "must be a PNG below 4 MB"),
        (b"no image", "not an image"),
    ],
)
async def test_what_is_no_mask_is_refused_before_anything_is_spent(
    server: MockOpenAIServer, tmp_path: Path, mask: bytes, told: str
) -> None:
    rag = rag_at(server, tmp_path, [])
    for ask in (rag.generate, rag.estimate):
        with pytest.raises(UsageError, match=told):
            await ask("a heart", subjects=[SUBJECT], mask=mask)
    assert (server.count(), await rag.runs.list()) == (0, [])


async def test_a_mask_needs_a_subject_and_a_generator_that_takes_it(server: MockOpenAIServer, tmp_path: Path) -> None:
    rag = rag_at(server, tmp_path, [])
    for ask in (rag.generate, rag.estimate):
        with pytest.raises(UsageError, match="name the image too"):
            await ask("a heart", mask=MASK)
    for generator in ("sketch", f"sketch,openai:gpt-image-2@{server.base_url}"):
        other = ImageRAG(preset="sketch", generator=generator, home=tmp_path, library="sketch")
        for ask in (other.generate, other.estimate):
            with pytest.raises(UsageError, match=r"^sketch\S* takes no mask"):
                await ask("a heart", subjects=[SUBJECT], mask=MASK)
    assert server.count() == 0


async def masked(server: MockOpenAIServer, home: Path) -> tuple[ImageRAG, RunRecord]:
    """A run whose subject was edited within its mask, and was not aligned."""
    rag = rag_at(server, home, ["a heart"], ["a heart"])
    record = await rag.generate("a heart on the wall", subjects=[("my room", SUBJECT)], mask=MASK, max_rounds=1)
    assert record.outcome is Outcome.BEST_EFFORT
    return rag, record


async def test_what_goes_on_with_a_mask_checks_it_before_anything_is_spent(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    rag, record = await masked(server, tmp_path)
    mask = record.attempts[0].references[0].mask
    assert mask is not None
    same = await rag.runs.replay(record.run_id, 1)
    assert same.canonical() == record.canonical()
    before, kept = server.count(), await rag.runs.list()
    with pytest.raises(UsageError, match=r"^sketch\S* takes no mask"):
        await rag.runs.replay(record.run_id, 1, generator="sketch")
    rag.dependencies.blobs.path(mask.sha256).unlink()
    for ask in (rag.runs.continue_(record.run_id), rag.runs.replay(record.run_id, 1)):
        with pytest.raises(UsageError, match=f"mask, or its subject, cannot be used again: .*{mask.sha256[:12]}"):
            await ask
    assert (server.count(), await rag.runs.list()) == (before, kept)


async def test_a_run_whose_mask_is_lost_before_it_is_resumed_ends_by_name(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    rag = rag_at(server, tmp_path, ["a heart"], [])
    subjects = [Subject(image=await rag.dependencies.blobs.put(SUBJECT), mask=await rag.dependencies.blobs.put(MASK))]
    setup = RunSpec(generator=f"openai:gpt-image-2@{server.base_url}", judge="mine", library="mine")
    killed = replace(rag.runner, left_open=True).start("a heart", setup, subjects=subjects, run_id="cut")
    async with aclosing(killed) as events:
        async for event in events:
            if event.kind == "step":
                break
    assert subjects[0].mask is not None
    rag.dependencies.blobs.path(subjects[0].mask.sha256).unlink()
    record = await rag.runs.resume("cut")
    assert (record.outcome, record.best_attempt, server.count()) == (Outcome.FAILED, 0, 1)
    assert subjects[0].mask.sha256[:12] in record.reason


async def test_a_mask_that_was_never_checked_is_before_it_is_drawn_with_again(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    rag = rag_at(server, tmp_path, ["a heart"])
    subject, small = await rag.dependencies.blobs.put(SUBJECT), await rag.dependencies.blobs.put(hole(32, 64))
    setup = RunSpec(generator=f"openai:gpt-image-2@{server.base_url}", judge="mine", config=RunConfig(max_rounds=0))
    server.enqueue("images.edit", MockResponse(images=(tiny_png("done"),)))
    subjects = [Subject(image=subject, mask=small)]
    events = [event async for event in rag.runner.start("a heart", setup, subjects=subjects)]
    record = events[-1].record
    assert record is not None
    for ask in (rag.runs.continue_(record.run_id), rag.runs.replay(record.run_id, 1)):
        with pytest.raises(UsageError, match="32x64 pixels, the subject 64x64"):
            await ask


async def test_the_report_and_the_sheet_show_the_mask(server: MockOpenAIServer, tmp_path: Path) -> None:
    rag, record = await masked(server, tmp_path)
    page = await rag.runs.report(record)
    told = "mask of my room: it may change where this is light"
    shown = [
        data for data, words in re.findall(r'src="data:image/jpeg;base64,([^"]+)" alt="([^"]+)"', page) if words == told
    ]
    assert len(shown) == len(record.attempts)
    with Image.open(io.BytesIO(base64.b64decode(shown[0]))) as mask:
        light, dark = mask.convert("L").getpixel((8, 8)), mask.convert("L").getpixel((56, 56))
    assert light > 200 > 100 > dark
    assert "changed only where the mask is light" in page
    sheet = Image.open(io.BytesIO(await rag.runs.contact_sheet(record))).convert("RGB")
    unmasked = [one.model_copy(update={"mask": None}) for one in record.attempts[0].references]
    attempts = [record.attempts[0].model_copy(update={"references": tuple(unmasked)}), *record.attempts[1:]]
    plain = Image.open(
        io.BytesIO(await rag.runs.contact_sheet(record.model_copy(update={"attempts": attempts})))
    ).convert("RGB")
    stays = (58, 56, 52)
    assert pixels(sheet, stays) - pixels(plain, stays) > 84 * 84 // 2
    assert pixels(plain, stays) > 84 * 84 // 2  # the second attempt's


def pixels(image: Image.Image, color: tuple[int, int, int]) -> int:
    """How many are of that colour."""
    return sum(count for count, found in image.getcolors(1 << 24) or [] if found == color)


async def test_partial_pictures_are_events_with_hashes(server: MockOpenAIServer, tmp_path: Path) -> None:
    rag = rag_at(server, tmp_path, [])
    partials = (tiny_png("one"), tiny_png("two"))
    server.enqueue("images.generate", MockResponse(images=(tiny_png("done"),), partials=partials))
    events = [event async for event in rag.stream("a heart", partial_images=2)]
    shown = [event for event in events if event.kind == "progress"]
    assert [event.sequence for event in events] == list(range(len(events)))
    assert [kind_of(event) for event in events[:4]] == ["started", "progress", "progress", "step generate"]
    assert [(event.node, event.progress.step, event.progress.of) for event in shown if event.progress] == [
        ("generate", 1, 2),
        ("generate", 2, 2),
    ]
    images = [event.progress.image for event in shown if event.progress]
    assert [await rag.runs.image_bytes(image.sha256) for image in images if image] == list(partials)
    told = json.loads(json.dumps([event.as_json() for event in shown]))
    assert [(event["kind"], event["progress"]["image"]["width"]) for event in told] == [("progress", 64)] * 2
    record = events[-1].record
    assert record is not None
    assert record.call_log[0].usage == {"text_in": 10, "image_in": 40, "any_out": 100}
    replayed = [event async for event in rag.stream("a heart", partial_images=2, cache="replay")]
    assert "progress" not in {event.kind for event in replayed}
    assert replayed[-1].record is not None
    assert (replayed[-1].record.outcome, server.count()) == (Outcome.ALIGNED, 1)


def kind_of(event: RunEvent) -> str:
    return f"{event.kind} {event.node}" if event.kind == "step" else event.kind


async def test_a_damaged_partial_picture_loses_nothing(server: MockOpenAIServer, tmp_path: Path) -> None:
    rag = rag_at(server, tmp_path, [])
    server.enqueue(
        "images.generate", MockResponse(images=(tiny_png("done"),), partials=(b"not an image", tiny_png("two")))
    )
    events = [event async for event in rag.stream("a heart", partial_images=2)]
    assert [event.progress.step for event in events if event.progress] == [2]
    assert events[-1].record is not None
    assert events[-1].record.outcome is Outcome.ALIGNED


class Stepping(ScriptedGenerator):
    """Tells its steps, as a pipeline in this process does."""

    async def generate(self, *args: Any, **options: Any) -> GeneratedImage:
        for done in range(1, 4):
            current_call().progress.step(done, 3)
        return await super().generate(*args, **options)


async def test_steps_pass_through_a_fallback_and_none_are_told_of_what_the_journal_knows(tmp_path: Path) -> None:
    from imagerag.tools.fallback.generator import FallbackGenerator

    rag = ImageRAG(preset="sketch", generator="mine", judge="mine", library="mine", home=tmp_path)
    rag.dependencies.use("generator", "mine", FallbackGenerator([Stepping(), ScriptedGenerator()]))
    rag.dependencies.use("judge", "mine", ScriptedJudge([], []))
    rag.dependencies.use("library", "mine", ScriptedLibrary())
    for cache, expected in (("record", [(1, 3), (2, 3), (3, 3)]), ("reuse", [])):
        events = [event async for event in rag.stream("a heart", cache=cache)]
        assert [(event.progress.step, event.progress.of) for event in events if event.progress] == expected


async def test_events_that_tell_a_step_come_when_it_is_kept(server: MockOpenAIServer, tmp_path: Path) -> None:
    rag = rag_at(server, tmp_path, ["a heart"])
    events = rag.stream("a heart", run_id="left", partial_images=1)
    async for event in events:
        if kind_of(event) == "step generate":
            break
    await events.aclose()
    record = await rag.runs.get("left")
    assert (record.outcome, len(record.attempts)) == (Outcome.CANCELLED, 1)


def test_on_the_command_line(imagerag: Imagerag, server: MockOpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "room.png").write_bytes(SUBJECT)
    (tmp_path / "mask.png").write_bytes(MASK)
    server.enqueue("images.edit", MockResponse(images=(sample_image("done"),), partials=(sample_image("half"),)))
    asked = ["generate", KNOWN, "--generator", f"openai:gpt-image-2@{server.base_url}", "--max-rounds", 0]
    asked += ["--subject", "room=room.png", "--mask", "mask.png", "--partial-images", 1]
    assert imagerag(*asked, "--dry-run").exit_code == 0
    assert server.count() == 0
    result = imagerag(*asked, "--json")
    assert document(result)["attempts"][0]["references"][0]["mask"]["width"] == 64
    told = [line for line in result.stderr.splitlines() if "unfinished image" in line]
    assert len(told) == 1
    assert "unfinished image 1 of 1" in told[0]
    assert Path(told[0].partition(": ")[2]).read_bytes() == sample_image("half")
    assert server.of("images.edit")[0].images[-1].data == MASK
    server.enqueue("images.edit", MockResponse(images=(sample_image("again"),), partials=(sample_image("half"),)))
    events = [json.loads(line) for line in imagerag(*asked, "--jsonl", "--quiet").stdout.splitlines()]
    assert [event["kind"] for event in events[:3]] == ["started", "progress", "step"]


def test_a_mask_that_cannot_be_used_is_one_line(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / "room.png").write_bytes(SUBJECT)
    (tmp_path / "mask.png").write_bytes(MASK)
    for more in ([], ["--dry-run"]):
        result = imagerag("generate", KNOWN, "--subject", "room.png", "--mask", "mask.png", *more)
        assert result.exit_code == 2
        assert "takes no mask" in one_line(result)
    assert imagerag("generate", KNOWN, "--partial-images", 4).exit_code == 2
