"""Metadata in files of ISO boxes: HEIC and AVIF (ISO 23008-12), JPEG 2000, Canon's CR3.

Every box is read at most once, and their number is limited; an invalid length ends the list.
"""

from collections.abc import Iterator
from typing import Final

__all__ = ["heif_blocks", "jpeg2000_blocks", "raw_blocks"]

_MAX_BOXES: Final = 2_000
_MAX_PARTS: Final = 64
_MAX_BYTES: Final = 4 * 2**20

_UUID_XMP: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_UUID_EXIF: Final = b"JpgTiffExif->JP2"
_UUID_CANON: Final = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(name, start and end of the content) of each box."""
    end = len(data) if end is None else min(end, len(data))
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, head = int.from_bytes(data[start : start + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        stop = end if size == 0 else start + size
        if stop < start + head:
            return
        yield data[start + 4 : start + 8], start + head, min(stop, end)
        start = stop


def heif_blocks(data: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """EXIF and XMP of a HEIC or AVIF file: they are items of its `meta` box."""
    meta = next(((start, end) for name, start, end in boxes(data) if name == b"meta"), None)
    if meta is None:
        return (), b""
    inside = {name: (start, end) for name, start, end in boxes(data, meta[0] + 4, meta[1])}
    if b"iinf" not in inside or b"iloc" not in inside:
        return (), b""
    base = inside.get(b"idat", (0, 0))[0]
    places = _places(data, *inside[b"iloc"])
    exif = xmp = b""
    for number, kind in _items(data, *inside[b"iinf"]):
        content = _content(data, places.get(number, []), base)
        if kind == "exif" and not exif:
            exif = content[4 + int.from_bytes(content[:4], "big") :].removeprefix(b"Exif\0\0")
        elif kind == "xmp" and not xmp:
            xmp = content
    return ((exif,) if exif else ()), xmp


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, str]]:
    """(number, "exif" or "xmp") of each item that is one of them."""
    wide = data[start] > 0
    for name, at, stop in boxes(data, start + 4 + (4 if wide else 2), end):
        if name != b"infe" or data[at] not in (2, 3):
            continue
        size = 2 if data[at] == 2 else 4
        number = int.from_bytes(data[at + 4 : at + 4 + size], "big")
        kind = data[at + 6 + size : at + 10 + size]
        if kind == b"Exif":
            yield number, "exif"
        elif kind == b"mime" and b"application/rdf+xml" in data[at + 10 + size : stop]:
            yield number, "xmp"


def _places(data: bytes, start: int, end: int) -> dict[int, list[tuple[int, int, int]]]:
    """(0 in the file or 1 in `idat`, where, how many bytes) of the parts of each item."""
    version, sizes = data[start], int.from_bytes(data[start + 4 : start + 6], "big")
    offset, length, base, index = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15 if version else 0
    at, places = start + 6, dict[int, list[tuple[int, int, int]]]()

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise IndexError
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(min(number(2 if version < 2 else 4), _MAX_BOXES)):
        item = number(2 if version < 2 else 4)
        method = number(2) & 15 if version else 0
        number(2)
        origin = number(base)
        parts = places.setdefault(item, [])
        count = number(2)
        if count > _MAX_PARTS:  # the fields may have no bytes
            raise ValueError("an item of so many parts")
        for _ in range(count):
            number(index)
            where, size = number(offset), number(length)
            parts.append((method, origin + where, size))
    return places


def _content(data: bytes, parts: list[tuple[int, int, int]], idat: int) -> bytes:
    pieces = [
        data[start : start + min(size, _MAX_BYTES)]
        for method, where, size in parts
        if method in (0, 1) and (start := where + idat * method) < len(data)
    ]
    return b"".join(pieces)[:_MAX_BYTES]


def jpeg2000_blocks(data: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """EXIF and XMP of a JPEG 2000 file: each in a box of its own."""
    exif = xmp = b""
    for name, start, end in boxes(data):
        if name == b"uuid":
            content = data[start + 16 : min(end, start + 16 + _MAX_BYTES)]
            if data.startswith(_UUID_XMP, start):
                xmp = xmp or content
            elif data.startswith(_UUID_EXIF, start):
                exif = exif or content.removeprefix(b"Exif\0\0")
    return ((exif,) if exif else ()), xmp


def raw_blocks(data: bytes) -> tuple[bytes, ...]:
    """The directories of EXIF in Canon's CR3, each a TIFF: the first one, EXIF's own, and GPS's."""
    for name, start, end in boxes(data):
        if name != b"moov":
            continue
        for inner, at, stop in boxes(data, start, end):
            if inner == b"uuid" and data.startswith(_UUID_CANON, at):
                blocks = {part: data[low:high] for part, low, high in boxes(data, at + 16, stop)}
                return tuple(blocks[part] for part in (b"CMT1", b"CMT2", b"CMT4") if part in blocks)
    return ()
