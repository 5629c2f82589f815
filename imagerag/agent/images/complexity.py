"""Estimate of the work that decoding an image file takes, from its structure alone.

A few bytes can ask a decoder for minutes: scans over and over the same pixels, millions of empty chunks, profiles of
thousands of steps. What is surely plain (most photos and drawings) is decoded on the spot; whatever is not goes to a
process that has limits and can be ended, see `decoding_pool`.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from imagerag.agent.errors import UsageError

__all__ = ["MAX_SCANS", "Complexity", "complexity"]

MAX_SCANS: Final = 500
"""Of a JPEG. Encoders write about ten, and a few dozen when told to; libjpeg-turbo's own tests stop at 500."""

_USUAL_SCANS: Final = 20
_SCANNED_PIXELS: Final = 4_000_000_000
"""Pixels times scans: 20 scans of the largest image that is read."""

PLAIN_PIXELS: Final = 25_000_000
"""Of an image that is decoded on the spot."""

_PLAIN_WORK: Final = 60_000_000
"""Pixels times what one costs in that format: about half a second."""

_DEFLATED: Final = 3
"""What a pixel of a PNG or a WebP costs, one of a JPEG with a single scan being 1."""

_MAX_PARTS: Final = 5_000
"""Chunks or segments that a plain file may have: each costs Pillow some Python."""

_MAX_TEXTS: Final = 64
_MAX_PROFILE: Final = 128 * 1024
_MAX_EXIF: Final = 1024 * 1024
_TYPE_SIZES: Final = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of a value, by TIFF's number of its type."""


@dataclass(frozen=True)
class Complexity:
    """The work of decoding a file.

    Attributes:
        pixels: as its header says; None where it was not looked up.
        plain: whether it is surely decoded in about half a second.
    """

    pixels: int | None = None
    plain: bool = False


