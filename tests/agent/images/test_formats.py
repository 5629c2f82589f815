"""Every format that Pillow decodes is read or left out with a reason; HEIC and RAW come with extras that are named."""

import contextlib
import io
import struct
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from imagerag.agent.errors import MissingExtraError, UsageError
from imagerag.agent.images import decoding, formats
from imagerag.agent.images.complexity import complexity
from imagerag.agent.images.decoding import decode, open_rgb
from imagerag.agent.images.encoding import encode_for_model
from imagerag.agent.images.formats import (
    FORMATS,
    IMAGE_SUFFIXES,
    LEFT_OUT,
    RAW_SUFFIXES,
    format_of,
    looks_like_an_image,
)
from imagerag.agent.images.tiff_directory import TiffFile
from tests import metadata_files as made

RED = (200, 30, 40)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def red(size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.new("RGB", size, RED)


def close(found: Any, wanted: tuple[int, int, int], most: int = 12) -> bool:
    return max(abs(one - other) for one, other in zip(found, wanted, strict=True)) <= most


def test_every_plugin_of_pillow_is_read_or_left_out_with_a_reason() -> None:
    Image.init()
    ours = {name for name, form in FORMATS.items() if not form.extra}
    assert set(Image.OPEN) - {"HEIF"} <= ours | set(LEFT_OUT)
    assert not set(LEFT_OUT) & set(FORMATS)
    assert all(LEFT_OUT.values())
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)
    assert {".heic", ".dng", ".jpg", ".jp2", ".tga"} <= IMAGE_SUFFIXES > RAW_SUFFIXES


WRITTEN = ("JPEG2000", "ICNS", "QOI", "DDS", "SGI", "PPM", "PCX", "ICO", "TGA", "DIB", "BLP", "XBM", "MSP")


@pytest.mark.parametrize("name", WRITTEN)
def test_every_format_that_pillow_writes_is_told_by_its_content(name: str) -> None:
    mode = {"XBM": "1", "MSP": "1", "BLP": "P"}.get(name, "RGB")
    data = encoded(red((32, 32)).convert(mode), name)
    assert format_of(data) is FORMATS[name]
    found = decode(data)
    assert found.media_type == FORMATS[name].media_type
    assert (found.animated, found.for_every_viewer, found.for_every_model) == (False, False, False)
    assert mode != "RGB" or close(found.image.getpixel((3, 3)), RED)
    assert encode_for_model(data)[1] == "image/png"


