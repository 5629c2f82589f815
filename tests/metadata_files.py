"""Image files with metadata, byte by byte: what real cameras and programs write, and what none should."""

import io
import struct
from typing import Any

from PIL import Image

Value = tuple[int, int, bytes]
"""TIFF's type, count and bytes of a value."""


def ascii_value(text: str | bytes) -> Value:
    data = (text.encode() if isinstance(text, str) else text) + b"\0"
    return 2, len(data), data


def undefined(data: bytes) -> Value:
    return 7, len(data), data


def windows(text: str) -> Value:
    data = text.encode("utf-16-le") + b"\0\0"
    return 1, len(data), data


def short(number: int) -> Value:
    return 3, 1, struct.pack("<H", number)


def long(*numbers: int) -> Value:
    return 4, len(numbers), struct.pack(f"<{len(numbers)}I", *numbers)


def rationals(*numbers: tuple[int, int]) -> Value:
    return 5, len(numbers), b"".join(struct.pack("<II", *one) for one in numbers)


def directory(values: dict[int, Value], start: int) -> bytes:
    """A directory that begins at `start` of its file, and the values that do not fit into it."""
    entries, far = b"", b""
    behind = start + 2 + 12 * len(values) + 4
    for tag, (kind, count, data) in sorted(values.items()):
        kept = data
        if len(data) > 4:
            kept = struct.pack("<I", behind + len(far))
            far += data + b"\0" * (len(data) % 2)
        entries += struct.pack("<HHI", tag, kind, count) + kept.ljust(4, b"\0")
    return struct.pack("<H", len(values)) + entries + bytes(4) + far


def tiff(main: dict[int, Value], exif: dict[int, Value] | None = None, gps: dict[int, Value] | None = None) -> bytes:
    """EXIF, or a TIFF: a main directory and those of EXIF and GPS."""
    main = dict(main)
    parts = {tag: values for tag, values in ((0x8769, exif), (0x8825, gps)) if values}
    main.update(dict.fromkeys(parts, long(0)))
    end = 8 + len(directory(main, 8))
    below = b""
    for tag, values in parts.items():
        main[tag] = long(end + len(below))
        below += directory(values, end + len(below))
    return b"II*\0" + struct.pack("<I", 8) + directory(main, 8) + below


def iptc(*records: tuple[int, bytes], charset: bytes = b"") -> bytes:
    """Records of IPTC-IIM, those of its second part."""
    first = b"\x1c\x01\x5a" + struct.pack(">H", len(charset)) + charset if charset else b""
    return first + b"".join(b"\x1c\x02" + struct.pack(">BH", number, len(value)) + value for number, value in records)


def photoshop(data: bytes) -> bytes:
    """IPTC as Photoshop puts it into a file."""
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


def xmp(body: str = "", attributes: str = "") -> bytes:
    """An XMP packet with these properties."""
    spaces = {
        "dc": "http://purl.org/dc/elements/1.1/", "xmp": "http://ns.adobe.com/xap/1.0/",
        "xmpRights": "http://ns.adobe.com/xap/1.0/rights/", "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/", "tiff": "http://ns.adobe.com/tiff/1.0/",
        "aux": "http://ns.adobe.com/exif/1.0/aux/", "cc": "http://creativecommons.org/ns#",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    }  # fmt: skip
    names = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in spaces.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {names} {attributes}>{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def encoded(form: str = "JPEG", size: tuple[int, int] = (16, 12), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 40)).save(out, form, **options)
    return out.getvalue()


def jpeg(exif: bytes = b"", xmp: bytes = b"", iptc: bytes = b"", *, image: bytes | None = None) -> bytes:
    """A JPEG with these blocks of metadata."""
    image = image or encoded()
    more = segment(0xE1, b"Exif\0\0" + exif) if exif else b""
    more += segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp) if xmp else b""
    more += segment(0xED, b"Photoshop 3.0\0" + photoshop(iptc)) if iptc else b""
    return image[:2] + more + image[2:]


def dng(preview: bytes = b"", *, orientation: int = 1, model: str = "Field One", side: int = 64) -> bytes:
    """A camera RAW: a sensor's pixels in a mosaic, and the JPEG that the camera made of them."""
    matrix = b"".join(struct.pack("<ii", *one) for one in ((1, 1), (0, 1), (0, 1), (0, 1), (1, 1), (0, 1), (0, 1),
                                                           (0, 1), (1, 1)))  # fmt: skip
    pixels = b"".join(struct.pack("<H", 9000 if (x + y) % 2 else 3000) for y in range(side) for x in range(side))
    width, height = Image.open(io.BytesIO(preview)).size if preview else (0, 0)
    sensor: dict[int, Value] = {
        254: long(0), 256: long(side), 257: long(side), 258: short(16), 259: short(1), 262: short(32803), 273: long(0),
        277: short(1), 278: long(side), 279: long(len(pixels)), 33421: (3, 2, struct.pack("<HH", 2, 2)),
        33422: (1, 4, bytes([0, 1, 1, 2])), 50714: short(0), 50717: long(16383),
    }  # fmt: skip
    main: dict[int, Value] = {
        271: ascii_value("Imaginary"), 272: ascii_value(model), 274: short(orientation), 306: ascii_value("2024:05:01"),
        50706: (1, 4, bytes([1, 4, 0, 0])), 50707: (1, 4, bytes([1, 1, 0, 0])), 50708: ascii_value(model),
        50721: (10, 9, matrix), 50778: short(21), 50728: rationals((1, 1), (1, 1), (1, 1)),
        0x8769: long(0),
    }  # fmt: skip
    if preview:
        main |= {254: long(1), 256: long(width), 257: long(height), 258: (3, 3, struct.pack("<HHH", 8, 8, 8)),
                 259: short(7), 262: short(6), 273: long(0), 277: short(3), 278: long(height), 279: long(len(preview)),
                 330: long(0)}  # fmt: skip
    else:
        main |= sensor
    exif = {0x9003: ascii_value("2024:05:01 12:30:00"), 0xA434: ascii_value("Imaginary 35mm F2")}
    exif_at = 8 + len(directory(main, 8))
    sensor_at = exif_at + len(directory(exif, exif_at))
    preview_at = sensor_at + (len(directory(sensor, sensor_at)) if preview else 0)
    pixels_at = preview_at + len(preview) + len(preview) % 2
    main[0x8769] = long(exif_at)
    sensor[273] = long(pixels_at)
    main[273] = long(preview_at if preview else pixels_at)
    if preview:
        main[330] = long(sensor_at)
    parts = [directory(main, 8), directory(exif, exif_at)]
    if preview:
        parts += [directory(sensor, sensor_at), preview + b"\0" * (len(preview) % 2)]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(parts) + pixels
