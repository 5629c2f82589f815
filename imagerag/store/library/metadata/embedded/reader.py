"""Merge the kinds of metadata in an image file: each field takes its first value in a fixed order.

Texts come from XMP (Unicode, written last by editors), then IPTC, then EXIF and PNG texts, which devices write too.
Exposure data comes from EXIF, which the camera wrote, then from XMP and IPTC.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from imagerag.agent.types import Scalar
from imagerag.store.library.metadata.capture_time import CaptureTime
from imagerag.store.library.metadata.embedded.blocks import find_blocks
from imagerag.store.library.metadata.embedded.exif import read_exif
from imagerag.store.library.metadata.embedded.fields import EmbeddedFields
from imagerag.store.library.metadata.embedded.iptc import read_iptc
from imagerag.store.library.metadata.embedded.texts import first_text, tidy
from imagerag.store.library.metadata.embedded.xmp import read_xmp, read_xmp_file
from imagerag.store.library.metadata.generation_metadata import without_parameters
from imagerag.store.library.metadata.image_metadata import ImageMetadata
from imagerag.store.library.metadata.licence_names import licence_name
from imagerag.store.library.metadata.metadata_values import MAX_CAPTION, kept_tags, too_long

__all__ = ["read_embedded", "read_xmp_sidecar"]

_STARS: Final = range(-1, 6)
"""What ratings are: five stars, and -1 for what was rejected. 0 is no rating."""


def read_embedded(data: bytes) -> ImageMetadata:
    """Read the metadata in an image file; empty where there is none, or none is readable.

    Any bytes are accepted and nothing is raised: an invalid field is left out without affecting the others.
    """
    blocks = find_blocks(data)
    return _combined(
        _or_nothing(read_xmp, blocks.xmp),
        _or_nothing(read_iptc, blocks.iptc),
        _or_nothing(read_exif, blocks.exif),
        _or_nothing(_of_png, blocks.texts),
    )


def read_xmp_sidecar(data: bytes) -> ImageMetadata:
    """Read the metadata in an `.xmp` file beside an image, as written by Lightroom and darktable.

    Raises:
        ValueError: it is no XMP.
    """
    nothing = EmbeddedFields()
    return _combined(read_xmp_file(data), nothing, nothing, nothing)


def _or_nothing(reader: Any, block: Any) -> EmbeddedFields:
    """Fields of a block; empty where reading raises an unexpected error, so that the image is still indexed."""
    try:
        fields: EmbeddedFields = reader(block)
        return fields
    except Exception:
        return EmbeddedFields()


def _of_png(texts: Mapping[str, str]) -> EmbeddedFields:
    prompt, parameters = without_parameters(texts.get("parameters", ""))
    return EmbeddedFields(
        title=first_text([texts.get("Title")]),
        caption=first_text([texts.get("Description"), prompt]),
        author=first_text([texts.get("Author")]),
        rights=first_text([texts.get("Copyright")]),
        parameters=parameters,
    )


def _combined(xmp: EmbeddedFields, iptc: EmbeddedFields, exif: EmbeddedFields, png: EmbeddedFields) -> ImageMetadata:
    texts, facts = (xmp, iptc, exif, png), (exif, xmp, iptc)
    capture = _first([exif.taken, xmp.taken, iptc.taken, exif.digitized, xmp.digitized])
    position = _first(one.position for one in facts)
    licences = [*(one.licence for one in texts), *(one.rights for one in texts)]
    left_out = [*exif.left_out]
    return ImageMetadata(
        title=_first_short("title", (one.title for one in texts), left_out),
        caption=_first_short("caption", (one.caption for one in texts), left_out),
        tags=kept_tags(map(tidy, _first(kind.tags for kind in texts) or ()), left_out) or None,
        author=_first_short("author", (one.author for one in texts), left_out),
        licence=licence_name(licence) if (licence := _first_short("licence", licences, left_out)) else None,
        taken=capture[0] if capture else None,
        camera=_first_short("camera", (one.camera for one in facts), left_out),
        lens=_first_short("lens", (one.lens for one in facts), left_out),
        place=_first_short("place", [xmp.place, iptc.place], left_out),
        latitude=position[0] if position else None,
        longitude=position[1] if position else None,
        metadata=_metadata(capture, _first(one.rating for one in texts), exif.parameters or png.parameters) or None,
        left_out=tuple(left_out),
    )


def _metadata(capture: CaptureTime | None, rating: int | None, parameters: Mapping[str, str]) -> dict[str, Scalar]:
    metadata: dict[str, Scalar] = dict(parameters)
    if capture and capture[1]:
        metadata["taken_offset"] = capture[1]
    if rating and rating in _STARS:
        metadata["rating"] = rating
    return metadata


def _first_short(name: str, texts: Iterable[str | None], left_out: list[str]) -> str | None:
    """The first text that is not too long; `left_out` gets a note where the only ones are."""
    there = [text for text in texts if text]
    short = next((text for text in there if len(text) <= MAX_CAPTION), None)
    left_out += [too_long(name, there[0], MAX_CAPTION)] if there and short is None else []
    return short


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value), None)
