"""Image files that ask for far more work than pictures of their size: for tests, built byte by byte."""

import io
import struct
import zlib

from PIL import Image

COMPRESSED_RUN = 32_767
"""Blocks that one code of a JPEG can skip."""


def jpeg_of_scans(scans: int, side: int = 7000) -> bytes:
    """A progressive JPEG that goes over all its pixels again and again, with a few bytes each time."""
    buffer = io.BytesIO()
    Image.new("L", (16, 16), 128).save(buffer, "JPEG", progressive=True)
    plain = buffer.getvalue()
    head = bytearray(plain[: plain.index(b"\xff\xda")])
    struct.pack_into(">HH", head, head.index(b"\xff\xc2") + 5, side, side)
    blocks = (-(-side // 8)) ** 2
    first = _scan(0, 0, bytes(blocks // 8 + 1))
    bits = "011111111111111" * (blocks // COMPRESSED_RUN + 1)
    bits += "1" * (-len(bits) % 8)
    runs = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    return bytes(head) + _table(0x00, 0) + _table(0x10, 0xE0) + first + _scan(1, 63, runs) * scans + b"\xff\xd9"


def _table(kind: int, symbol: int) -> bytes:
    return b"\xff\xc4\0\x14" + bytes([kind, 1, *[0] * 15, symbol])


def _scan(start: int, end: int, body: bytes) -> bytes:
    return b"\xff\xda\0\x08\x01\x01\0" + bytes([start, end, 0]) + body


def png_with(*chunks: tuple[bytes, bytes], side: int = 8) -> bytes:
    """A PNG with these chunks after its header."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "navy").save(buffer, "PNG")
    plain = buffer.getvalue()
    return plain[:33] + b"".join(map(_chunk, *zip(*chunks, strict=True))) + plain[33:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of_empty_chunks(count: int) -> bytes:
    """A PNG with millions of empty chunks."""
    return png_with(*[(b"teSt", b"")] * 1, side=8).replace(_chunk(b"teSt", b""), _chunk(b"teSt", b"") * count)


def png_of_profiles(count: int) -> bytes:
    """A PNG whose profiles are each inflated to a megabyte."""
    body = b"p\0\0" + zlib.compress(bytes(1_000_000), 9)
    return png_with((b"iCCP", b"")).replace(_chunk(b"iCCP", b""), _chunk(b"iCCP", body) * count)


def exif_that_claims(total: int, tags: int) -> bytes:
    """EXIF of so many tags, each of which says that all of the file is its value."""
    head = b"II*\0" + struct.pack("<IH", 8, tags)
    for tag in range(tags):
        head += struct.pack("<HHII", 0x8000 + tag, 7, total - 16, 8)
    return head + bytes(max(0, total - len(head)))


def gif_of_comments(size: int) -> bytes:
    """A GIF whose comment comes in pieces of one byte."""
    buffer = io.BytesIO()
    Image.new("P", (8, 8)).save(buffer, "GIF")
    plain = buffer.getvalue()
    at = 13 + 3 * 2 ** ((plain[10] & 7) + 1) if plain[10] & 0x80 else 13
    return plain[:at] + b"\x21\xfe" + b"\x01x" * (size // 2) + b"\0" + plain[at:]


def bmp_of_runs(side: int = 8000) -> bytes:
    """A BMP whose pixels are runs of one pixel, which Pillow unpacks in Python."""
    runs = b"\x01\x07" * (side * side // 2)
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    palette = bytes(1024)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + head + palette + runs


def tiff_of_claims(tags: int = 2000, size: int = 8_000_000) -> bytes:
    """A TIFF whose tags each say that all of the file is their value."""
    return exif_that_claims(size, tags)
