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


def apng_of_frames(count: int) -> bytes:
    """An animated PNG that says it has two billion frames, and has many of one pixel."""
    controls = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 100, 0, 0)
    frame = _chunk(b"fcTL", controls) + _chunk(b"fdAT", b"\0\0\0\1" + zlib.compress(b"\0\0\0\0"))
    plain = png_with(
        (b"acTL", struct.pack(">II", 0x7FFFFFFF, 0)), (b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, *[0] * 6))
    )
    end = plain.index(b"IEND") - 4
    return plain[:end] + frame * count + plain[end:]


def webp_of_frames(count: int, side: int = 12_000) -> bytes:
    """An animated WebP: a canvas of 144 megapixels, and so many frames of one pixel."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), "red").save(buffer, "WEBP", lossless=True)
    picture = buffer.getvalue()[12:]
    frame = _part(b"ANMF", bytes(12) + b"\1\0\0\2" + picture)
    head = _part(b"VP8X", b"\x02\0\0\0" + (side - 1).to_bytes(3, "little") * 2) + _part(b"ANIM", bytes(6))
    body = b"WEBP" + head + frame * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _part(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def tiff_of_pages(count: int, *, endless: bool = False) -> bytes:
    """A TIFF with so many pages of one pixel, packed, in a chain; endless: after the last comes the first."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "TIFF", compression="packbits")
    plain = buffer.getvalue()
    (start,) = struct.unpack_from("<I", plain, 4)
    (tags,) = struct.unpack_from("<H", plain, start)
    page = plain[start : start + 2 + 12 * tags]
    data = bytearray(plain[:4]) + struct.pack("<I", len(plain)) + plain[8:]
    for number in range(count):
        last = len(plain) if endless else 0
        later = len(data) + len(page) + 4 if number < count - 1 else last
        data += page + struct.pack("<I", later)
    return bytes(data)


def avif_of_tiles(columns: int = 255, rows: int = 191, side: int = 64) -> bytes:
    """An AVIF of 200 megapixels: a grid of tens of thousands of tiles, all of them the same few bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(buffer, "AVIF")
    plain = buffer.getvalue()
    coded = plain[plain.index(b"mdat") + 4 :]
    at = plain.index(b"av1C") - 4
    config = plain[at : at + int.from_bytes(plain[at : at + 4], "big")]
    count = columns * rows
    numbers = range(2, 2 + count)
    sizes = (columns * side, rows * side), (side, side)
    properties = b"".join(_full(b"ispe", struct.pack(">II", *size)) for size in sizes) + config
    properties += _full(b"pixi", b"\3\x08\x08\x08")
    links = struct.pack(">I", count + 1) + b"\0\0\0\1\2\1\4"
    links += b"".join(struct.pack(">I", number) + b"\3\2\x83\4" for number in numbers)
    grid = b"\0\0" + bytes([rows - 1, columns - 1]) + struct.pack(">HH", *sizes[0])
    items = _full(b"infe", b"\0\0\0\1\0\0grid\0", 3)
    items += b"".join(_full(b"infe", struct.pack(">IH", number, 0) + b"av01\0", 3) for number in numbers)
    head = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")

    def meta(start: int) -> bytes:
        places = struct.pack(">BBI", 0x44, 0, count + 1)
        places += struct.pack(">IHHHII", 1, 1, 0, 1, 0, len(grid))
        places += b"".join(struct.pack(">IHHHII", number, 0, 0, 1, start, len(coded)) for number in numbers)
        tiles = _box(b"dimg", struct.pack(">IH", 1, count) + b"".join(struct.pack(">I", n) for n in numbers))
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + _full(b"pitm", struct.pack(">I", 1), 1)
            + _full(b"iloc", places, 2)
            + _full(b"iinf", struct.pack(">I", count + 1) + items, 1)
            + _full(b"iref", tiles, 1)
            + _box(b"iprp", _box(b"ipco", properties) + _full(b"ipma", links, 1))
            + _box(b"idat", grid),
        )

    return head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", coded)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def _full(name: bytes, body: bytes, version: int = 0) -> bytes:
    return _box(name, bytes([version, 0, 0, 0]) + body)
