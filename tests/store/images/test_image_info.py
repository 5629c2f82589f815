"""What is taken for an image, and what is refused with a reason."""

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.images.encoding import encode_for_model
from imagerag.store.images.image_info import image_info, inspect


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif"),
        ("BMP", "image/bmp"), ("TIFF", "image/tiff"),
    ],
)  # fmt: skip
def test_format_is_told_from_content(picture, form, media_type):
    data = picture("green", form=form, size=(30, 20))
    found = image_info(data)
    assert (found.image.media_type, found.image.width, found.image.height) == (media_type, 30, 20)
    assert Image.open(io.BytesIO(found.thumbnail)).format == "WEBP"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.97])
def test_truncated_is_refused(form, share):
    out = io.BytesIO()
    Image.effect_noise((64, 48), 90).convert("RGB").save(out, form)
    data = out.getvalue()
    with pytest.raises(UsageError, match=r"cut short|not an image"):
        inspect(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not an image"),
        (b"%PDF-1.7", "not an image"),
        (b"\0" * (MAX_BYTES + 1), "64 MB"),
    ],
    ids=["empty", "html", "pdf", "big"],
)
def test_reasons(data, reason):
    with pytest.raises(UsageError, match=reason):
        inspect(data)


@pytest.mark.parametrize("side", [14_500, 60_000])
def test_too_many_pixels_are_refused_without_decoding(side):
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(UsageError, match="200 megapixels"):
        inspect(data)


def test_exif_orientation_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(out, "JPEG", exif=exif)
    found = inspect(out.getvalue())
    assert (found.width, found.height) == (20, 40)
    upright, media_type = encode_for_model(out.getvalue())
    assert media_type == "image/png"
    assert Image.open(io.BytesIO(upright)).size == (20, 40)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_has_a_thumbnail_and_a_form_for_models(mode):
    out = io.BytesIO()
    Image.new(mode, (600, 10)).save(out, "TIFF")
    assert Image.open(io.BytesIO(image_info(out.getvalue()).thumbnail)).width == 256
    assert encode_for_model(out.getvalue())[1] == "image/png"


def test_what_models_take_passes_untouched(picture):
    data = picture("blue", form="WEBP")
    assert encode_for_model(data) == (data, "image/webp")


def test_animation_counts_as_its_first_frame():
    frames = [Image.new("RGB", (12, 8), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    png, _ = encode_for_model(out.getvalue())
    assert Image.open(io.BytesIO(png)).convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0"]),
)
def test_no_bytes_raise_anything_else(noise, head):
    with contextlib.suppress(UsageError):
        assert inspect(head + noise).width > 0
