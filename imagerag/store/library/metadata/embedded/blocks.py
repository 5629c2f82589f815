"""Find the metadata blocks of an image file: EXIF, XMP, IPTC and texts, by container format."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from imagerag.agent.images.tiff_directory import TiffFile
from imagerag.store.library.metadata.embedded.iso_boxes import heif_blocks, jpeg2000_blocks, raw_blocks
from imagerag.store.text_files import utf_8_text

__all__ = ["MAX_BLOCK", "MetadataBlocks", "find_blocks"]

MAX_BLOCK: Final = 4 * 2**20
"""Bytes of a block; more are not read. Photoshop's histories in XMP can have more, behind what is wanted."""

_MAX_PARTS: Final = 5_000
_PNG_TEXTS: Final = frozenset(
    ("Title", "Author", "Description", "Copyright", "parameters", "XML:com.adobe.xmp", "Raw profile type exif",
     "Raw profile type APP1", "Raw profile type iptc")
)  # fmt: skip
"""Keywords of the texts that are read."""


_EXIF, _XMP, _PHOTOSHOP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0"
_TIFF_XMP, _TIFF_IPTC, _TIFF_PHOTOSHOP = 700, 33723, 34377
_RESOURCE_IPTC, _RESOURCE_EXIF, _RESOURCE_XMP = 0x0404, 0x0422, 0x0424


@dataclass(frozen=True)
class MetadataBlocks:
    """The raw metadata blocks of an image file; empty where it has none.

    Attributes:
        exif: TIFF blocks: one, except in Canon's CR3, which stores EXIF's directories separately.
        xmp: an XML document.
        iptc: records of IPTC-IIM.
        texts: of a PNG, by keyword.
    """

    exif: tuple[bytes, ...] = ()
    xmp: bytes = b""
    iptc: bytes = b""
    texts: Mapping[str, str] = field(default_factory=dict)


def find_blocks(data: bytes) -> MetadataBlocks:
    """The metadata blocks of a file in any supported format; empty for unreadable files."""
    try:
        return _blocks_of(data)
    except (struct.error, IndexError, ValueError, zlib.error, OverflowError):
        return MetadataBlocks()


def _blocks_of(data: bytes) -> MetadataBlocks:
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        parts = dict(_chunks_of_webp(data))
        return MetadataBlocks(_one(parts.get(b"EXIF", b"").removeprefix(_EXIF)), parts.get(b"XMP ", b""))
    if data.startswith(b"8BPS"):
        return _photoshop_file(data)
    if data[4:8] == b"ftyp":
        return MetadataBlocks(raw_blocks(data)) if data[8:12] == b"crx " else MetadataBlocks(*heif_blocks(data))
    if data.startswith(b"\0\0\0\x0cjP  "):
        return MetadataBlocks(*jpeg2000_blocks(data))
    if data.startswith(b"FUJIFILMCCD-RAW"):
        start, size = struct.unpack_from(">II", data, 84)
        return _jpeg(data[start : start + min(size, MAX_BLOCK)])
    if data.startswith(b"GIF8"):
        return MetadataBlocks(xmp=_gif_xmp(data))
    return _tiff(data) if data[:2] in (b"II", b"MM") else MetadataBlocks()


def _one(exif: bytes) -> tuple[bytes, ...]:
    return (exif,) if exif else ()


def _jpeg(data: bytes) -> MetadataBlocks:
    exif = xmp = b""
    photoshop: list[bytes] = []
    for marker, body in islice(_segments(data), _MAX_PARTS):
        if marker == 0xE1 and body.startswith(_EXIF):
            exif = exif or body[len(_EXIF) :]
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp = xmp or body[len(_XMP) :]
        elif marker == 0xED and body.startswith(_PHOTOSHOP):
            photoshop.append(body[len(_PHOTOSHOP) :])
    resources = dict(_resources(b"".join(photoshop)[:MAX_BLOCK]))
    return MetadataBlocks(_one(exif), xmp, resources.get(_RESOURCE_IPTC, b""))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of each application segment before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in (0xDA, 0xD9):
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xE0 <= marker <= 0xEF:
            yield marker, data[at + 4 : end]
        at = end


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Photoshop's image resources: (number, content)."""
    at = 0
    for _ in range(_MAX_PARTS):
        if data[at : at + 4] != b"8BIM" or at + 12 > len(data):
            return
        number, name = int.from_bytes(data[at + 4 : at + 6], "big"), data[at + 6]
        start = at + 6 + (name + 2 & ~1)  # a name and its length, padded to an even number
        size = int.from_bytes(data[start : start + 4], "big")
        yield number, data[start + 4 : start + 4 + min(size, MAX_BLOCK)]
        at = start + 4 + size + size % 2