def psd() -> bytes:
    """A Photoshop file without layers: its flattened image alone."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 24, 8, 3) + bytes(12) + struct.pack(">H", 0)
    return head + b"".join(bytes([value]) * (24 * 16) for value in RED)


def sun() -> bytes:
    return struct.pack(">8I", 0x59A66A95, 24, 16, 24, 24 * 16 * 3, 1, 0, 0) + bytes(RED[::-1]) * (24 * 16)


def fits() -> bytes:
    cards = ("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    2",
             "NAXIS1  =                   24", "NAXIS2  =                   16", "END")  # fmt: skip
    return "".join(card.ljust(80) for card in cards).ljust(2880).encode() + bytes([90]) * (24 * 16)


def cursor() -> bytes:
    icon = bytearray(encoded(red(), "ICO", bitmap_format="bmp", sizes=[(24, 16)]))
    icon[2] = 2
    return bytes(icon)


XPM = b"""/* XPM */\nstatic char *x[] = {\n"2 1 1 1",\n"a c #C81E28",\n"aa"};\n"""


@pytest.mark.parametrize(
    ("name", "data", "colour"),
    [
        ("PSD", psd(), RED),
        ("SUN", sun(), RED),
        ("FITS", fits(), (90, 90, 90)),
        ("CUR", cursor(), RED),
        ("XPM", XPM, RED),
        ("PPM", b"P6 1 1 255\n" + bytes(RED), RED),
        ("PPM", b"P2\n1 1\n255\n90\n", (90, 90, 90)),
        ("TGA", encoded(red(), "TGA", compression="tga_rle"), RED),
        ("TGA", encoded(red().convert("P"), "TGA"), RED),
    ],
)
def test_formats_that_pillow_only_reads(name: str, data: bytes, colour: tuple[int, int, int]) -> None:
    assert format_of(data) is FORMATS[name]
    assert close(decode(data).image.getpixel((0, 0))[:3], colour, 30 if name == "TGA" else 12)


@pytest.mark.parametrize(
    "data",
    [
        b"Python is a language", b"P7 nothing of ours", b"", b"PK\3\4" + bytes(60), bytes(100), b"B" * 40,
        b"\x7fELF\2\1\1" + bytes(90), b'{"path": "a.png"}', b"From: ada\nTo: bo\n" * 9, b"\1\1\1" + bytes(80),
    ],
)  # fmt: skip
def test_what_is_no_image_is_not_taken_for_one(data: bytes) -> None:
    """Least of all for Targa, which has no signature."""
    assert format_of(data) is None
    with pytest.raises(UsageError):
        decode(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_telling_the_format_never_raises(data: bytes) -> None:
    format_of(data)
    looks_like_an_image(data)
    assert TiffFile(b"II*\0" + data).is_raw in (True, False)


def test_a_signature_stands_for_its_own_format() -> None:
    """What the narrow look at first bytes takes for an image is told as that format by `format_of`."""
    for name, one in FORMATS.items():
        for signature in one.signatures:
            found = format_of(signature.ljust(64, b"\0"))
            assert looks_like_an_image(signature.ljust(12, b"\0"))
            assert found is one or found is None, (name, signature)


# --- extras ---------------------------------------------------------------------------------------------------------

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


@pytest.mark.parametrize(
    ("data", "module", "extra"),
    [
        (HEIC, "pillow_heif", "heic"),
        (made.dng(made.encoded(size=(600, 400))), "rawpy", "raw"),
        (b"FUJIFILMCCD-RAW" + bytes(200), "rawpy", "raw"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(90), "rawpy", "raw"),
        (b"\0\0\0\x18ftypcrx " + bytes(90), "rawpy", "raw"),
    ],
    ids=["HEIC", "DNG", "RAF", "CR2", "CR3"],
)
def test_an_extra_that_is_missing_is_named(
    data: bytes, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == module else find_spec(name))
    with pytest.raises(MissingExtraError, match=rf"pip install 'imagerag\[{extra}\]'") as error:
        decode(data)
    assert error.value.extra == extra
    assert decode(encoded(red(), "PNG")).media_type == "image/png"


def heif(image: Image.Image, **options: Any) -> bytes:
    pytest.importorskip("pillow_heif").register_heif_opener()
    return encoded(image, "HEIF", **options)


def test_heic_is_read_upright() -> None:
    image = red((64, 48))
    image.paste((0, 0, 255), (0, 0, 64, 12))
    tags = Image.Exif()
    tags[0x0112] = 6
    image.info["exif"] = tags.tobytes()  # written as HEIC's own property, beside which EXIF's does not count
    found = decode(heif(image, quality=95))
    assert (found.media_type, found.width, found.height, found.for_every_model) == ("image/heic", 48, 64, False)
    assert close(found.image.getpixel((44, 32)), (0, 0, 255), 40)
    assert close(found.image.getpixel((8, 32)), RED, 40)
    assert encode_for_model(heif(red((64, 48))))[1] == "image/png"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_heic_that_is_cut_is_refused(share: float) -> None:
    whole = heif(Image.effect_noise((64, 48), 80).convert("RGB"))
    with pytest.raises(UsageError):
        decode(whole[: int(len(whole) * share)])


def test_avif_and_heic_share_a_container_and_are_told_apart() -> None:
    avif = encoded(red(), "AVIF")
    assert format_of(avif) is FORMATS["AVIF"]
    assert format_of(avif.replace(b"ftypavif", b"ftypmif1", 1)) is FORMATS["AVIF"]
    assert format_of(heif(red((64, 48)))) is FORMATS["HEIF"]


def test_the_first_image_of_a_sequence_is_shown() -> None:
    for form in ("AVIF", "WEBP", "PNG", "GIF"):
        data = encoded(red(), form, save_all=True, append_images=[Image.new("RGB", (24, 16), "blue")] * 2, duration=50)
        found = decode(data)
        assert found.animated, form
        assert close(found.image.getpixel((3, 3)), RED), form


def preview(size: tuple[int, int] = (600, 400), **options: Any) -> bytes:
    image = red(size)
    image.paste((0, 0, 255), (0, 0, size[0], 100))
    return encoded(image, "JPEG", quality=95, **options)


def test_a_raw_is_its_preview() -> None:
    pytest.importorskip("rawpy")
    found = decode(made.dng(preview()))
    assert (found.media_type, found.width, found.height) == ("image/x-dcraw", 600, 400)
    assert close(found.image.getpixel((300, 300)), RED)
    assert not found.for_every_model
    assert encode_for_model(made.dng(preview()))[1] == "image/png"
    assert decode(made.dng(preview((2400, 1600))), side=200).image.size == (600, 400)


def test_a_raw_stands_as_the_camera_was_held_and_its_preview_is_not_turned_twice() -> None:
    pytest.importorskip("rawpy")
    tags = Image.Exif()
    tags[0x0112] = 6
    for data in (made.dng(preview(), orientation=6), made.dng(preview(exif=tags), orientation=6)):
        found = decode(data)
        assert (found.width, found.height) == (400, 600)
        assert close(found.image.getpixel((390, 300)), (0, 0, 255), 40)


@pytest.mark.parametrize("small", [b"", made.encoded(size=(40, 30))], ids=["none", "a thumbnail"])
def test_a_raw_without_a_preview_is_developed(small: bytes) -> None:
    pytest.importorskip("rawpy")
    found = decode(made.dng(small))
    assert (found.media_type, found.width, found.height) == ("image/x-dcraw", 32, 32)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7])
def test_a_broken_raw_is_refused_and_says_so(share: float) -> None:
    pytest.importorskip("rawpy")
    whole = made.dng()
    with pytest.raises(UsageError, match=r"RAW|not an image") as error:
        decode(whole[: int(len(whole) * share)])
    assert "b'" not in str(error.value)


# --- colours --------------------------------------------------------------------------------------------------------


def swapped_profile() -> bytes:
    """sRGB with red and green exchanged: what ignores it shows wrong colours."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    r, g = data.index(b"rXYZ"), data.index(b"gXYZ")
    data[r : r + 4], data[g : g + 4] = b"gXYZ", b"rXYZ"
    return bytes(data.replace(b"sRGB", b"SWAP").replace(b"s\0R\0G\0B", b"S\0W\0A\0P"))


