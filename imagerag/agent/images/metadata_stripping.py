"""Image files without what is told in them beside the pixels: for files whose metadata a decoder stumbles over."""

import struct
from collections.abc import Iterator
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_WEBP_DROPPED: Final = frozenset({b"EXIF", b"XMP ", b"ICCP"})
_WEBP_FLAGS: Final = 0x20 | 0x08 | 0x04  # of VP8X: that there is an ICC profile, EXIF, XMP
_TIFF_KEPT: Final = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325, 338, 339, 347, 530}
)
_ADOBE: Final = 0xEE  # says how the colours are kept
_SCAN: Final = 0xDA


def without_metadata(data: bytes) -> bytes:
    """The same image without EXIF, XMP, profiles and texts; the bytes themselves where there is nothing to leave out.

    PNG, JPEG, WebP and TIFF; of a TIFF the first image is left.
    """
    if data.startswith(_PNG):
        return _PNG + b"".join(chunk for name, chunk in _png_chunks(data) if name in _PNG_KEPT)
    if data.startswith(b"\xff\xd8"):
        return _bare_jpeg(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        body = b"".join(chunk for name, chunk in _webp_chunks(data) if name not in _WEBP_DROPPED)
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _bare_tiff(data)
    return data


def _bare_tiff(data: bytes) -> bytes:
    """With a directory that says only how and where the pixels are kept."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        tags = [data[start : start + 12] for start in range(at + 2, at + 2 + 12 * count, 12)]
        kept_tags = [tag for tag in tags if struct.unpack_from(f"{order}H", tag)[0] in _TIFF_KEPT]
    except struct.error:
        return data
    directory = struct.pack(f"{order}H", len(kept_tags)) + b"".join(kept_tags) + bytes(4)
    return data[:at] + directory + data[at + len(directory) :]


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at:end]
        at = end


def _bare_jpeg(data: bytes) -> bytes:
    """Without application segments (but Adobe's) and comments; from the first scan on nothing is touched."""
    segments, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or marker == _ADOBE:
            segments.append(data[at:end])
        at = end
    return b"".join([*segments, data[at:]])


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        name, chunk = data[at : at + 4], data[at:end]
        if name == b"VP8X" and len(chunk) > 8:
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        yield name, chunk
        at = end
