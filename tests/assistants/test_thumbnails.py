"""A small copy always fits, and still shows the picture."""

import base64
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag import UsageError
from imagerag.assistants.image_blocks import MAX_ENCODED, thumbnail


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """The picture that compresses worst."""
    bands = len(mode)
    return Image.frombytes(mode, (width, height), random.Random(0).randbytes(width * height * bands))


def encoded(picture: Image.Image, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()


@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    mode=st.sampled_from(["RGB", "RGBA", "L"]),
    side=st.integers(64, 1024),
)
@settings(max_examples=20, deadline=None)
def test_any_picture_fits(width: int, height: int, mode: str, side: int) -> None:
    small = thumbnail(encoded(noise(width, height, mode)), side)
    assert len(base64.b64encode(small.data)) <= MAX_ENCODED
    with Image.open(io.BytesIO(small.data)) as shown:
        assert shown.size == (small.width, small.height)
        assert max(shown.size) <= side
        assert shown.get_format_mimetype() == small.media_type


@pytest.mark.parametrize(("width", "height"), [(3000, 10), (10, 3000), (2500, 2500)])
def test_large_and_long_ones_too(width: int, height: int) -> None:
    small = thumbnail(encoded(noise(width, height), "JPEG"), 1024)
    assert len(base64.b64encode(small.data)) <= MAX_ENCODED


def test_a_drawing_stays_exact_and_what_is_transparent_is_white() -> None:
    drawing = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    drawing.paste((200, 30, 30, 255), (50, 50, 100, 100))
    small = thumbnail(encoded(drawing))
    with Image.open(io.BytesIO(small.data)) as shown:
        assert small.media_type == "image/png"
        assert (shown.getpixel((75, 75)), shown.getpixel((5, 5))) == ((200, 30, 30), (255, 255, 255))


def test_it_stands_upright() -> None:
    lying = Image.new("RGB", (40, 20), "red")
    exif = lying.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    lying.save(out, "JPEG", exif=exif)
    assert (thumbnail(out.getvalue()).width, thumbnail(out.getvalue()).height) == (20, 40)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="not an image"):
        thumbnail(b"GIF89a and then nothing")