def grey_profile(gamma: float = 1.0) -> bytes:
    """A profile of greys: one curve."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, int(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"Grey\0" + bytes(78)
    parts, at, table = (text, white, curve), 132 + 36, b""
    for name, part in zip((b"desc", b"wtpt", b"kTRC"), parts, strict=True):
        table += name + struct.pack(">II", at, len(part))
        at += len(part) + -len(part) % 4
    body = struct.pack(">I", 3) + table + b"".join(part + bytes(-len(part) % 4) for part in parts)
    head = struct.pack(">I4sI4s4s4s12s4s", 128 + len(body), b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ", bytes(12),
                       b"acsp")  # fmt: skip
    light = struct.pack(">3i", 63190, 65536, 54061)
    return (head + bytes(28) + light).ljust(128, b"\0") + body


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_profile_of_greys_is_applied(form: str) -> None:
    grey = Image.new("L", (8, 8), 55)
    data = encoded(grey if form != "WEBP" else grey.convert("RGB"), form, icc_profile=grey_profile())
    shown = decode(data).image.getpixel((2, 2))[0]
    assert (
        shown == 55 if form == "WEBP" else shown in range(124, 134)
    )  # of RGB it says nothing; linear 55 is 129 of sRGB


def test_a_profile_of_greys_is_no_work() -> None:
    assert complexity(encoded(Image.new("L", (8, 8), 55), "JPEG", icc_profile=grey_profile())).plain


def test_a_profile_of_colours_is_applied_to_palettes_and_beneath_transparency() -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, *RED])
    swapped = (30, 200, 40)
    plain = decode(encoded(palette, "PNG", icc_profile=swapped_profile()))
    clear = decode(encoded(palette, "PNG", icc_profile=swapped_profile(), transparency=0))
    see_through = decode(encoded(Image.new("RGBA", (8, 8), (*RED, 90)), "PNG", icc_profile=swapped_profile()))
    assert all(one.image.getpixel((2, 2))[1] > 150 for one in (plain, clear, see_through)), swapped
    assert (clear.image.mode, see_through.image.getpixel((2, 2))[3]) == ("RGBA", 90)


@pytest.mark.parametrize("profile", [b"junk", b"\0" * 128, swapped_profile()[:300], grey_profile()], ids=range(4))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "LA", "RGBA"])
def test_a_profile_that_is_broken_or_of_other_colours_is_left_out(profile: bytes, mode: str) -> None:
    image = red().convert("RGB").convert(mode)
    found = decode(encoded(image, "TIFF" if mode != "RGBA" else "PNG", icc_profile=profile))
    plain = decode(encoded(image, "TIFF" if mode != "RGBA" else "PNG"))
    if not (mode == "L" and profile == grey_profile()):
        assert found.image.getpixel((2, 2)) == plain.image.getpixel((2, 2))


def test_wide_colours_come_out_in_srgb() -> None:
    """Display P3's primaries: a red that sRGB cannot show is its full red."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for name, xyz in ((b"rXYZ", (0.5151, 0.2412, -0.0011)), (b"gXYZ", (0.2919, 0.6922, 0.0419)),
                      (b"bXYZ", (0.1571, 0.0666, 0.7841))):  # fmt: skip
        entry = data.index(name)
        at = struct.unpack_from(">I", data, entry + 4)[0]
        struct.pack_into(">3i", data, at + 8, *(round(value * 65536) for value in xyz))
    p3 = bytes(data.replace(b"sRGB", b"P3-D").replace(b"s\0R\0G\0B", b"P\x003\0-\0D"))
    shown = decode(encoded(Image.new("RGB", (8, 8), (200, 60, 60)), "PNG", icc_profile=p3)).image.getpixel((2, 2))
    assert shown[0] > 208
    assert shown[1] < 50


