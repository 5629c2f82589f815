"""The difference of two images of any sizes."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.images.difference import MARK, MAX_SIDE, image_difference
from imagerag.agent.images.encoding import png

RED, BLUE = (255, 0, 0), (0, 0, 255)


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (40, 20), form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def shown(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_equal_images_do_not_differ() -> None:
    found = image_difference(plain(RED), plain(RED, form="BMP"))
    assert found.share == 0
    assert MARK not in {colour for _, colour in shown(found.image).getcolors() or []}


def test_half_of_an_image_that_differs_is_shown_where_it_is() -> None:
    half = Image.new("RGB", (40, 20), RED)
    half.paste(BLUE, (0, 0, 20, 20))
    found = image_difference(plain(RED), png(half))
    image = shown(found.image)
    assert found.share == 0.5
    assert (image.size, image.getpixel((5, 5)), image.getpixel((35, 5)) != MARK) == ((40, 20), MARK, True)


def test_what_encoding_does_to_an_image_is_no_difference() -> None:
    assert image_difference(plain(RED), plain(RED, form="JPEG")).share == 0


def test_another_size_of_the_same_shape_is_laid_on_it() -> None:
    assert image_difference(plain(RED, (40, 20)), plain(RED, (83, 41))).share == 0


def test_what_an_image_of_another_shape_does_not_cover_differs() -> None:
    assert image_difference(plain(RED, (40, 20)), plain(RED, (20, 20))).share == 0.5


def test_a_large_image_is_compared_smaller() -> None:
    found = image_difference(plain(RED, (MAX_SIDE * 2, 8)), plain(BLUE, (8, 8)))
    assert (max(shown(found.image).size), found.share) == (MAX_SIDE, 1.0)


@given(
    first=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    second=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_any_two_sizes_have_a_difference(first: tuple[int, int], second: tuple[int, int]) -> None:
    found = image_difference(plain(RED, first), plain(BLUE, second))
    assert found.share == 1.0
    assert shown(found.image).size == first


async def test_images_of_runs_are_named_by_their_hash(tmp_path) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path)
    one = await rag.dependencies.blobs.put(plain(RED))
    assert (await rag.runs.image_difference(one.sha256, plain(BLUE))).share == 1.0
    with pytest.raises(BlobError):
        await rag.runs.image_difference(one.sha256, "0" * 64)
    with pytest.raises(UsageError):
        await rag.runs.image_difference(one.sha256, b"no image")
