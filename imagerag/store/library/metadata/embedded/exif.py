"""The fields of EXIF that a library keeps."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from imagerag.agent.images.tiff_directory import MAX_VALUE, TiffFile, TiffValue
from imagerag.agent.visible_text import is_blank
from imagerag.store.library.metadata.capture_time import capture_time
from imagerag.store.library.metadata.embedded.fields import EmbeddedFields, plausible_position
from imagerag.store.library.metadata.embedded.texts import decode_text, decode_utf_16, first_text
from imagerag.store.library.metadata.generation_metadata import without_parameters

__all__ = ["read_exif"]

_DESCRIPTION, _MAKE, _MODEL, _ARTIST, _COPYRIGHT, _RATING = 0x010E, 0x010F, 0x0110, 0x013B, 0x8298, 0x4746
_EXIF, _GPS = 0x8769, 0x8825
_ORIGINAL, _DIGITIZED, _OFFSET_ORIGINAL, _OFFSET_DIGITIZED = 0x9003, 0x9004, 0x9011, 0x9012
_COMMENT, _LENS_SPECIFICATION, _LENS_MODEL = 0x9286, 0xA432, 0xA434
_XP_TITLE, _XP_COMMENT, _XP_AUTHOR, _XP_KEYWORDS = 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E
_LATITUDE, _LONGITUDE = (1, 2), (3, 4)
_TEXTS: Final = {
    _DESCRIPTION: "ImageDescription", _ARTIST: "Artist", _COPYRIGHT: "Copyright", _COMMENT: "UserComment",
    _XP_TITLE: "XPTitle", _XP_COMMENT: "XPComment", _XP_AUTHOR: "XPAuthor", _XP_KEYWORDS: "XPKeywords",
}  # fmt: skip

_CORPORATION: Final = re.compile(
    r"[ ,]+(?:CORPORATION|CORP|COMPANY|CO\.?,? ?LTD|INC|LTD|GMBH|IMAGING CORP|ELECTRONICS(?: CO\.?,? ?LTD)?"
    r"|ELECTRIC CO\.?,? ?LTD|OPTICAL CO\.?,? ?LTD|CAMERA AG(?: GMBH)?)\.?$",
    re.IGNORECASE,
)
_NO_LENS: Final = re.compile(r"[\W_0]*(?:mm)?[\W_0]*(?:f/?)?[\W_0]*", re.IGNORECASE)


def read_exif(blocks: Sequence[bytes]) -> EmbeddedFields:
    """Read the fields of EXIF. A field with an invalid value is left out without affecting the others."""
    exif = _Exif([TiffFile(block) for block in blocks])
    comment, parameters = without_parameters(exif.comment() or "")
    position = plausible_position(exif.degrees(*_LATITUDE), exif.degrees(*_LONGITUDE))
    return EmbeddedFields(
        title=first_text([exif.windows(_XP_TITLE)]),
        caption=first_text([exif.text(_DESCRIPTION), comment, exif.windows(_XP_COMMENT)]),
        tags=tuple(part for part in re.split(r"[;,]", exif.windows(_XP_KEYWORDS) or "") if not is_blank(part)),
        author=first_text([exif.text(_ARTIST), exif.windows(_XP_AUTHOR)]),
        rights=first_text([_copyright(exif.bytes(_COPYRIGHT))]),
        taken=capture_time(exif.text(_ORIGINAL), exif.text(_OFFSET_ORIGINAL)),
        digitized=capture_time(exif.text(_DIGITIZED), exif.text(_OFFSET_DIGITIZED)),
        camera=camera(exif.text(_MAKE), exif.text(_MODEL)),
        lens=lens(exif.text(_LENS_MODEL)) or exif.lens_specification(),
        position=position,
        rating=exif.number(_RATING),
        parameters=parameters,
        left_out=tuple(exif.oversized()),
    )


def camera(make: str | None, model: str | None) -> str | None:
    """Maker and model in one text, with the maker's name once: most model names begin with it."""
    make, model = first_text([make]), first_text([model])
    if make is None or model is None:
        return make or model
    short = make
    while (shorter := _CORPORATION.sub("", short)) != short:
        short = shorter
    has_maker = model.lower().startswith(short.split()[0].lower())
    return model if has_maker else f"{short} {model}"


