"""The Python door, as a program uses it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG, Outcome, RunStateError, UsageError
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image

CAPTION = "a detailed picture of a heart"


@pytest.fixture
def rag(tmp_path: Path) -> ImageRAG:
    """On fakes, in a home of its own."""
    made = ImageRAG(preset="sketch", generator="mine", judge="mine", library="mine", home=tmp_path / "home")
    library = ScriptedLibrary()
    library.plant(CAPTION, title="Heart 1")
    made.dependencies.use("generator", "mine", ScriptedGenerator())
    made.dependencies.use("judge", "mine", ScriptedJudge(["a heart"], [], []))
    made.dependencies.use("library", "mine", library)
    return made


def test_without_a_loop(rag: ImageRAG) -> None:
    run = rag.generate_sync("a heart")
    assert (run.outcome, len(run.attempts)) == (Outcome.ALIGNED, 2)


async def test_inside_a_loop_too(rag: ImageRAG) -> None:
    assert rag.generate_sync("a heart").outcome is Outcome.ALIGNED
    assert (await rag.generate("a star")).outcome is Outcome.ALIGNED


async def test_following_and_saving(rag: ImageRAG, tmp_path: Path) -> None:
    events = [event async for event in rag.stream("a heart")]
    assert [event.node for event in events if event.node][:2] == ["generate", "critique"]
    record = events[-1].record
    assert record is not None
    saved = await rag.runs.save(record, tmp_path / "heart.png")
    assert saved.image is not None
    assert saved.image.path == str(tmp_path / "heart.png")
    assert (tmp_path / "heart.png").read_bytes() == await rag.runs.image_bytes(saved.image.sha256)
    sidecar = json.loads((tmp_path / "heart.png.json").read_text())
    assert [(used["title"], used["licence"]) for used in sidecar["references"]] == [("Heart 1", "CC0-1.0")]
    await rag.runs.save(record, tmp_path / "heart.jpg")
    assert (tmp_path / "heart.jpg").read_bytes().startswith(b"\xff\xd8"), "converted to what its name says"
    with pytest.raises(UsageError, match=r"heart\.tiff: an image's file ends in"):
        await rag.runs.save(record, tmp_path / "heart.tiff")


async def test_choosing_by_hand(rag: ImageRAG) -> None:
    waiting = await rag.generate("a heart", select=True)
    assert waiting.status == "interrupted"
    with pytest.raises(RunStateError):
        await rag.runs.resume(waiting.run_id)
    done = await rag.runs.resume(waiting.run_id[:-2], choose=[1])
    assert (done.outcome, done.references[0].selected_by) == (Outcome.ALIGNED, "by_hand")


async def test_images_of_ones_own(rag: ImageRAG, tmp_path: Path) -> None:
    (tmp_path / "dog.png").write_bytes(sample_image("dog"))
    run = await rag.generate(
        "my dog and a heart", subjects=[("my dog", tmp_path / "dog.png")], initial_image=sample_image("x")
    )
    assert run.attempts[0].origin == "handed_in"
    assert [(used.role, used.concept) for used in run.attempts[1].references] == [
        ("subject", "my dog"),
        ("reference", "a heart"),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_rounds": 21}, "max_rounds"),
        ({"max_rounds": -1}, "max_rounds"),
        ({"max_references": 0}, "max_references"),
        ({"threshold": 2.0}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"size": "big"}, "WIDTHxHEIGHT"),
        ({"size": (0, 0)}, "WIDTHxHEIGHT"),
        ({"seed": -1}, "seed"),
        ({"max_calls": 0}, "max_calls"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"judge_mode": "guess"}, "judge_mode"),
        ({"initial_image": b"no image"}, "image"),
        ({"initial_image": 3}, "initial_image: it has to be text, a path or bytes, not 3"),
        ({"subjects": ["/nowhere.png"]}, "/nowhere.png"),
        ({"subjects": "mug.png"}, "subjects: it has to be a list, not 'mug.png'"),
        ({"subjects": [None]}, r"subjects\[0\]: it has to be text, a path"),
        ({"run_id": "../x"}, "run id"),
    ],
)
async def test_what_cannot_be_is_said_before_anything_is_drawn(
    rag: ImageRAG, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        await rag.generate("a heart", **options)
    assert await rag.runs.list() == []


@pytest.mark.parametrize("prompt", [None, 3, b"a heart", ["a heart"]])
async def test_a_prompt_that_is_no_text_is_refused(rag: ImageRAG, prompt: Any) -> None:
    for call in (rag.generate, rag.estimate, rag.ask):
        with pytest.raises(UsageError, match="has to be text, not"):
            await call(prompt)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"library": "nosuch"}, "no library 'nosuch'"),
        ({"initial_image": "/nowhere.png"}, "/nowhere.png"),
        ({"subjects": [b"no image"]}, "not an image"),
        ({"edit": "/nowhere.png"}, "/nowhere.png"),
        ({"edit_library": "abc"}, "'abc' is no id of an image"),
    ],
)
async def test_an_estimate_refuses_what_a_run_refuses(rag: ImageRAG, options: dict[str, Any], words: str) -> None:
    for call in (rag.estimate, rag.generate):
        with pytest.raises(UsageError, match=words):
            await call("a heart", **options)


@pytest.mark.parametrize(("filter", "words"), [("nosuch=1", "no key 'nosuch'"), ("width=wide", "is not a number")])
async def test_an_estimate_refuses_a_filter_that_the_library_cannot_be_asked(
    home: Path, filter: str, words: str
) -> None:
    rag = ImageRAG(preset="sketch", home=home)
    for call in (rag.estimate, rag.generate):
        with pytest.raises(UsageError, match=words):
            await call("a heart", filter=filter)


async def test_a_step_that_is_no_number_is_refused_in_words(rag: ImageRAG) -> None:
    run = await rag.generate("a heart")
    with pytest.raises(UsageError, match="step: it has to be a whole number, not 'critique'"):
        await rag.runs.replay(run.run_id, "critique")  # type: ignore[arg-type]


async def test_a_program_that_stops_listening_stops_the_spending(rag: ImageRAG) -> None:
    async def first_drawing() -> str:
        async for event in rag.stream("a heart"):
            if event.node == "generate":
                return event.run_id
        raise AssertionError("nothing was drawn")

    run_id = await first_drawing()
    for _ in range(1200):
        if (await rag.runs.get(run_id)).outcome:
            break
        await asyncio.sleep(0.05)
    assert (await rag.runs.get(run_id)).outcome is Outcome.CANCELLED
