"""The one decoder: what a picture looks like does not depend on how its file keeps it."""

import ast
import io
import re
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from imagerag.agent.errors import UsageError
from imagerag.agent.images import formats
from imagerag.agent.images.decoding import MAX_PIXELS, decode, open_rgb
from imagerag.agent.images.encoding import encode_for_model
from imagerag.agent.images.formats import looks_like_an_image
from imagerag.agent.images.pixel_modes import eight_bit, opaque

ROOT = Path(__file__).parents[3]
DECODERS = ("imagerag/agent/images/decoding.py", "imagerag/agent/images/pixel_modes.py")
RAMP = np.linspace(0, 65535, 256).round().astype(np.uint16)[None, :].repeat(8, 0)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def pixel(data: bytes, x: int = 0, y: int = 0) -> Any:
    return decode(data).image.getpixel((x, y))


def png_with(*chunks: tuple[bytes, bytes], image: Image.Image | None = None, broken_sum: bool = False) -> bytes:
    """A PNG with these chunks after its header."""
    plain = encoded(image or Image.new("RGB", (8, 4), (200, 30, 40)))
    more = b""
    for name, body in chunks:
        check = zlib.crc32(name + body) ^ broken_sum
        more += struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)
    return plain[:33] + more + plain[33:]


def exif(orientation: Any, kind: int = 3, order: str = "<") -> bytes:
    """A TIFF header with one tag, the orientation, of this type."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IHHHI", 8, 1, 0x0112, kind, 1) + orientation + b"\0" * 8


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_of_grey_are_scaled_and_not_clipped(form: str) -> None:
    image = Image.fromarray(RAMP)
    shown = np.asarray(open_rgb(encoded(image, form)))
    assert np.abs(shown[0, :, 0].astype(int) - np.arange(256)).max() <= 1
    assert (shown[0, 0].tolist(), shown[0, -1].tolist()) == ([0, 0, 0], [255, 255, 255])


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bits_in_either_order_of_bytes(mode: str) -> None:
    order = ">u2" if mode == "I;16B" else "<u2"
    image = Image.frombytes(mode, (256, 8), RAMP.astype(order).tobytes())
    assert np.asarray(eight_bit(image))[0, 128].tolist() == [128, 128, 128]


def test_12_bits_fill_the_range_of_12_bits() -> None:
    data = b"".join(bytes([0xFF, 0xFF, 0xFF]) for _ in range(4))  # four times two samples of 4095
    tags = [(256, 4, 8), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (279, 4, 12)]
    body = b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        body += struct.pack("<HHII", tag, kind, 1, value)
    assert pixel(body + b"\0" * 4) == (255, 255, 255)


def test_where_zero_is_white_16_bits_are_turned_around() -> None:
    data = encoded(Image.fromarray(np.full((4, 8), 65535, np.uint16)), "TIFF", tiffinfo={262: 0})
    assert pixel(data) in {(0, 0, 0), (255, 255, 255)}
    raw = bytearray(encoded(Image.fromarray(np.full((4, 8), 65535, np.uint16)), "TIFF"))
    at = raw.index(struct.pack("<HHI", 262, 3, 1))
    raw[at + 8 : at + 10] = b"\0\0"
    assert pixel(bytes(raw)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 500_000, 1_000_000]], np.int32), [0, 128, 255]),
        (np.array([[-1000, 0, 1000]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 127.6, 255]], np.float32), [0, 128, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, np.nan, 1]], np.float32), [0, 0, 255]),
        (np.array([[-5, -5, -5]], np.float32), [128, 128, 128]),
    ],
)  # fmt: skip
def test_integers_and_fractions_are_scaled_to_what_they_hold(values: Any, expected: list[int]) -> None:
    data = encoded(Image.fromarray(values), "TIFF")
    assert np.abs(np.array([pixel(data, x)[0] for x in range(3)]) - expected).max() <= 1


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("LA", (77, 0), (255, 255, 255)),
        ("La", (77, 255), (77, 77, 77)),
        ("RGBA", (9, 9, 9, 0), (255, 255, 255)),
        ("RGBa", (50, 20, 10, 255), (50, 20, 10)),
        ("RGBX", (50, 20, 10, 0), (50, 20, 10)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (76, 85, 255), (254, 0, 0)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("LAB", (255, 0, 0), (255, 255, 255)),
        ("I;16", 32768, (128, 128, 128)),
        ("I", 65535, (255, 255, 255)),
        ("F", 1.0, (255, 255, 255)),
    ],
)
def test_every_mode_shows_its_colour(mode: str, colour: Any, expected: tuple[int, int, int]) -> None:
    if mode == "LAB":  # a and b are kept shifted
        colour = (255, 128, 128)
    shown = opaque(Image.new(mode, (4, 4), colour)).getpixel((1, 1))
    assert isinstance(shown, tuple)
    assert max(abs(a - b) for a, b in zip(shown, expected, strict=True)) <= 2


def test_palettes_with_transparency() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 30, 40])
    assert pixel(encoded(palette, transparency=1))[3] == 0
    assert pixel(encoded(palette, transparency=b"\xff\x80")) == (200, 30, 40, 128)
    assert opaque(palette.convert("PA")).getpixel((0, 0)) == (200, 30, 40)


def test_the_transparent_value_of_16_bits() -> None:
    grey = png_with((b"tRNS", struct.pack(">H", 0)), image=Image.fromarray(RAMP))
    assert (pixel(grey)[3], pixel(grey, 255)[3]) == (0, 255)
    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    deep = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [
            (b"IHDR", header), (b"tRNS", struct.pack(">3H", 0xFFFF, 0x8000, 0)),
            (b"IDAT", zlib.compress(b"\0" + struct.pack(">3H", 0xFFFF, 0x8000, 0))), (b"IEND", b""),
        ]
    )  # fmt: skip
    assert pixel(deep)[3] == 0


def test_an_inverted_cmyk_jpeg_of_adobe_is_not_a_negative() -> None:
    shown = pixel(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert shown[0] > 200 > 60 > max(shown[1:])


def test_a_colour_profile_is_applied_and_a_broken_one_left_out() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    red = Image.new("RGB", (8, 4), (200, 30, 40))
    for profile in (b"no profile", lab, lab[:60]):
        assert pixel(encoded(red, icc_profile=profile)) == (200, 30, 40)
    assert "icc_profile" not in decode(encoded(red, icc_profile=lab)).image.info


def swapped_profile() -> bytes:
    """sRGB with the colorants of red and blue exchanged, under another name."""
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", raw[128:132])[0]
    tags = {bytes(raw[132 + 12 * n : 136 + 12 * n]): 132 + 12 * n for n in range(count)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    raw[red + 4 : red + 12], raw[blue + 4 : blue + 12] = raw[blue + 4 : blue + 12], raw[red + 4 : red + 12]
    return bytes(raw).replace("sRGB".encode("utf-16-be"), "Mine".encode("utf-16-be")).replace(b"sRGB", b"Mine")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_foreign_colour_profile_decides_the_colours(form: str) -> None:
    data = encoded(Image.new("RGB", (16, 16), (250, 5, 5)), form, icc_profile=swapped_profile())
    assert pixel(data)[2] > 200 > 60 > pixel(data)[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_stands_upright(form: str, orientation: int) -> None:
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10).convert("RGB").resize((48, 32), 0)
    tags = Image.Exif()
    tags[0x0112] = orientation
    data = encoded(image, form, exif=tags)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    found = decode(data)
    assert found.image.convert("RGB").tobytes() == expected.tobytes()
    assert (found.width, found.height) == expected.size
    assert found.plain == (orientation == 1 or form == "TIFF")


JUNK = [
    b"",
    b"junk",
    b"II*\0",
    b"II*\0\xff\xff\xff\xff",
    b"Exif\0\0MM",
    exif(b"\x08\0\0\0", 5),
    exif(b"\x63\0"),
    exif(b"no", 2),
]


@pytest.mark.parametrize("junk", [*JUNK, b"\xff" * 300])
def test_exif_that_cannot_be_read_means_none(junk: bytes) -> None:
    assert pixel(png_with((b"eXIf", junk))) == (200, 30, 40)
    assert pixel(png_with((b"eXIf", junk), broken_sum=True)) == (200, 30, 40)
    jpeg = encoded(Image.new("RGB", (8, 4), (200, 30, 40)), "JPEG")
    segment = b"Exif\0\0" + junk
    data = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    assert decode(data).width == 8
    assert encode_for_model(data)[1] in ("image/jpeg", "image/png")


@pytest.mark.parametrize("kind", [1, 2, 4, 5, 7, 12, 99])
@pytest.mark.parametrize("value", [b"\0\0\0\0", b"\x08\0\0\0", b"\xff\xff\xff\xff", b"\x06\0\0\0"])
def test_a_tiff_whose_orientation_is_of_another_kind(kind: int, value: bytes) -> None:
    raw = bytearray(encoded(Image.new("RGB", (8, 4), (200, 30, 40)), "TIFF", tiffinfo={274: 3}))
    at = raw.index(struct.pack("<HHI", 274, 3, 1))
    raw[at + 2 : at + 12] = struct.pack("<HI", kind, 1) + value
    assert pixel(bytes(raw)) == (200, 30, 40)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"tEXt", b"XML:com.adobe.xmp\0<x:xmpmeta" + b"<" * 100),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0\xff\xfe not xml"),
        (b"iTXt", b"no end"),
        (b"zTXt", lambda: b"Comment\0\0" + zlib.compress(bytes(70 * 2**20))),
        (b"zTXt", b"Comment\0\0not deflated"),
        (b"iCCP", b"name\0\0not deflated"),
        (b"iCCP", b"no end"),
        (b"pHYs", b"\0"),
        (b"gAMA", b""),
        (b"cHRM", b"\0" * 3),
        (b"acTL", b"\0"),
    ],
)
def test_no_chunk_beside_the_pixels_makes_a_png_unreadable(name: bytes, body: bytes | Callable[[], bytes]) -> None:
    assert pixel(png_with((name, body() if callable(body) else body))) == (200, 30, 40)


@pytest.mark.parametrize("marker", [*range(0xE0, 0xF0), 0xFE])
@pytest.mark.parametrize(
    "junk", [b"", b"\0", b"MPF\0II*\0\xff\xff", b"ICC_PROFILE\0\0\0", b"Photoshop 3.0\0" + b"8BIM", b"\xff" * 40]
)
def test_no_segment_before_the_pixels_makes_a_jpeg_unreadable(marker: int, junk: bytes) -> None:
    jpeg = encoded(Image.new("RGB", (16, 8), (200, 30, 40)), "JPEG")
    data = jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(junk) + 2) + junk + jpeg[2:]
    found = decode(data)
    assert (found.width, found.height) == (16, 8)


def test_metadata_of_a_webp_that_is_junk() -> None:
    red = Image.new("RGB", (8, 4), (200, 30, 40))
    data = encoded(red, "WEBP", lossless=True, exif=b"junk", xmp=b"\xff<", icc_profile=b"no")
    assert pixel(data) == (200, 30, 40)
    assert not decode(data).plain


def test_what_models_would_misread_is_encoded_anew() -> None:
    grey = Image.fromarray(RAMP)
    for data in (encoded(grey), encoded(grey, "TIFF"), encoded(Image.new("CMYK", (8, 8)), "JPEG")):
        found, media_type = encode_for_model(data)
        again = decode(found)
        assert (media_type, again.plain) == ("image/png", True)
        assert again.image.tobytes() == decode(data).image.tobytes()


def test_a_large_photo_for_models_stays_small_enough_to_be_sent() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    turned = encoded(Image.effect_noise((2400, 1800), 60).convert("RGB"), "JPEG", exif=tags)
    data, media_type = encode_for_model(turned)
    assert (media_type, decode(data).image.size) == ("image/jpeg", (1800, 2400))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_format_is_told_by_its_first_bytes_and_read(form: str) -> None:
    more: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (8, 4))]} if form == "MPO" else {}
    data = encoded(Image.new("RGB", (8, 4), (200, 30, 40)), form, **more)
    assert looks_like_an_image(data)
    found = decode(data)
    assert (found.width, found.animated) == (8, False)
    assert max(abs(a - b) for a, b in zip(found.image.getpixel((2, 2)), (200, 30, 40), strict=True)) < 12
    assert found.for_every_viewer == (form in ("PNG", "JPEG", "MPO", "WEBP", "GIF"))


def test_an_ordinary_photo_of_50_megapixels_is_read() -> None:
    assert MAX_PIXELS > 8160 * 6144
    data = encoded(Image.new("L", (8160, 6144), 90), "JPEG", quality=30)
    assert open_rgb(data, side=224).getpixel((5, 5)) in {(90, 90, 90), (91, 91, 91)}
    assert (decode(data, side=224).width, decode(data, side=224).height) == (8160, 6144)


def test_heic_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"reading HEIC files needs an optional part: pip install 'imagerag\[heic\]'"):
        decode(b"\0\0\0\x18ftypheic" + bytes(40))


CALLS: dict[str, Callable[[ast.Call], bool]] = {
    "Image.open": lambda call: ast.unparse(call.func) in ("Image.open", "Images.open", "PIL.Image.open", "load_image"),
    "exif_transpose": lambda call: ast.unparse(call.func).endswith("exif_transpose"),
    "convert": lambda call: (
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "convert"
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value in ("RGB", "RGBA", "L")
    ),
}


NAMED = re.compile(r"\bImages?\b(?s:.*)\bopen\b|\bload_image\b|exif_transpose\b|\bconvert\b")
"""A file without these words makes none of the calls: it need not be parsed, which takes most of the time."""


@cache
def calls_elsewhere() -> list[tuple[str, ast.Call]]:
    """All calls in the package that may be of those, but the ones of the decoders, each with its place."""
    files = [path for path in (ROOT / "imagerag").rglob("*.py") if path.relative_to(ROOT).as_posix() not in DECODERS]
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in sorted(files)
        if NAMED.search(text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("what", CALLS)
def test_nothing_else_decodes(what: str) -> None:
    assert [place for place, call in calls_elsewhere() if CALLS[what](call)] == []


def test_image_open_is_not_brought_in_by_another_name() -> None:
    for path in (ROOT / "imagerag").rglob("*.py"):
        assert "from PIL.Image import open" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(64, 48), (65, 33)])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_read_and_one_that_lacks_more_is_not(
    progressive: bool, size: tuple[int, int]
) -> None:
    chance = np.random.default_rng(3).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    image = Image.fromarray(chance).resize(size, Image.Resampling.BICUBIC)
    tags = Image.Exif()
    tags[0x0112] = 6
    data = encoded(image, "JPEG", quality=90, progressive=progressive, exif=tags)
    whole = decode(data)
    for lost in (1, 2):
        cut = decode(data[:-lost])
        assert np.array_equal(np.asarray(cut.image), np.asarray(whole.image))
        assert (cut.width, cut.height) == (whole.width, whole.height) == size[::-1]
        assert not cut.plain, "a model gets it written anew"
        assert np.array_equal(np.asarray(open_rgb(encode_for_model(data[:-lost])[0])), np.asarray(whole.image))
    for lost in (3, 4, 5, 10, 50, len(data) // 3, len(data) // 2):
        with pytest.raises(UsageError, match="cut short"):
            decode(data[:-lost])


def test_a_progressive_jpeg_that_ends_between_two_scans_is_refused() -> None:
    image = Image.fromarray(np.random.default_rng(3).integers(0, 255, (32, 48, 3), dtype=np.uint8))
    data = encoded(image.resize((96, 64)), "JPEG", quality=80, progressive=True)
    scans = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]
    tables = [at for at in range(scans[0], len(data) - 1) if data[at : at + 2] == b"\xff\xc4"]
    assert len(scans) > 5
    for end in (*scans[1:], *tables):
        with pytest.raises(UsageError):
            decode(data[:end])
