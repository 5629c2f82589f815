"""The fields of XMP that a library keeps.

XMP is RDF in XML. The document is parsed incrementally, without a tree, and only the wanted properties are kept. A
document type (which could declare exponentially expanding entities), too much depth or length end the parsing; values
read before are kept.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from xml.parsers import expat

from imagerag.store.library.metadata.capture_time import capture_time
from imagerag.store.library.metadata.embedded.exif import camera, lens
from imagerag.store.library.metadata.embedded.fields import EmbeddedFields, plausible_position
from imagerag.store.library.metadata.embedded.iptc import joined
from imagerag.store.library.metadata.embedded.texts import first_text

__all__ = ["read_xmp", "read_xmp_file"]

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_META: Final = "adobe:ns:meta/ "
_XML_LANG: Final = "http://www.w3.org/XML/1998/namespace lang"

_PREFIXES: Final = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/xap/1.0/rights/": "xmpRights",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": "iptc",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "iptcExt",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://creativecommons.org/ns#": "cc",
    "http://web.resource.org/cc/": "cc",
}
_WANTED: Final = frozenset(
    ("dc:title", "dc:description", "dc:subject", "dc:creator", "dc:rights", "xmp:CreateDate", "xmp:Rating",
     "xmpRights:WebStatement", "xmpRights:UsageTerms", "photoshop:Headline", "photoshop:DateCreated", "photoshop:City",
     "photoshop:State", "photoshop:Country", "iptc:Location", "iptcExt:Sublocation", "iptcExt:City",
     "iptcExt:ProvinceState", "iptcExt:CountryName", "exif:DateTimeOriginal", "exif:GPSLatitude", "exif:GPSLongitude",
     "exif:UserComment", "exifEX:LensModel", "aux:Lens", "tiff:Make", "tiff:Model", "cc:license")
)  # fmt: skip

_ROOT: Final = "rdf:RDF"
_STRUCTURE: Final = "iptcExt:LocationCreated"
"""The only property whose inner properties count: those of others are about other images (`xmpMM:Pantry`), about faces
in it, or about what it shows (`iptcExt:LocationShown`)."""

_MAX_BYTES: Final = 2 * 2**20
_PIECE: Final = 64 * 1024
_MAX_DEPTH: Final = 100
_MAX_VALUES: Final = 200
_MAX_TEXT: Final = 100_000

_COORDINATE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?(?:,(\d+(?:\.\d+)?))?\s*([NSEWnsew])\s*")


def read_xmp(data: bytes) -> EmbeddedFields:
    """Read the fields of an XMP packet."""
    return _fields(_Properties.read(data))


def read_xmp_file(data: bytes) -> EmbeddedFields:
    """Read the fields of an `.xmp` file in UTF-8, whatever it declares.

    Raises:
        ValueError: no RDF is in it.
    """
    properties = _Properties.read(data, "utf-8")
    if not properties.has_rdf:
        raise ValueError("it is no XMP" if data.strip() else "it is empty")
    return _fields(properties)


def _fields(properties: "_Properties") -> EmbeddedFields:
    place = [
        properties.text("photoshop:City"),
        properties.text("photoshop:State"),
        properties.text("photoshop:Country"),
    ]
    created = [properties.text(f"iptcExt:{name}") for name in ("Sublocation", "City", "ProvinceState", "CountryName")]
    addresses = [*properties.texts("cc:license"), *properties.texts("xmpRights:WebStatement")]
    commons = next((one for one in addresses if "creativecommons.org/" in one), None)
    rating = properties.text("xmp:Rating") or ""
    return EmbeddedFields(
        title=first_text([*properties.texts("dc:title"), *properties.texts("photoshop:Headline")]),
        caption=first_text([*properties.texts("dc:description"), *properties.texts("exif:UserComment")]),
        tags=tuple(properties.texts("dc:subject")),
        author=joined(properties.texts("dc:creator"), "; "),
        licence=commons or first_text(properties.texts("cc:license")),
        rights=first_text([*properties.texts("xmpRights:UsageTerms"), *properties.texts("dc:rights"), *addresses]),
        taken=capture_time(properties.text("exif:DateTimeOriginal"))
        or capture_time(properties.text("photoshop:DateCreated")),
        digitized=capture_time(properties.text("xmp:CreateDate")),
        camera=camera(properties.text("tiff:Make"), properties.text("tiff:Model")),
        lens=lens(properties.text("exifEX:LensModel")) or lens(properties.text("aux:Lens")),
        place=joined([properties.text("iptc:Location"), *place], ", ") or joined(created, ", "),
        position=plausible_position(
            *(_degrees(properties.text(f"exif:GPS{name}")) for name in ("Latitude", "Longitude"))
        ),
        rating=int(float(rating)) if re.fullmatch(r"-?\d{1,2}(\.0+)?", rating) else None,
    )


def _degrees(text: str | None) -> float | None:
    """Parse a coordinate of XMP: `52,31.2N`, `52,31,12N`."""
    match = _COORDINATE.fullmatch(text[:64]) if text else None
    if match is None:
        return None
    degrees, minutes, seconds = (float(part or 0) for part in match.groups()[:3])
    size = degrees + minutes / 60 + seconds / 3600
    return -size if match[4] in "SsWw" else size


class _EndError(Exception):
    """Parsing of the document ends."""


class _Properties:
    """Values of the properties wanted, by their names; of several languages the default one first."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}
        self._stack: list[tuple[str, str, str]] = []  # property of an element, its language, and the outermost property
        self.has_rdf = False
        self._text: list[str] = []
        self._size = 0

    @classmethod
    def read(cls, data: bytes, encoding: str | None = None) -> "_Properties":
        """Those of a document, as far as it can be read."""
        properties = cls()
        if not data:
            return properties
        parser = expat.ParserCreate(encoding, " ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = properties._start, properties._end
        parser.CharacterDataHandler = properties._add
        parser.StartDoctypeDeclHandler = properties._refuse
        try:
            for at in range(0, min(len(data), _MAX_BYTES), _PIECE):
                parser.Parse(data[at : at + _PIECE], False)
        except (expat.ExpatError, _EndError, ValueError, LookupError):
            pass  # values read before are kept
        return properties

    def texts(self, name: str) -> Sequence[str]:
        """The values of a property."""
        return self._values.get(name, ())

    def text(self, name: str) -> str | None:
        """The first of them."""
        return next(iter(self.texts(name)), None)

    def _refuse(self, *_: object) -> None:
        raise _EndError

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(self._stack) >= _MAX_DEPTH:
            raise _EndError
        self._text, self._size = [], 0
        owner, _, outermost = self._stack[-1] if self._stack else ("", "", "")
        if name == f"{_RDF}RDF":
            self.has_rdf, outermost = True, _ROOT
        elif outermost == _ROOT or name.startswith(_META):  # a description, whatever its type is called
            outermost = ""
        elif not name.startswith(_RDF):
            owner = _short(name) if outermost in ("", _STRUCTURE) else ""
            outermost = outermost or owner or name
        self._stack.append((owner, attributes.get(_XML_LANG, ""), outermost))
        for key, value in attributes.items():
            if key == f"{_RDF}resource":
                self._keep(owner, value, "")
            elif key != _XML_LANG and outermost in ("", _STRUCTURE):
                self._keep(_short(key), value, "")

    def _end(self, name: str) -> None:
        owner, language, _ = self._stack.pop()
        self._keep(owner, "".join(self._text), language)
        self._text, self._size = [], 0

    def _add(self, text: str) -> None:
        if self._stack and self._stack[-1][0] in _WANTED and self._size <= _MAX_TEXT:
            self._text.append(text)
            self._size += len(text)

    def _keep(self, name: str, value: str, language: str) -> None:
        value = value.strip()
        if name not in _WANTED or not value:
            return
        values = self._values.setdefault(name, [])
        if language.lower() == "x-default":
            values.insert(0, value)
        elif len(values) < _MAX_VALUES:
            values.append(value)


def _short(name: str) -> str:
    """A property's name with the usual prefix; empty for one of another namespace."""
    space, _, local = name.rpartition(" ")
    prefix = _PREFIXES.get(space)
    return f"{prefix}:{local}" if prefix else ""