def lens(text: str | None) -> str | None:
    """A lens's name; cameras without one write dashes or zeros."""
    name = first_text([text])
    return None if name is None or _NO_LENS.fullmatch(name) else name


class _Exif:
    """Values of EXIF by their tags, in whichever directory they are."""

    def __init__(self, files: Sequence[TiffFile]) -> None:
        self._main = [(file, at) for file in files for at in _below(file, file.first, _EXIF)]
        self._longest = max((len(file.data) for file in files), default=0)
        self._gps = [(file, at) for file in files for at in _below(file, file.first, _GPS)]

    def value(self, tag: int) -> TiffValue | None:
        """The first value of a tag, but GPS's."""
        values = (file.value(at, tag) for file, at in self._main)
        return next((one for one in values if one is not None), None)

    def oversized(self) -> Iterator[str]:
        """A note on each text that is too long to be read."""
        for tag, name in _TEXTS.items():
            sizes = (file.size(at, tag) for file, at in self._main)  # what claims more than there is, is damaged
            if (size := max((one for one in sizes if one <= self._longest), default=0)) > MAX_VALUE:
                yield f"{name} was left out: it has {size:,} bytes, and at most {MAX_VALUE:,} are read"

    def bytes(self, tag: int) -> bytes | None:
        """The bytes of a value."""
        value = self.value(tag)
        return value.data if value else None

    def text(self, tag: int) -> str | None:
        """A value as text."""
        data = self.bytes(tag)
        return decode_text(data) if data else None

    def windows(self, tag: int) -> str | None:
        """A text written by Windows Explorer, in UTF-16."""
        data = self.bytes(tag)
        return decode_utf_16(data, "utf-16-le") if data else None

    def number(self, tag: int) -> int | None:
        """A value as a whole number."""
        value = self.value(tag)
        return value.number if value else None

    def comment(self) -> str | None:
        """The user's comment, whose first 8 bytes say its character set."""
        value = self.value(_COMMENT)
        if value is None:
            return None
        charset, text = value.data[:8], value.data[8:]
        if charset == b"UNICODE\0":
            return _utf_16(text, value.order)
        if charset == b"JIS\0\0\0\0\0":
            return decode_text(text, "iso2022_jp")
        return decode_text(text if charset in (b"ASCII\0\0\0", bytes(8)) else value.data)

    def degrees(self, reference: int, tag: int) -> float | None:
        """A latitude or longitude from degrees, minutes, seconds and hemisphere."""
        for file, at in self._gps:
            parts, side = file.value(at, tag), file.value(at, reference)
            numbers = parts.numbers(3) if parts else ()
            if numbers and side and min(numbers) >= 0:
                size: float = sum(number / 60.0**place for place, number in enumerate(numbers))
                return -size if side.data[:1] in (b"S", b"s", b"W", b"w") else size
        return None

    def lens_specification(self) -> str | None:
        """A lens by its focal lengths and largest apertures, as `24-70mm f/2.8`."""
        value = self.value(_LENS_SPECIFICATION)
        numbers = value.numbers(4) if value else ()
        if len(numbers) < 2 or not 0 < numbers[0] <= numbers[1] < 10_000:
            return None
        length = f"{_range(numbers[:2])}mm"
        return f"{length} f/{_range(numbers[2:])}" if len(numbers) == 4 and 0 < numbers[2] <= numbers[3] else length


def _below(file: TiffFile, first: int, tag: int) -> Iterator[int]:
    """The first directory of a file, and the one below it that a tag names."""
    if first:
        yield first
        if inner := file.number(first, tag):
            yield inner


def _range(numbers: Sequence[float]) -> str:
    return "-".join(dict.fromkeys(f"{number:g}" for number in numbers))


def _copyright(data: bytes | None) -> str | None:
    """The photographer's notice, and the editor's behind it."""
    parts = [decode_text(part).strip() for part in (data or b"").split(b"\0")[:2]]
    return "; ".join(part for part in parts if part) or None


def _utf_16(data: bytes, order: str) -> str:
    """Decode UTF-16. Programs differ in byte order: the order that gives more ASCII characters is used."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return decode_utf_16(data, "utf-16")
    orders = ("utf-16-le", "utf-16-be") if order == "<" else ("utf-16-be", "utf-16-le")
    texts = [decode_utf_16(data, one) for one in orders]
    return max(texts, key=lambda text: sum(character < "\x80" for character in text))