def _photoshop_file(data: bytes) -> MetadataBlocks:
    colours = int.from_bytes(data[26:30], "big")
    start = 30 + colours
    size = int.from_bytes(data[start : start + 4], "big")
    resources = dict(_resources(data[start + 4 : start + 4 + size]))
    return MetadataBlocks(_one(resources.get(_RESOURCE_EXIF, b"")), resources.get(_RESOURCE_XMP, b""),
                          resources.get(_RESOURCE_IPTC, b""))  # fmt: skip


def _png(data: bytes) -> MetadataBlocks:
    exif = xmp = b""
    texts: dict[str, str] = {}
    for name, body in islice(_chunks_of_png(data), _MAX_PARTS):
        if name == b"eXIf":
            exif = exif or body.removeprefix(_EXIF)
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            key = body[:80].partition(b"\0")[0].decode("latin-1")
            if key == "XML:com.adobe.xmp":
                xmp = xmp or _png_text(name, body)
            elif key in _PNG_TEXTS and key not in texts:
                texts[key] = _decoded(_png_text(name, body), name)
    profile = _hexadecimal(texts.pop("Raw profile type exif", "") or texts.pop("Raw profile type APP1", ""))
    iptc = _hexadecimal(texts.pop("Raw profile type iptc", ""))
    return MetadataBlocks(
        _one(exif or profile.removeprefix(_EXIF)), xmp, dict(_resources(iptc)).get(_RESOURCE_IPTC, iptc), texts
    )


def _chunks_of_png(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, content) of chunks other than pixel data; further ones may follow the pixels."""
    at = 8
    while at + 12 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"IEND":
            return
        if name != b"IDAT":
            yield name, data[at + 8 : at + 8 + min(size, MAX_BLOCK)]
        at += 12 + size


def _png_text(name: bytes, body: bytes) -> bytes:
    """The text of a chunk, behind its keyword."""
    _, _, rest = body.partition(b"\0")
    if name == b"zTXt":
        rest = _inflated(rest[1:])
    elif name == b"iTXt":
        packed = rest[:1] == b"\1"
        _, _, rest = rest[2:].partition(b"\0")  # the language
        _, _, rest = rest.partition(b"\0")  # the keyword, translated
        rest = _inflated(rest) if packed else rest
    return rest


def _decoded(text: bytes, name: bytes) -> str:
    """Two of the chunks are Latin-1 by the standard, but some programs write UTF-8 into them."""
    decoded = utf_8_text(text)
    return text.decode("utf-8" if name == b"iTXt" else "latin-1", "replace") if decoded is None else decoded


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_BLOCK)
    except zlib.error:
        return b""


def _hexadecimal(text: str) -> bytes:
    """Parse ImageMagick's format: a line with a name, one with a length, and lines of hexadecimal digits."""
    _, _, digits = text.strip().partition("\n")
    _, _, digits = digits.strip().partition("\n")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def _chunks_of_webp(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    for _ in range(_MAX_PARTS):
        if at + 8 > len(data):
            return
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name in (b"EXIF", b"XMP "):
            yield name, data[at + 8 : at + 8 + min(size, MAX_BLOCK)]
        at += 8 + size + size % 2


def _tiff(data: bytes) -> MetadataBlocks:
    """Blocks of a TIFF, or a TIFF-based RAW file, whose own directories are those of EXIF."""
    file = TiffFile(data)
    values = {tag: file.value(file.first, tag, MAX_BLOCK) for tag in (_TIFF_XMP, _TIFF_IPTC, _TIFF_PHOTOSHOP)}
    xmp, iptc, photoshop = (one.data if one else b"" for one in values.values())
    return MetadataBlocks((data,), xmp, iptc or dict(_resources(photoshop)).get(_RESOURCE_IPTC, b""))


def _gif_xmp(data: bytes) -> bytes:
    """XMP of a GIF: stored in one piece, against the format's rule, followed by 257 bytes that let readers skip it."""
    start = data.find(b"!\xff\x0bXMP DataXMP")
    if start < 0:
        return b""
    end = data.find(b"<?xpacket end", start, start + MAX_BLOCK)
    return data[start + 14 : end] if end >= 0 else b""