def test_a_cmyk_jpeg_is_shown_in_its_colours() -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    shown = decode(encoded(cyan, "JPEG", quality=95)).image.getpixel((3, 3))
    assert shown[0] < 40
    assert min(shown[1:]) > 200


def test_lab_and_16_bits_of_a_tiff() -> None:
    lab = ImageCms.profileToProfile(
        red(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert close(decode(encoded(lab, "TIFF")).image.getpixel((2, 2)), RED)
    deep = Image.fromarray(np.full((8, 8), 0x8080, np.uint16))
    assert decode(encoded(deep, "TIFF")).image.getpixel((2, 2)) == (128, 128, 128)


# --- scale ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "side", "decoded"),
    [
        ((800, 600), 400, (800, 600)),
        ((800, 600), 200, (400, 300)),
        ((800, 600), 100, (200, 150)),
        ((800, 600), 50, (100, 75)),
        ((800, 600), 5, (100, 75)),
        ((600, 800), 200, (300, 400)),
        ((40, 600), 30, (40, 600)),
    ],
)
def test_a_jpeg_is_decoded_at_the_scale_that_is_needed(
    size: tuple[int, int], side: int, decoded: tuple[int, int]
) -> None:
    """And half as much again, so that the reduction that follows hides it."""
    found = decode(encoded(red(size), "JPEG"), side=side)
    assert found.image.size == decoded
    assert (found.width, found.height) == size
    assert decode(encoded(red(size), "PNG"), side=side).image.size == size


def test_a_jpeg_that_is_cut_is_refused_at_every_scale() -> None:
    whole = encoded(Image.effect_noise((800, 600), 60).convert("RGB"), "JPEG")
    for side in (None, 200, 20):
        with pytest.raises(UsageError, match="cut short"):
            decode(whole[: len(whole) * 3 // 4], side=side)


def test_nothing_is_said_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    for data in (HEIC, made.dng()[:200], b"8BPS\0\1" + bytes(40), b"icns\0\0\0\x28" + bytes(40)):
        with pytest.raises(UsageError):
            open_rgb(data)
    assert capfd.readouterr() == ("", "")


def test_hostile_bytes_behind_a_signature_are_refused_by_name() -> None:
    """In a process that has limits: this one survives whatever they do."""
    heads = {name: encoded(red((32, 32)).convert({"XBM": "1", "MSP": "1", "BLP": "P"}.get(name, "RGB")), name)
             for name in WRITTEN}  # fmt: skip
    for name, data in heads.items():
        for junk in (data[:24], data[:40] + b"\xff" * 200, data[:16] + bytes(400)):
            with contextlib.suppress(UsageError):
                assert decode(junk).image.size > (0, 0), name
    assert decoding.decode(encoded(red(), "PNG")).width == 24


def test_a_pointer_of_git_lfs_is_called_one() -> None:
    with pytest.raises(UsageError, match=r"a pointer of Git LFS, not the image: git lfs pull"):
        decode(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>404</title>", b"\xef\xbb\xbf\r\n <HTML lang=en>"])
def test_a_web_page_under_an_image_s_name_is_called_one(page: bytes) -> None:
    with pytest.raises(UsageError, match="a web page, not an image"):
        decode(page)
