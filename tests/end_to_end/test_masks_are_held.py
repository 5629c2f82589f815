"""Outside its mask an edited picture stays as it was, whatever the service gives back."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag import ImageRAG, RunRecord
from imagerag.agent.images.decoding import decode
from imagerag.agent.images.encoding import png
from imagerag.agent.images.mask_compositing import composite_mask
from imagerag.tools.testing.fakes import ScriptedJudge
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def mask_of(width: int, height: int, alpha: int = 0) -> Image.Image:
    """The left half may change."""
    made = Image.new("RGBA", (width, height), "white")
    made.paste((0, 0, 0, alpha), (0, 0, width // 2, height))
    return made


def file(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


ROOM = noise(64, 48)
REDRAWN = noise(64, 48, seed=9)


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as loopback:
        yield loopback


async def edited(server: MockOpenAIServer, home: Path, answer: bytes, **options: Any) -> tuple[ImageRAG, RunRecord]:
    rag = ImageRAG(
        preset="sketch", generator=f"openai:gpt-image-2@{server.base_url}", judge="mine", library="sketch", home=home
    )
    rag.dependencies.use("judge", "mine", ScriptedJudge([]))
    server.enqueue("images.edit", MockResponse(images=(answer,)))
    subjects = [("room", file(ROOM))]
    return rag, await rag.generate("a heart", subjects=subjects, mask=file(mask_of(64, 48)), **options)


def halves(data: bytes) -> tuple[Any, Any]:
    pixels = np.asarray(decode(data).image.convert("RGB"))
    return pixels[:, : pixels.shape[1] // 2], pixels[:, pixels.shape[1] // 2 :]


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
async def test_a_server_that_redraws_everything_changes_only_what_is_masked(
    server: MockOpenAIServer, home: Path, form: str
) -> None:
    answer = file(REDRAWN, form, **({"lossless": True} if form == "WEBP" else {}))
    rag, record = await edited(server, home, answer)
    assert record.image is not None
    inside, outside = halves(await rag.runs.image_bytes(record.image.sha256))
    assert (inside == np.asarray(REDRAWN)[:, :32]).all()
    assert (outside == np.asarray(ROOM)[:, 32:]).all()
    attempt = record.attempts[0]
    assert attempt.mask is not None
    assert (attempt.mask.held, attempt.mask.changed_outside > 0.9) == (True, True)
    assert attempt.original is not None
    assert await rag.runs.image_bytes(attempt.original.sha256) == answer
    assert "and that was put back" in await rag.runs.report(record)


async def test_a_server_that_kept_to_the_mask_is_taken_at_its_word(server: MockOpenAIServer, home: Path) -> None:
    kept = ROOM.copy()
    kept.paste(REDRAWN.crop((0, 0, 32, 48)), (0, 0))
    answer = file(kept)
    rag, record = await edited(server, home, answer)
    attempt = record.attempts[0]
    assert attempt.mask is not None
    assert (attempt.mask.held, attempt.mask.changed_outside, attempt.original) == (True, 0.0, None)
    assert await rag.runs.image_bytes(attempt.image.sha256) == answer


async def test_another_size_of_the_same_shape_is_brought_to_the_pictures(server: MockOpenAIServer, home: Path) -> None:
    rag, record = await edited(server, home, file(REDRAWN.resize((128, 96), 0)))
    attempt = record.attempts[0]
    assert attempt.mask is not None
    assert (attempt.mask.held, attempt.mask.drawn) == (True, "128x96")
    assert (attempt.image.width, attempt.image.height) == (64, 48)
    assert (halves(await rag.runs.image_bytes(attempt.image.sha256))[1] == np.asarray(ROOM)[:, 32:]).all()


async def test_a_size_that_was_asked_for_is_given(server: MockOpenAIServer, home: Path) -> None:
    _, record = await edited(server, home, file(REDRAWN.resize((1024, 768), 0)), size="1024x768")
    attempt = record.attempts[0]
    assert attempt.mask is not None
    assert (attempt.mask.held, attempt.image.width, attempt.image.height) == (True, 1024, 768)


@pytest.mark.parametrize(("drawn", "size"), [((1344, 1008), None), ((1376, 1008), None), ((1056, 800), "1056x800")])
async def test_a_shape_that_a_service_rounded_is_held_in_the_pictures_own(
    server: MockOpenAIServer, home: Path, drawn: tuple[int, int], size: str | None
) -> None:
    rag, record = await edited(server, home, file(REDRAWN.resize(drawn, 0)), size=size)
    attempt = record.attempts[0]
    assert attempt.mask is not None
    assert attempt.mask.held
    assert (attempt.image.width, attempt.image.height) == ((1056, 792) if size else (64, 48))
    if size is None:
        assert (halves(await rag.runs.image_bytes(attempt.image.sha256))[1] == np.asarray(ROOM)[:, 32:]).all()


async def test_another_shape_cannot_be_held_and_is_said(server: MockOpenAIServer, home: Path) -> None:
    answer = file(noise(64, 64, seed=5))
    rag, record = await edited(server, home, answer)
    attempt = record.attempts[0]
    assert attempt.mask is not None
    assert not attempt.mask.held
    assert attempt.mask.changed_outside > 0.9
    assert "64x64 pixels were drawn, the image has 64x48" in attempt.mask.reason
    assert await rag.runs.image_bytes(attempt.image.sha256) == answer
    assert any("the mask is not held" in step and "`size=" in step for step in record.next_steps)
    assert "The mask is not held" in await rag.runs.report(record)


async def test_a_feathered_edge_fades_inwards_only(server: MockOpenAIServer, home: Path) -> None:
    rag, record = await edited(server, home, file(REDRAWN), mask_feather=4)
    inside, outside = halves(await rag.runs.image_bytes(record.attempts[0].image.sha256))
    assert (outside == np.asarray(ROOM)[:, 32:]).all()
    assert (inside[:, -1] != np.asarray(REDRAWN)[:, 31]).any()
    assert (inside[:, 0] == np.asarray(REDRAWN)[:, 0]).all()


async def test_a_subject_that_only_exif_turns_is_held_upright(server: MockOpenAIServer, home: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    turned = file(ROOM.transpose(Image.Transpose.ROTATE_90), exif=tags)
    drawing = f"openai:gpt-image-2@{server.base_url}"
    rag = ImageRAG(preset="sketch", generator=drawing, judge="mine", library="sketch", home=home)
    rag.dependencies.use("judge", "mine", ScriptedJudge([]))
    server.enqueue("images.edit", MockResponse(images=(file(REDRAWN),)))
    record = await rag.generate("a heart", subjects=[turned], mask=file(mask_of(64, 48)))
    assert (halves(await rag.runs.image_bytes(record.attempts[0].image.sha256))[1] == np.asarray(ROOM)[:, 32:]).all()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 24), st.integers(1, 24), st.integers(0, 255), st.integers(0, 6), st.integers(1, 3),
    st.sampled_from(["RGB", "RGBA", "L"]), st.sampled_from(["RGB", "RGBA", "L", "LA"]),
)  # fmt: skip
def test_what_is_opaque_in_the_mask_is_the_picture(
    width: int, height: int, alpha: int, feather: int, times: int, drawn_mode: str, mode: str
) -> None:
    picture = noise(width, height).convert(mode)
    drawn = noise(width * times, height * times, seed=3).convert(drawn_mode)
    mask = mask_of(width, height, alpha)
    found = composite_mask(png(drawn), png(picture), png(mask), feather=feather)
    assert found.check.held
    if found.data is not None:
        expected, got = (np.asarray(decode(data).image.convert("RGB")) for data in (png(picture), found.data))
        assert (got[:, width // 2 :] == expected[:, width // 2 :]).all()
