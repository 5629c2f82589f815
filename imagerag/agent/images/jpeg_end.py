"""JPEGs that lack their end marker, as a transfer that stopped a byte early leaves them: every viewer shows them.

Pillow refuses them, and its `LOAD_TRUNCATED_IMAGES` is no remedy: it is one switch for the whole process, and fills the
rows of images that are really cut with grey. Here the marker is added, and whether anything else is missing is told by
the decoder: where it has all it needs, it ignores what follows; where it does not, other bytes give other pixels.
"""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.metadata_stripping import without_metadata

if TYPE_CHECKING:
    from PIL.Image import Image

_END: Final = b"\xff\xd9"
_FILLINGS: Final = (b"", b"\x00" * 64, b"\x5a\xc3" * 32, b"\xb7\x1e" * 32)
"""Bytes that stand before the marker: image data to a decoder that still needs some."""

_FRAME: Final = re.compile(rb"(?s)\xff[\xc0-\xc3\xc9-\xcb].{7}(.)")
_SCAN: Final = re.compile(rb"(?s)\xff\xda..([\x01-\x04])")
_COEFFICIENTS: Final = 64
"""Of a component."""


def with_end(data: bytes, decoded: Callable[[bytes], "Image"]) -> bytes:
    """A JPEG with the end marker that it lacks; any other file, and a JPEG that lacks more, as it is.

    Args:
        data: the bytes of a file that cannot be decoded.
        decoded: decodes a JPEG to all of its pixels; what it raises is raised.
    """
    if not data.startswith(b"\xff\xd8") or data.endswith(_END) or not _has_all_scans(without_metadata(data)):
        return data
    body = data.removesuffix(b"\xff")
    pixels = {sha256(decoded(body + filling + _END).tobytes()).digest() for filling in _FILLINGS}
    return body + _END if len(pixels) == 1 else data


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans have begun that bring the last bit of every coefficient: a progressive JPEG that is cut between
    two scans has all of its pixels, and is blurred."""
    frame = _FRAME.search(data)
    there = set[tuple[int, int]]()
    for scan in _SCAN.finditer(data):
        components, start = scan[1][0], scan.end()
        parameters = data[start + 2 * components : start + 2 * components + 3]
        if len(parameters) == 3 and not parameters[2] & 0xF:  # the bits that are left to a later scan
            there |= {
                (component, at)
                for component in data[start : start + 2 * components : 2]
                for at in range(parameters[0], parameters[1] + 1)
            }
    return frame is not None and len(there) == frame[1][0] * _COEFFICIENTS
