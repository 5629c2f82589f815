"""Fields from one kind of metadata (EXIF, IPTC, XMP), before the kinds are merged."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagerag.store.library.metadata.capture_time import CaptureTime

__all__ = ["EmbeddedFields", "Position", "plausible_position"]

Position = tuple[float, float]
"""Latitude and longitude, in degrees."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedFields:
    """Fields of one kind of metadata; None or empty means absent.

    Attributes:
        licence: a licence by its name or address.
        rights: a notice of copyright, or terms in words.
        taken: when it was photographed.
        digitized: time of digitization, if given separately.
        rating: stars, as they are written.
        parameters: parameters of an image generator.
        left_out: notes on texts that are too long to be read.
    """

    title: str | None = None
    caption: str | None = None
    tags: tuple[str, ...] = ()
    author: str | None = None
    licence: str | None = None
    rights: str | None = None
    taken: CaptureTime | None = None
    digitized: CaptureTime | None = None
    camera: str | None = None
    lens: str | None = None
    place: str | None = None
    position: Position | None = None
    rating: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def plausible_position(latitude: float | None, longitude: float | None) -> Position | None:
    """Validate a position; None if it is not on earth, or exactly 0, 0, which devices without a position write."""
    if latitude is None or longitude is None or (latitude, longitude) == (0, 0):
        return None
    return (round(latitude, 7), round(longitude, 7)) if abs(latitude) <= 90 and abs(longitude) <= 180 else None