def complexity(data: bytes) -> Complexity:
    """Look through the structure of a file; a damaged one is not plain, and the decoder says what is wrong.

    Raises:
        UsageError: no image needs so much work.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith(b"BM"):
            return _bmp(data)
        if data.startswith(b"GIF8"):
            return Complexity(int.from_bytes(data[6:8], "little") * int.from_bytes(data[8:10], "little"))
    except (struct.error, IndexError, zlib.error):
        pass
    return Complexity()


def _plain(pixels: int, cost: float) -> bool:
    return 0 < pixels <= PLAIN_PIXELS and pixels * cost <= _PLAIN_WORK


def _png(data: bytes) -> Complexity:
    width, height = struct.unpack_from(">II", data, 16)
    pixels = width * height
    texts = parts = 0
    plain = data[12:16] == b"IHDR" and _plain(pixels, _DEFLATED)
    at = 8
    while plain and at + 12 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        parts += 1
        texts += name in (b"zTXt", b"iTXt", b"tEXt")
        plain = parts <= _MAX_PARTS and texts <= _MAX_TEXTS
        if name == b"eXIf":
            plain = plain and _is_plain_exif(data[at + 8 : at + 8 + size])
        elif name == b"iCCP":
            plain = plain and _is_plain_profile(_inflated(data[at + 8 : at + 8 + size].partition(b"\0")[2][1:]))
        at += 12 + size
    return Complexity(pixels, plain)


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, _MAX_PROFILE + 1)


def _jpeg(data: bytes) -> Complexity:
    pixels, exifs, profile, plain = 0, 0, b"", True
    segments = list(islice(_jpeg_segments(data), _MAX_PARTS))
    for marker, start, end in segments:
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            plain = plain and not pixels  # two headers: which of them counts?
            height, width = struct.unpack_from(">HH", data, start + 1)
            pixels = width * height
        elif marker == 0xE1 and data[start : start + 5] == b"Exif\0":
            exifs += 1
            plain = plain and exifs == 1 and _is_plain_exif(data[start + 6 : end])
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", start):
            profile += data[start + 14 : end]
            plain = plain and len(profile) <= _MAX_PROFILE
    scans = _scans(data, segments[-1][2]) if segments and segments[-1][0] == 0xDA else None
    most = min(MAX_SCANS, max(_USUAL_SCANS, _SCANNED_PIXELS // max(1, pixels)))
    if scans is not None and scans > most:
        raise UsageError(f"its pixels come in {scans:,} scans; of this size at most {most} are read")
    plain = plain and scans is not None and _plain(pixels, max(1, scans / 2))
    return Complexity(pixels or None, plain and (not profile or _is_plain_profile(profile)))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each, up to the header of the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            yield marker, at, at
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker in (0xDA, 0xD9):
            return
        at = end


def _scans(data: bytes, start: int) -> int:
    """The number of scans. In coded data, FF is followed by 00; beyond the end may be anything."""
    if not data.count(b"\xff\xda", start):  # most photos; where the image ends need not be looked for
        return 1
    end = data.find(b"\xff\xd9", start)
    return 1 + data.count(b"\xff\xda", start, end if end >= 0 else len(data))


def _webp(data: bytes) -> Complexity:
    pixels, plain, parts, at = 0, True, 0, 12
    while at + 8 <= len(data) and parts < _MAX_TEXTS:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"VP8X":
            plain = plain and not data[body] & 0x02  # moves: a canvas and frames
            pixels = max(pixels, _at(data, body + 4, 3, 0xFFFFFF) * _at(data, body + 7, 3, 0xFFFFFF))
        elif name == b"VP8 ":
            pixels = max(pixels, (_at(data, body + 6, 2, 0x3FFF) - 1) * (_at(data, body + 8, 2, 0x3FFF) - 1))
        elif name == b"VP8L":
            sides = int.from_bytes(data[body + 1 : body + 5], "little")
            pixels = max(pixels, ((sides & 0x3FFF) + 1) * ((sides >> 14 & 0x3FFF) + 1))
        elif name == b"ICCP":
            plain = plain and _is_plain_profile(data[body : body + size])
        elif name == b"EXIF":
            plain = plain and _is_plain_exif(data[body : body + size])
        parts += 1
        at = body + size + size % 2
    return Complexity(pixels or None, plain and parts < _MAX_TEXTS and _plain(pixels, _DEFLATED))


def _at(data: bytes, start: int, count: int, mask: int) -> int:
    """A side in pixels that is kept less one."""
    return (int.from_bytes(data[start : start + count], "little") & mask) + 1


def _bmp(data: bytes) -> Complexity:
    if int.from_bytes(data[14:18], "little") < 40:
        return Complexity()
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    pixels = abs(width * height)
    return Complexity(pixels, compression in (0, 3) and _plain(pixels, 1))  # the others are runs, unpacked by Python


def _is_plain_exif(exif: bytes) -> bool:
    """Whether its tags claim no more than is there. Each can claim all of it, and Pillow copies what they claim."""
    exif = exif.removeprefix(b"Exif\0\0")
    if exif[:4] not in (b"II*\0", b"MM\0*") or len(exif) > _MAX_EXIF:
        return not exif
    order = "<" if exif[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    claimed = 0
    for at in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        _, kind, values = struct.unpack_from(f"{order}HHI", exif, at)
        claimed += values * _TYPE_SIZES[kind] if kind < len(_TYPE_SIZES) else 0
    return claimed <= 2 * len(exif) + 4096


def _is_plain_profile(profile: bytes) -> bool:
    """Whether a colour profile is a matrix and three curves, or one curve of greys.

    Tables and lists of steps can ask for any work.
    """
    if len(profile) > _MAX_PROFILE:
        return False
    (count,) = struct.unpack_from(">I", profile, 128)
    names = {profile[at : at + 3] for at in range(132, 132 + 12 * min(count, 100), 12)}
    return profile[16:20] in (b"RGB ", b"GRAY") and count <= 100 and not names & {b"A2B", b"B2A", b"D2B", b"B2D"}
