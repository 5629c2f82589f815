"""A folder of images half of which are broken: every way in which files break, and junk that must cost nothing."""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from PIL import Image

from tests import bombs
from tests import metadata_files as made

FORMS: Final = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "TGA", "ICO", "PPM", "SGI", "PCX", "DDS", "QOI",
)  # fmt: skip
SIGNATURES: Final = (
    b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0\x08\0\0\0", b"8BPS\0\1", b"qoif", b"icns",
    b"\0\0\0\x0cjP  \r\n\x87\n", b"\0\0\0\x18ftypavif", b"DDS |\0\0\0", b"\0\0\1\0\1\0", b"SIMPLE  =",
    b"P6\n99 99\n255\n", b"FUJIFILMCCD-RAW ", b"\0\0\0\x18ftypcrx ",
)  # fmt: skip
WITHOUT_AN_END: Final = frozenset(("TGA", "PPM", "SGI", "BMP", "PCX", "DDS"))
"""Formats of plain pixels, of which a part can be another whole image."""

Make = Callable[[random.Random], bytes]


def photo(chance: random.Random, form: str = "JPEG", **options: Any) -> bytes:
    """An image that is no other's."""
    image = Image.effect_noise((48, 40), 70).convert("RGB")
    image.paste(tuple(chance.randrange(256) for _ in range(3)), (0, 0, 20, 20))
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _cut(form: str) -> Make:
    def make(chance: random.Random) -> bytes:
        whole = photo(chance, form)
        return whole[: int(len(whole) * chance.uniform(0.1, 0.8))]

    return make


def _noise(signature: bytes) -> Make:
    return lambda chance: signature + chance.randbytes(chance.randrange(20, 900))


def _sides(width: int, height: int) -> bytes:
    """A PNG that claims these sides."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    return b"\x89PNG\r\n\x1a\n" + head + made.encoded("PNG")[33:]


BROKEN: Final[dict[str, Make]] = {
    "empty.jpg": lambda chance: b"",
    "one-byte.png": lambda chance: b"\x89",
    "zeros.jpg": lambda chance: bytes(chance.randrange(1, 5000)),
    "text.png": lambda chance: f"this is no image {chance.random()}".encode(),
    "page.jpg": lambda chance: f"<!doctype html><img src='{chance.random()}'>".encode(),
    "archive.webp": lambda chance: b"PK\3\4" + chance.randbytes(300),
    "program.gif": lambda chance: b"\x7fELF\2\1\1" + chance.randbytes(300),
    "page.tiff": lambda chance: b"%PDF-1.7\n" + chance.randbytes(300),
    "drawing.jpg": lambda chance: b"%!PS-Adobe-3.0 EPSF-3.0\n" + chance.randbytes(90),
    "huge.png": lambda chance: _sides(60_000 + chance.randrange(9_000), 60_000),
    "nothing.png": lambda chance: _sides(0, chance.randrange(99)),
    "scans.jpg": lambda chance: bombs.jpeg_of_scans(600 + chance.randrange(99), side=64),
    "claims.tif": lambda chance: bombs.tiff_of_claims() + chance.randbytes(9),
    **{f"cut-{form.lower()}.jpg": _cut(form) for form in FORMS if form not in WITHOUT_AN_END},
    **{f"noise-{at}.png": _noise(signature) for at, signature in enumerate(SIGNATURES)},
}  # fmt: skip
"""Makers of what is to be refused, by the file names."""

_JUNK: Final = (
    b"",
    b"\0",
    b"\xff" * 300,
    b"II*\0\xff\xff\xff\xff",
    b"Exif\0\0junk",
    bytes(3000),
    b"MM\0*" + b"\xff" * 99,
)


def _jpeg_with(marker: int, head: bytes) -> Make:
    def make(chance: random.Random) -> bytes:
        whole = photo(chance)
        return whole[:2] + made.segment(marker, head + chance.choice(_JUNK)) + whole[2:]

    return make


def _png_with(name: bytes, head: bytes) -> Make:
    def make(chance: random.Random) -> bytes:
        whole, body = photo(chance, "PNG"), head + chance.choice(_JUNK)
        chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        return whole[:33] + chunk + whole[33:]

    return make


def _with(form: str, kind: str, head: bytes = b"") -> Make:
    return lambda chance: photo(chance, form, **{kind: head + chance.choice(_JUNK)})


LAUGHS: Final = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>' + made.xmp("<dc:title>&b;</dc:title>")
GOOD: Final[dict[str, Make]] = {
    **{f"{form.lower()}.{form.lower()}": (lambda chance, form=form: photo(chance, form)) for form in FORMS},
    **{f"app{marker & 15}.jpg": _jpeg_with(marker, b"") for marker in range(0xE1, 0xF0) if marker != 0xEE},
    "exif.jpg": _jpeg_with(0xE1, b"Exif\0\0"),
    "xmp.jpg": _jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
    "laughs.jpg": _jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + LAUGHS),
    "iptc.jpg": _jpeg_with(0xED, b"Photoshop 3.0\08BIM\x04\x04\0\0\0\0\xff\xff\x1c\x02"),
    "profile.jpg": _jpeg_with(0xE2, b"ICC_PROFILE\0\1\1"),
    "several.jpg": _jpeg_with(0xE2, b"MPF\0"),
    "comment.jpg": _jpeg_with(0xFE, b""),
    "exif.png": _png_with(b"eXIf", b""),
    "profile.png": _png_with(b"iCCP", b"x\0\0"),
    "text.png": _png_with(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0"),
    "packed.png": _png_with(b"zTXt", b"Title\0\0"),
    "density.png": _png_with(b"pHYs", b""),
    "exif.webp": _with("WEBP", "exif", b"Exif\0\0"),
    "xmp.webp": _with("WEBP", "xmp", b"<x:xmpmeta"),
    "profile.webp": _with("WEBP", "icc_profile", b"\0\0\0"),
    "a-png-by-content.jpg": lambda chance: photo(chance, "PNG"),
    "a-jpeg-by-content.tiff": lambda chance: photo(chance, "JPEG"),
    "a-webp-by-content": lambda chance: photo(chance, "WEBP"),
}  # fmt: skip
"""Makers of what is to be read, whatever junk is beside the pixels, by the file names."""


def write(folder: Path, each: int, seed: int = 0) -> tuple[set[Path], set[Path]]:
    """Fill a folder with so many good files and as many broken ones: (good, broken)."""
    chance = random.Random(seed)
    return (set(_written(folder / "good", GOOD, each, chance)), set(_written(folder / "broken", BROKEN, each, chance)))


def _written(folder: Path, makers: dict[str, Make], count: int, chance: random.Random) -> Iterator[Path]:
    names = list(makers)
    for at in range(count):
        name = names[at % len(names)]
        path = folder / f"{at // len(names)}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(makers[name](chance))
        yield path
